"""Affine maps of images and points. Centres are (y, x), as vascx_simplify 0.1.11 takes them in this module."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sampling import sample
from .._tensors import to_numpy, to_tensor
from .geometry import _dtype


def compute_scale_from_bounds(bounds_size: float, target_size: int) -> float:
    """The factor that makes one size the other."""
    return target_size / bounds_size


def _affine(out_size: int, scale: float, center: tuple[float, float]) -> np.ndarray:
    middle = out_size / 2
    return np.array(
        [[scale, 0, middle - scale * center[1]], [0, scale, middle - scale * center[0]]], np.float64
    )


def create_affine_matrix(
    in_size: tuple[int, int],
    out_size: int,
    scale: float,
    center: tuple[float, float],
    device: Any = "cpu",
    dtype: Any = None,
) -> Any:
    """`[2, 3]`: scales about a centre, which comes to lie in the middle of a square."""
    return to_tensor(_affine(out_size, scale, center).astype(_dtype(dtype)), device=device)


def _square(matrix: np.ndarray) -> np.ndarray:
    return np.vstack([matrix[:2], [0, 0, 1]]) if matrix.shape[0] == 2 else matrix


def invert_affine_matrix(M: Any, device: Any = None) -> Any:
    """`[3, 3]`: the inverse of `[2, 3]`."""
    matrix = to_numpy(M)
    return to_tensor(np.linalg.inv(_square(matrix)).astype(matrix.dtype), like=M, device=device)


def transform_point(point: tuple[float, float], M_inv: Any, device: Any = None) -> np.ndarray:
    """A point (x, y) after a map `[3, 3]`."""
    matrix = to_numpy(M_inv)
    return (matrix @ np.array([*point, 1], matrix.dtype))[:2]


def transform_points_batch(points_tensor: Any, M: Any, inverse: bool = False) -> Any:
    """Points `[..., 2]` after a map `[2, 3]` or `[3, 3]`, or its inverse; `[N, P, 2]` after N maps, too."""
    points, matrices = to_numpy(points_tensor), to_numpy(M)
    each = np.stack([_square(matrix) for matrix in matrices.reshape(-1, *matrices.shape[-2:])])
    if inverse:
        each = np.linalg.inv(each)
    if matrices.ndim == 2:
        each = each[0]
    moved = points @ each[..., :2, :2].swapaxes(-1, -2) + each[..., None, :2, 2]
    if matrices.ndim == 2:
        moved = moved.reshape(points.shape)
    return to_tensor(moved.astype(points.dtype), like=points_tensor)


def _warp(image: Any, matrix: np.ndarray, size: tuple[int, int], mode: str, padding: str = "zeros") -> Any:
    pixels = to_numpy(image)
    inverse = np.linalg.inv(_square(matrix.astype(np.float64)))
    y, x = np.mgrid[: size[0], : size[1]]
    at_x = inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]
    at_y = inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]
    return to_tensor(sample(pixels, at_x, at_y, mode, padding).astype(pixels.dtype), like=image)


def warp_image_affine(
    image: Any, M: Any, output_size: tuple[int, int], mode: str = "bilinear", padding_mode: str = "zeros"
) -> Any:
    """An image `[C, h, w]` after a map of its pixels `[2, 3]`, of another size."""
    return _warp(image, to_numpy(M), output_size, mode, padding_mode)


def resize_with_aspect_ratio(image: Any, target_size: int, mode: str = "bilinear") -> tuple[Any, float]:
    """An image whose longer side is of another length, and the factor."""
    height, width = image.shape[-2:]
    scale = target_size / max(height, width)
    matrix = np.array([[scale, 0, 0], [0, scale, 0]])
    return _warp(image, matrix, (int(height * scale), int(width * scale)), mode), scale


def crop_and_resize(
    image: Any, center: tuple[float, float], crop_size: float, output_size: int, mode: str = "bilinear"
) -> Any:
    """A square of twice `crop_size` about a centre, resized to `output_size`."""
    matrix = _affine(output_size, output_size / (2 * crop_size), center)
    return _warp(image, matrix, (output_size, output_size), mode)


def undo_crop_and_resize(
    cropped_image: Any,
    original_size: tuple[int, int],
    center: tuple[float, float],
    crop_size: float,
    output_size: int,
    mode: str = "bilinear",
) -> Any:
    """What `crop_and_resize` made, where it lay; 0 around it."""
    matrix = _square(_affine(output_size, output_size / (2 * crop_size), center))
    return _warp(cropped_image, np.linalg.inv(matrix), original_size, mode)
