"""The package's types hold, for those who write programs with it."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import vascx_rs

USER = """
from pathlib import Path
import numpy as np
import vascx_rs

model = vascx_rs.SegmentationEnsemble.load("av.pt", "cpu", dtype="bf16")
answer: vascx_rs.Segmentation = model.predict(Path("a.png"))
answers: list[vascx_rs.Segmentation] = model.predict([b"", "b.png"], batch_size=2)
pixels: np.ndarray[tuple[int, int], np.dtype[np.uint8]] = answer.class_map
for each in vascx_rs.HeatmapEnsemble.load("fovea.pt").predict_iter(np.zeros((2, 8, 8, 3), np.uint8)):
    x: float = each.points[0, 0]
"""


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_users_program_is_typed(checker, tmp_path):
    if find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")
    package = Path(vascx_rs.__file__).parent
    # What stands in for vascx_simplify is as loosely typed as that.
    modules = sorted(package.glob("*.py"))
    program = tmp_path / "user.py"

    def check(*what: str) -> subprocess.CompletedProcess[str]:
        how = ["--strict"] if checker == "mypy" else ["--pythonpath", sys.executable]
        run = [sys.executable, "-m", checker, *how, *what]
        return subprocess.run(run, capture_output=True, text=True, cwd=tmp_path)

    program.write_text(USER)
    checks = [check(str(program))]
    if checker == "mypy":
        names = [f"vascx_rs.{module.stem}".removesuffix(".__init__") for module in modules]
        checks.append(check(*(part for name in names for part in ("-m", name))))
    else:
        checks.append(check(*map(str, modules)))
    for done in checks:
        assert done.returncode == 0, done.stdout + done.stderr
    program.write_text(USER.replace("points[0, 0]", "class_map"))
    assert check(str(program)).returncode != 0
