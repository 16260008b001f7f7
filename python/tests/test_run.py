"""The whole job from Python."""

import pytest

import vascx_rs
from conftest import PHOTOGRAPHS, model


def test_photographs_become_tables(tmp_path, photographs):
    models = {name: model(name) for name in ("quality", "artery_vein", "disc", "fovea")}
    chosen = photographs[-2:]
    cohort = vascx_rs.run([*chosen, tmp_path / "nowhere.png"], tmp_path / "out", models=models)
    manifest = cohort.table("manifest")
    status = dict(zip(manifest["id"], manifest["status"]))
    assert status == {path.stem: "ok" for path in chosen} | {"nowhere": "failed"}
    biomarkers = cohort.table()
    assert biomarkers["id"] == [path.stem for path in chosen]
    assert list(biomarkers)[1:] == [variable.name for variable in vascx_rs.variables()]
    assert all(0 <= share <= 1 for share in cohort.table("quality")["p1"])
    assert (cohort.folder / "report.html").exists()
    with pytest.raises(FileNotFoundError, match="nothing"):
        cohort.table("nothing")
    for to in ("pandas", "pyarrow"):
        pytest.importorskip(to)
        assert len(cohort.table("quality", to=to)) == 2


def test_what_cannot_run_says_why(tmp_path):
    with pytest.raises(ValueError, match="lens"):
        vascx_rs.run(PHOTOGRAPHS, tmp_path / "out", models={"lens": "a.pt"})
    with pytest.raises(vascx_rs.VascxError, match="nowhere"):
        vascx_rs.run(tmp_path / "nowhere", tmp_path / "out", models={"disc": model("disc")})
