"""One eye: the program's numbers, and tables of its vessels."""

import csv
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import vascx_rs
from conftest import model


@pytest.fixture(scope="module")
def retina(right):
    models = {name: vascx_rs.load(model(name)) for name in ("artery_vein", "disc", "fovea")}
    return vascx_rs.Retina.of(right, models)


def test_biomarkers_have_names_units_and_reasons(retina):
    values = retina.biomarkers()
    described = vascx_rs.variables()
    assert list(values) == [variable.name for variable in described]
    assert all(variable.description for variable in described)
    reasons = retina.reasons()
    assert {name for name, value in values.items() if value is None} == set(reasons)
    assert sum(value is not None for value in values.values()) > 10
    assert "vascx_rs" in vascx_rs.feature_sets()
    with pytest.raises(ValueError, match="no_such_set"):
        retina.biomarkers("no_such_set")


def test_vessels_are_tables(retina):
    segments = retina.segments("arteries")
    count = len(segments["length_px"])
    assert count > 3 and all(len(column) == count for column in segments.values())
    assert (segments["length_px"] > 0).all() and not (segments["tortuosity"] < 0.5).any()
    assert len(retina.bifurcations("veins")["angle_deg"]) == len(retina.bifurcations("veins")["child_segments"])
    masks = retina.masks("arteries")
    assert masks["skeleton"].dtype == bool and masks["skeleton"].sum() < masks["mask"].sum()
    marks = retina.landmarks()
    assert 20 < marks["disc_radius"] < 300 and marks["fovea"] is not None
    with pytest.raises(vascx_rs.VascxError, match="vessel map"):
        retina.masks("vessels")


def test_numbers_are_the_programs(tmp_path, right):
    """Of the same maps, laid out as files for the program."""
    models = {name: vascx_rs.load(model(name)) for name in ("artery_vein", "disc", "fovea")}
    square = vascx_rs.preprocess(right, "full", size=1024, contrast=False)
    maps = {name: models[name].predict(square.rgb, preprocess="crop").class_map for name in ("artery_vein", "disc")}
    for name, pixels in maps.items():
        (tmp_path / "maps" / name).mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / "maps" / name / "eye.png")
    fovea = models["fovea"].predict(square.rgb, preprocess="crop").points[0]
    bounds = {key: square.bounds[key] for key in ("hw", "center", "radius")} | {"lines": {}}
    tables = {"fovea": [["", "x_fovea", "y_fovea"], ["eye", *fovea]]}
    tables["bounds"] = [["id", "success", "bounds"], ["eye", True, str(bounds).replace("[", "(").replace("]", ")")]]
    for name, rows in tables.items():
        with open(tmp_path / "maps" / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows(rows)
    run = [sys.executable, "-m", "vascx_rs", "calc-biomarkers", tmp_path / "maps", tmp_path / "report"]
    subprocess.run([*run, "--feature-set", "full_v3"], check=True, capture_output=True)
    with open(tmp_path / "report" / "biomarkers.csv") as file:
        (row,) = csv.DictReader(file)
    landmarks = {"fovea": tuple(map(float, fovea)), "bounds": bounds}
    ours = vascx_rs.biomarkers(maps["artery_vein"], disc=maps["disc"], **landmarks)
    compared = 0
    for name, value in ours.items():
        if value is not None and row[name]:
            assert float(row[name]) == pytest.approx(value, rel=1e-9), name
            compared += 1
    assert compared > 10


def test_maps_are_checked():
    with pytest.raises(ValueError, match="4 × 5"):
        vascx_rs.Retina(np.zeros((4, 5)))
    with pytest.raises(ValueError, match="disc map"):
        vascx_rs.Retina(np.zeros((64, 64)), disc=np.zeros((32, 32)))
    empty = vascx_rs.biomarkers(np.zeros((64, 64)))
    assert all(value is None for value in empty.values())
