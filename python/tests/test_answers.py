"""What the ensembles answer, in which types, and that it is the program's."""

import csv
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vascx_rs
from conftest import model


def test_answers_are_the_programs(tmp_path, photographs, disc, fovea, quality):
    run = [sys.executable, "-m", "vascx_rs", "predict", "--quiet", "--model"]
    for name in ("disc", "fovea", "quality"):
        subprocess.run([*run, model(name), "--out", tmp_path / name, *photographs], check=True)

    def rows(name: str) -> dict[str, np.ndarray]:
        with open(tmp_path / name / "predictions.csv") as file:
            return {row.pop("id"): np.array([*map(float, row.values())]) for row in csv.DictReader(file)}

    for path, answer in zip(photographs, disc.predict_iter(photographs), strict=True):
        assert np.array_equal(answer.class_map, np.asarray(Image.open(tmp_path / "disc" / f"{path.stem}.png")))
        assert answer.class_map.dtype == np.uint8 and set(np.unique(answer.class_map)) <= {0, 1}
    points, grades = rows("fovea"), rows("quality")
    for path, answer in zip(photographs, fovea.predict(photographs), strict=True):
        assert answer.points.shape == (1, 2)
        assert np.abs(answer.points[0] - points[path.stem]).max() < 0.01
    for path, answer in zip(photographs, quality.predict(photographs), strict=True):
        assert np.abs(answer.probabilities - grades[path.stem]).max() < 1e-5


def test_one_is_one_and_a_list_is_a_list(right, quality):
    one = quality.predict(right)
    assert isinstance(one, vascx_rs.Classification)
    assert one.members.shape == (2, 3) or one.members.shape[1] == 3
    assert one.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert one.names == quality.names and len(one.names) == 3
    several = quality.predict([right])
    assert len(several) == 1
    assert np.array_equal(several[0].probabilities, one.probabilities)


def test_probabilities_and_heat_maps_when_asked_for(right, disc, fovea):
    assert disc.predict(right).probabilities is None
    answer = disc.predict(right, probabilities=True)
    assert answer.probabilities.shape == (2, *answer.class_map.shape)
    assert answer.probabilities.dtype == np.float32
    inside = answer.probabilities.sum(0) > 0.5
    assert np.array_equal(answer.probabilities.argmax(0)[inside], answer.class_map[inside])
    heatmaps = fovea.predict(right, probabilities=True).heatmaps
    assert heatmaps.ndim == 3 and heatmaps.shape[0] == 1


def test_logits_are_before_softmax(right, quality):
    (logits,) = quality.logits([right])
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.abs(softmax.mean(0) - quality.predict(right).probabilities).max() < 1e-5


def test_tensors_go_to_the_network_as_they_are(right, quality):
    size = quality.description["preprocessing"]
    side = size["resize"] or size["square_size"]
    square = vascx_rs.preprocess(right, size=size["square_size"], contrast=False)
    picture = np.asarray(Image.fromarray(square.rgb).resize((side, side)), np.float32) / 255
    tensor = ((picture - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).transpose(2, 0, 1)
    one = quality.predict(tensor, tensors=True)
    assert np.abs(one.probabilities - quality.predict(right).probabilities).max() < 0.05
    both = quality.predict(np.stack([tensor, tensor]), tensors=True)
    assert np.array_equal(both[1].probabilities, one.probabilities)


def test_answers_travel(right, disc):
    answer = disc.predict(right)
    copy = pickle.loads(pickle.dumps(answer))
    assert np.array_equal(copy.class_map, answer.class_map)
    assert answer.to_dict()["class_map"] is answer.class_map
    assert answer.class_map.flags.writeable


def test_squares_and_the_way_back(right):
    square = vascx_rs.preprocess(right, "full", size=256)
    assert square.rgb.shape == square.contrast.shape == (256, 256, 3)
    height, width = np.asarray(Image.open(right)).shape[:2]
    assert square.bounds["hw"] == [height, width]
    whole = square.map_to_photograph(np.ones((256, 256)))
    assert whole.shape == (height, width) and 0.5 < whole.mean() <= 1
    centre = square.points_to_photograph([[128, 128]])[0]
    assert np.abs(centre - square.bounds["center"]).max() < 1
    assert vascx_rs.preprocess(right, "simple", size=64, contrast=False).contrast is None


def test_the_class_says_what_the_model_is_for():
    with pytest.raises(vascx_rs.ModelError, match="disc.pt is for segmentation"):
        vascx_rs.HeatmapEnsemble.load(model("disc"))
    assert Path(vascx_rs.__file__).with_name("py.typed").exists()
