"""Photographs in every form, and what is none."""

import io

import numpy as np
import pytest
from PIL import Image

import vascx_rs
from conftest import model


def test_every_form_gives_the_same_answer(right, quality):
    picture = Image.open(right).convert("RGB")
    pixels = np.asarray(picture)
    expected = quality.predict(right).probabilities

    class Interface:
        __array_interface__ = pixels.__array_interface__

    class Handle:
        def __dlpack__(self, **how):
            return pixels.copy().__dlpack__(**how)

        def __dlpack_device__(self):
            return pixels.__dlpack_device__()

    forms = [
        str(right),
        right.read_bytes(),
        bytearray(right.read_bytes()),
        memoryview(right.read_bytes()),
        io.BytesIO(right.read_bytes()),
        picture,
        picture.convert("RGBA"),
        pixels,
        np.asfortranarray(pixels),
        pixels.transpose(2, 0, 1),
        pixels.astype(np.uint16) * 257,
        pixels.astype(np.float32) / 255,
        Interface(),
        Handle(),
    ]
    for index, answer in enumerate(quality.predict(forms, batch_size=3)):
        assert np.array_equal(answer.probabilities, expected), type(forms[index])


def test_grey_is_repeated(right, quality):
    grey = Image.open(right).convert("L")
    colour = quality.predict(grey.convert("RGB")).probabilities
    pixels = np.asarray(grey)
    for form in (grey, pixels, pixels[..., None], pixels[None], grey.convert("LA"), grey.convert("P")):
        assert np.array_equal(quality.predict(form).probabilities, colour)


def test_collections_and_iterators(photographs, quality):
    expected = [answer.probabilities for answer in quality.predict(photographs)]
    for collection in (tuple(photographs), (path for path in photographs), dict.fromkeys(photographs)):
        found = [answer.probabilities for answer in quality.predict(collection)]
        assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("what", "error", "says"),
    [
        ("nowhere.png", vascx_rs.PhotographError, "nowhere.png"),
        (b"no image", vascx_rs.PhotographError, "cannot be decoded"),
        (np.zeros((5, 6, 7), np.uint8), ValueError, r"\[5, 6, 7\]"),
        (np.zeros((0, 5, 3), np.uint8), vascx_rs.PhotographError, "0"),
        (np.zeros((4, 5, 3), np.int64), TypeError, "int64"),
        (np.full((4, 5, 3), 255.0), ValueError, "0 to 1"),
        (np.full((4, 5, 3), np.nan), ValueError, "0 to 1"),
        ([object()], TypeError, "object is no photograph"),
        ([], ValueError, "empty"),
    ],
)
def test_what_is_no_photograph_is_an_exception(what, error, says, quality):
    with pytest.raises(error, match=says):
        quality.predict(what)


def test_errors_may_take_the_place_of_answers(right, quality):
    answers = quality.predict(["nowhere.png", right, np.zeros((5, 6, 7))], errors="return")
    assert isinstance(answers[0], vascx_rs.PhotographError)
    assert isinstance(answers[1], vascx_rs.Classification)
    assert isinstance(answers[2], ValueError)


def test_an_iterator_that_fails_is_heard(right, quality):
    def paths():
        yield right
        raise OSError("the share has gone")

    answers = quality.predict_iter(paths())
    assert isinstance(next(answers), vascx_rs.Classification)
    with pytest.raises(OSError, match="the share has gone"):
        next(answers)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch_size": 0}, "at least 1"),
        ({"preprocess": "best"}, "best"),
        ({"keypoints": "median"}, "median"),
        ({"errors": "ignore"}, "ignore"),
    ],
)
def test_options_are_checked(options, says, right, quality):
    with pytest.raises(ValueError, match=says):
        quality.predict(right, **options)


def test_models_are_checked(tmp_path):
    with pytest.raises(vascx_rs.ModelError, match="nowhere.pt"):
        vascx_rs.load("nowhere.pt")
    (tmp_path / "text.pt").write_text("no checkpoint")
    with pytest.raises(vascx_rs.ModelError, match="text.pt"):
        vascx_rs.load(tmp_path / "text.pt")
    with pytest.raises(vascx_rs.DeviceError, match="tpu"):
        vascx_rs.load(model("disc"), "tpu")
    with pytest.raises(ValueError, match="f8"):
        vascx_rs.load(model("disc"), dtype="f8")  # type: ignore[arg-type]


def test_hub_names_are_found_in_the_cache(tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--Eyened--vascx"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    folder = repository / "snapshots" / commit / "disc"
    folder.mkdir(parents=True)
    (folder / "disc.pt").symlink_to(model("disc"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert vascx_rs.load("Eyened/vascx:disc/disc.pt").task == "segmentation"
    with pytest.raises(vascx_rs.ModelError, match="HF_HUB_OFFLINE"):
        vascx_rs.load("Eyened/vascx:disc/other.pt")
