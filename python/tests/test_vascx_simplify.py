"""The names of vascx_simplify, without torch and, where it is installed, with it."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import vascx_rs
import vascx_rs.vascx_simplify as simplify
from conftest import model
from vascx_rs.vascx_simplify import utils
from vascx_rs.vascx_simplify._tensors import to_numpy, torch
from vascx_rs.vascx_simplify.preprocess import SimpleFundusEnhance, simple_fundus_enhance

NAMES = {
    "": "ClassificationEnsemble EnsembleBase EnsembleSegmentation FundusContrastEnhance HeatmapRegressionEnsemble "
    "RegressionEnsemble VASCXTransform from_huggingface sliding_window_inference",
    ".preprocess": "FundusContrastEnhance SimpleFundusEnhance VASCXTransform simple_fundus_enhance",
    ".utils": "ARTERY_VEIN_COLORS DISC_COLORS QUALITY_COLORS QUALITY_LABELS apply_circular_crop blend_images "
    "calculate_area_percentage calculate_bounding_box calculate_centroid calculate_circle_bounds "
    "calculate_class_statistics calculate_vessel_ratio create_affine_matrix create_artery_vein_overlay "
    "create_circular_mask create_color_mask create_comparison_grid create_coordinate_grid create_disc_overlay "
    "create_segmentation_overlay create_side_by_side crop_and_resize draw_fovea_marker draw_quality_badge "
    "from_huggingface get_circle_coordinates invert_affine_matrix line_circle_intersection numpy_to_pil "
    "pil_to_numpy polar_transform resize_to_original resize_with_aspect_ratio tensor_to_numpy transform_point "
    "transform_points_batch undo_crop_and_resize warp_image_affine",
}


def test_it_stands_for_vascx_simplify():
    lines = ["import sys, vascx_rs.vascx_simplify as ours", "sys.modules['vascx_simplify'] = ours"]
    for module, names in NAMES.items():
        lines.append(f"from vascx_simplify{module} import {', '.join(names.split())}")
    lines += [
        "import vascx_simplify.preprocess.contrast as contrast",
        "assert contrast is ours.preprocess.contrast and VASCXTransform is ours.VASCXTransform",
        "assert SimpleFundusEnhance is contrast.SimpleFundusEnhance",
    ]
    subprocess.run([sys.executable, "-W", "error", "-c", "\n".join(lines)], check=True)


def test_answers_are_tensors(right, disc):
    picture = Image.open(right).convert("RGB")
    size = disc.description["preprocessing"]["square_size"]
    ensemble = simplify.EnsembleSegmentation(str(model("disc")), simplify.VASCXTransform(size))
    prediction = ensemble.predict(picture)
    assert prediction.shape == (1, picture.height, picture.width)
    assert str(prediction.dtype).endswith("int64") and str(prediction.device) == "cpu"
    expected = disc.predict(right, preprocess="simple").class_map
    assert np.array_equal(prediction[0].cpu().numpy(), expected)
    both = ensemble.predict([picture, picture], batch_size=2)
    assert both.shape == (2, *expected.shape) and bool((both[1] == prediction[0]).all())
    assert isinstance(prediction[0, 0, 0].cpu().item(), int)
    mixed = ensemble.predict([picture, picture.resize((200, 300))])
    assert [tuple(answer.shape) for answer in mixed] == [expected.shape, (300, 200)]


def test_another_transform_gives_nearly_the_same(right, disc):
    """Through a transform that is not the model's own, windows are blended and undone the same way."""

    class Other(simplify.VASCXTransform):
        pass

    size = disc.description["preprocessing"]["square_size"]
    picture = Image.open(right).convert("RGB")
    found = [
        simplify.EnsembleSegmentation(str(model("disc")), kind(size)).predict(picture)
        for kind in (simplify.VASCXTransform, Other)
    ]
    assert float(np.mean(to_numpy(found[0]) == to_numpy(found[1]))) > 0.9999


def test_keypoints_and_classes(right, fovea, quality):
    picture = Image.open(right).convert("RGB")
    size = fovea.description["preprocessing"]["square_size"]
    point = simplify.HeatmapRegressionEnsemble(str(model("fovea")), simplify.VASCXTransform(size)).predict(picture)
    assert point.shape == (1, 1, 2)
    expected = fovea.predict(right, preprocess="simple").points
    assert np.abs(to_numpy(point)[0] - expected).max() < 0.05
    size = quality.description["preprocessing"]["square_size"]
    transform = simplify.VASCXTransform(size, use_ce=False)
    grades = simplify.ClassificationEnsemble(str(model("quality")), transform).predict(picture)
    assert grades.shape == (1, 3) and sum(grades[0].tolist()) == pytest.approx(1, abs=1e-5)
    assert np.abs(to_numpy(grades)[0] - quality.predict(right, preprocess="resize").probabilities).max() < 0.01


