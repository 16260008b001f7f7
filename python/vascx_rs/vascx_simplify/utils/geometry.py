"""Circles, lines and grids. Centres are (y, x), as vascx_simplify 0.1.11 takes them in this module."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sampling import sample
from .._tensors import to_numpy, to_tensor


def _dtype(dtype: Any) -> Any:
    """NumPy's for torch's and NumPy's own; float32 by default."""
    return np.dtype(str(dtype).removeprefix("torch.")) if dtype is not None else np.float32


def create_coordinate_grid(h: int, w: int, device: Any = "cpu", dtype: Any = None) -> tuple[Any, Any]:
    """Columns and rows `[h, w]` of every pixel."""
    rows, columns = np.mgrid[:h, :w].astype(_dtype(dtype))
    return to_tensor(columns, device=device), to_tensor(rows, device=device)


def _distances(height: int, width: int, center: tuple[float, float]) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.hypot(rows - center[0], columns - center[1])


def create_circular_mask(
    size: tuple[int, int],
    center: tuple[float, float],
    radius: float,
    device: Any = "cpu",
    dtype: Any = None,
    scale_factor: float = 1.0,
) -> Any:
    """1 `[h, w]` where a pixel is nearer to the centre than the scaled radius, else 0."""
    inside = _distances(*size, center) < radius * scale_factor
    return to_tensor(inside.astype(_dtype(dtype)), device=device)


def apply_circular_crop(image: Any, center: tuple[float, float], radius: float, fill_value: float = 0.0) -> Any:
    """The image `[..., h, w]` with another value outside of a circle."""
    pixels = to_numpy(image)
    inside = _distances(*pixels.shape[-2:], center) < radius
    return to_tensor(np.where(inside, pixels, np.asarray(fill_value, pixels.dtype)), like=image)


def calculate_circle_bounds(
    center: tuple[float, float], radius: float, image_size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """First and last row, first and last column of a circle in an image, (y_min, y_max, x_min, x_max)."""
    (y, x), (height, width) = center, image_size
    return (
        max(0, int(y - radius)),
        min(height, int(y + radius)),
        max(0, int(x - radius)),
        min(width, int(x + radius)),
    )


def get_circle_coordinates(
    center: tuple[float, float], radius: float, num_points: int = 360
) -> tuple[np.ndarray, np.ndarray]:
    """x and y of points around a circle; the last is the first."""
    angles = np.linspace(0, 2 * np.pi, num_points)
    return center[1] + radius * np.cos(angles), center[0] + radius * np.sin(angles)


def line_circle_intersection(
    line_p0: np.ndarray, line_p1: np.ndarray, circle_center: np.ndarray, circle_radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """The points in which a line through two points cuts a circle, the one further along the line first; the two
    points where it does not."""
    along, offset = line_p1 - line_p0, line_p0 - circle_center
    a, b = along @ along, 2 * (along @ offset)
    discriminant = b * b - 4 * a * (offset @ offset - circle_radius**2)
    if discriminant < 0:
        return line_p0, line_p1
    root = np.sqrt(discriminant)
    return line_p0 + (-b + root) / (2 * a) * along, line_p0 + (-b - root) / (2 * a) * along


def polar_transform(
    image: Any,
    center: tuple[float, float],
    max_radius: float,
    output_size: int,
    device: Any = None,
    dtype: Any = None,
) -> Any:
    """An image `[h, w]` by angle (rows, a full turn) and distance from the centre (columns)."""
    pixels = to_numpy(image).astype(_dtype(dtype))
    if pixels.ndim != 2:
        raise ValueError(f"an image [h, w] is expected, not one of shape {pixels.shape}")
    angles = np.linspace(0, 2 * np.pi, output_size)[:, None]
    radii = np.linspace(0, max_radius, output_size)[None]
    x, y = center[1] + radii * np.cos(angles), center[0] + radii * np.sin(angles)
    polar = sample(pixels[None], x, y, "bilinear", "zeros")[0]
    return to_tensor(polar.astype(pixels.dtype), like=image, device=device)