def test_what_cannot_be_says_so():
    ensemble = simplify.ClassificationEnsemble(str(model("quality")), simplify.VASCXTransform(256, use_ce=False))
    for call in (ensemble.parameters, ensemble.forward, ensemble.train):
        with pytest.raises(NotImplementedError, match="Not here|not trained"):
            call()
    assert ensemble.eval().to("cpu") is ensemble
    with pytest.raises(vascx_rs.ModelError, match="for classification"):
        simplify.EnsembleSegmentation(str(model("quality")), simplify.VASCXTransform())


def test_squares_and_contrast(right):
    pixels = np.asarray(Image.open(right).convert("RGB")).transpose(2, 0, 1)[:, :400]
    enhance = SimpleFundusEnhance(square_size=128)
    rgb, contrast, bounds = enhance(pixels)
    assert rgb.shape == contrast.shape == (3, 128, 128)
    width = pixels.shape[2]
    assert bounds == {"hw": (400, width), "square_size": 128, "padding": (0, 0, (width - 400) // 2, (width - 399) // 2)}
    assert enhance.undo_bounds(rgb, **bounds).shape == pixels.shape
    centre = to_numpy(enhance.undo_bounds_points(np.array([[64.0, 64]]), **bounds))[0]
    assert np.allclose(centre, [width / 2, 200])
    # What is written here for other settings gives what is computed natively for these.
    slow = to_numpy(simple_fundus_enhance(rgb))
    assert (np.abs(slow.astype(int) - to_numpy(contrast)) <= 1).all()
    crop, _, circle = simplify.FundusContrastEnhance(square_size=128)(pixels)
    assert crop.shape == (3, 128, 128) and circle["radius"] > 100


def test_windows_of_any_predictor():
    images = np.random.default_rng(1).random((2, 3, 100, 140), np.float32)
    for mode in ("gaussian", "constant"):
        blended = simplify.sliding_window_inference(images, (64, 64), 4, lambda windows: windows * 2, mode=mode)
        assert np.abs(to_numpy(blended) - 2 * images).max() < 1e-5
    ones = simplify.sliding_window_inference(images, (128, 128), 1, lambda windows: windows[:, :1] * 0 + 1)
    assert ones.shape == (2, 1, 100, 140) and float(ones.min()) > 0.99


def test_utilities():
    classes = np.array([[0, 1, 1], [2, 3, 1]])
    assert utils.calculate_class_statistics(classes) == {0: 1, 1: 3, 2: 1, 3: 1}
    assert utils.calculate_centroid(classes == 1) == (5 / 3, 1 / 3)
    assert utils.calculate_bounding_box(classes == 1) == (1, 0, 2, 1)
    assert utils.calculate_area_percentage(classes == 1) == 50
    assert utils.calculate_vessel_ratio(classes == 1, classes == 2) == 3
    grey = np.full((2, 3, 3), 100, np.uint8)
    overlay = utils.create_artery_vein_overlay(grey, classes)
    assert overlay[0, 0].tolist() == [100] * 3 and overlay[0, 1].tolist() == [177, 50, 50]
    assert utils.resize_to_original(classes, (6, 4)).shape == (4, 6)
    matrix = to_numpy(utils.create_affine_matrix((40, 60), 32, 0.5, (30.0, 20.0)))
    assert matrix.tolist() == [[0.5, 0, 6], [0, 0.5, 1]]
    inverse = utils.invert_affine_matrix(matrix)
    assert utils.transform_point((10.0, 5.0), inverse).tolist() == [8, 8]
    image = np.arange(24, dtype=np.float32).reshape(1, 4, 6)
    square = to_numpy(utils.crop_and_resize(image, (3.0, 2.0), 4.0, 4))
    assert square[0, 1].tolist() == [0, 6, 8, 10]
    mark = utils.draw_fovea_marker(np.zeros((300, 400, 3), np.uint8), 150.3, 120.7)
    assert mark[120, 60].tolist() == [255, 0, 0] and mark[100, 100].tolist() == [0, 0, 0]
    assert utils.draw_quality_badge(grey.repeat(100, 0).repeat(100, 1), 1, 0.9).shape == (200, 300, 3)
    assert utils.create_side_by_side([grey, grey]).shape == (2, 26, 3)


@pytest.mark.skipif(torch is None, reason="torch is not installed")
def test_tensors_of_torch_go_in_and_come_out(right, quality):
    size = quality.description["preprocessing"]["square_size"]
    ensemble = simplify.ClassificationEnsemble(str(model("quality")), simplify.VASCXTransform(size, use_ce=False))
    pixels = np.array(Image.open(right).convert("RGB"))
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    found = ensemble.predict(tensor)
    assert isinstance(found, torch.Tensor) and torch.equal(found, ensemble.predict(pixels))
    assert torch.equal(quality_of(quality, tensor), quality_of(quality, pixels))


def quality_of(quality, photograph):
    return torch.from_numpy(quality.predict(photograph).probabilities)
