"""Local contrast of photographs, with or without a crop of the field of view."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..._preprocess import preprocess
from .._sampling import resize, sample
from .._tensors import is_tensor, to_numpy, to_tensor


def as_pixels(image: Any) -> np.ndarray:
    """`[H, W, 3]`, uint8, of a tensor or array of channels first, an array of channels last, or a Pillow image.
    Floats are taken for 0 to 1."""
    pixels = to_numpy(image)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    elif pixels.ndim == 3 and pixels.shape[0] in (1, 3) and pixels.shape[2] not in (1, 3):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim != 3:
        raise ValueError(f"a photograph [3, H, W] is expected, not one of shape {pixels.shape}")
    if pixels.dtype.kind == "f":
        pixels = np.clip(pixels, 0, 1) * 255
    pixels = pixels.astype(np.uint8)
    return np.ascontiguousarray(np.repeat(pixels[..., :1], 3, 2) if pixels.shape[2] < 3 else pixels[..., :3])


def channels_first(pixels: np.ndarray, like: Any) -> Any:
    return to_tensor(pixels.transpose(2, 0, 1), like=like)


def _blur(plane: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of `[H, W, 3]`; the border mirrors, without the edge pixel again."""
    reach = math.ceil(3 * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        around = [(0, 0)] * 3
        around[axis] = (reach, reach)
        padded = np.pad(plane, around, mode="reflect")
        length = plane.shape[axis]
        plane = np.zeros_like(plane)
        for tap, weight in enumerate(weights):
            plane += weight * np.take(padded, range(tap, tap + length), axis)
    return plane


def _enhance(rgb: np.ndarray, sigma: float, factor: float, threshold: int) -> np.ndarray:
    inside = (rgb > threshold).any(2, keepdims=True)
    levels = rgb.astype(np.float32) / 255 * inside
    contrast = np.clip(factor * (levels - _blur(levels, sigma)) + 0.5, 0, 1) * 255
    return contrast.astype(np.uint8) * inside


def simple_fundus_enhance(
    image: Any,
    sigma: float | None = None,
    contrast_factor: float = 4.0,
    device: str | None = None,
    use_fp16: bool = True,
    black_threshold: int = 10,
) -> Any:
    """Local contrast of a photograph `[3, H, W]`, or of an array `[H, W, 3]`, or of several `[N, 3, H, W]`, in its own size
    and layout (uint8).

    Args:
        sigma: of the Gaussian blur in pixels; a fortieth of the shorter side by default.
        contrast_factor: how much the difference from the blurred photograph is amplified.
        device: where the result lies.
        use_fp16: without effect; computed in float32.
        black_threshold: pixels with no channel above it stay black.
    """
    if image.ndim == 4:
        settings = (sigma, contrast_factor, device, use_fp16, black_threshold)
        each = [to_numpy(simple_fundus_enhance(one, *settings)) for one in image]
        return to_tensor(np.stack(each), like=image, device=device)
    pixels = as_pixels(image)
    if sigma is None:
        sigma = 0.05 * min(pixels.shape[:2]) / 2
    enhanced = _enhance(pixels, sigma, contrast_factor, black_threshold)
    if is_tensor(image) or image.shape[-1] != 3:
        enhanced = enhanced.transpose(2, 0, 1)
    return to_tensor(enhanced, like=image, device=device)


class SimpleFundusEnhance:
    """Pads a photograph to a square, resizes it and computes its local contrast."""

    DEFAULT_SIGMA_FRACTION = 0.05
    DEFAULT_CONTRAST_FACTOR = 4
    DEFAULT_BLACK_THRESHOLD = 10

    def __init__(
        self,
        square_size: int | None = 1024,
        sigma_fraction: float | None = None,
        contrast_factor: float | None = None,
        black_threshold: int | None = None,
        use_fp16: bool = True,
    ) -> None:
        def default(value: Any, otherwise: Any) -> Any:
            return otherwise if value is None else value

        self.square_size = square_size
        self.sigma_fraction = default(sigma_fraction, self.DEFAULT_SIGMA_FRACTION)
        self.contrast_factor = default(contrast_factor, self.DEFAULT_CONTRAST_FACTOR)
        self.black_threshold = default(black_threshold, self.DEFAULT_BLACK_THRESHOLD)
        self.use_fp16 = use_fp16

    @property
    def is_default(self) -> bool:
        """Whether it does what the released models were run with."""
        settings = (self.sigma_fraction, self.contrast_factor, self.black_threshold)
        return settings == (
            self.DEFAULT_SIGMA_FRACTION,
            self.DEFAULT_CONTRAST_FACTOR,
            self.DEFAULT_BLACK_THRESHOLD,
        )

    def __call__(self, img: Any) -> tuple[Any, Any, dict[str, Any]]:
        """The square and its contrast, `[3, S, S]` (uint8), and where the square lies: `hw`, `square_size`,
        `padding` (left, right, top, bottom) in pixels of the photograph."""
        pixels = as_pixels(img)
        height, width = pixels.shape[:2]
        padding, enhanced = (0, 0, 0, 0), None
        if self.square_size is None:
            square = pixels
        else:
            longest = max(height, width)
            left, top = (longest - width) // 2, (longest - height) // 2
            padding = (left, longest - width - left, top, longest - height - top)
            native = preprocess(pixels, "simple", size=self.square_size, contrast=self.is_default)
            square = native.rgb
            enhanced = native.contrast
        if enhanced is None:
            sigma = self.sigma_fraction * min(square.shape[:2]) / 2
            enhanced = _enhance(square, sigma, self.contrast_factor, self.black_threshold)
        bounds = {"hw": (height, width), "square_size": self.square_size, "padding": padding}
        return channels_first(square, img), channels_first(enhanced, img), bounds

    def undo_bounds(
        self,
        bounded_image: Any,
        hw: tuple[int, int],
        square_size: int | None = None,
        padding: tuple[int, int, int, int] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Maps `[..., S, S]` in the photograph's pixels, `[..., H, W]`, resized bilinearly."""
        values = to_numpy(bounded_image)
        if square_size is None:
            return bounded_image
        left, right, top, bottom = padding or (0, 0, 0, 0)
        height, width = hw
        whole = resize(values, (height + top + bottom, width + left + right))
        values = whole[..., top : top + height, left : left + width].astype(values.dtype)
        return to_tensor(values, like=bounded_image)

    def undo_bounds_points(
        self,
        points_tensor: Any,
        hw: tuple[int, int],
        square_size: int | None = None,
        padding: tuple[int, int, int, int] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Points (x, y) `[..., 2]` on the square in the photograph's pixels."""
        if square_size is None:
            return points_tensor
        points = to_numpy(points_tensor)
        left, right, top, bottom = padding or (0, 0, 0, 0)
        longest = (hw[1] + left + right, hw[0] + top + bottom)
        moved = points * np.divide(longest, square_size) - (left, top)
        return to_tensor(moved.astype(points.dtype), like=points_tensor)


class FundusContrastEnhance:
    """Finds the field of view, crops to it and computes its local contrast.

    The crop is the one that the models were trained with (retinalysis-fundusprep). vascx_simplify exchanges x and
    y there: its crops of photographs that are not square lie beside the field of view, these do not. `bounds`
    has the circle's `center` as (x, y).
    """

    def __init__(
        self,
        square_size: int | None = 1024,
        sigma_fraction: float | None = None,
        contrast_factor: int | None = None,
        return_bounds: bool = True,
        use_fp16: bool = True,
    ) -> None:
        self.square_size = square_size
        self.sigma_fraction = 0.05 if sigma_fraction is None else sigma_fraction
        self.contrast_factor = 4 if contrast_factor is None else contrast_factor
        self.return_bounds = return_bounds
        self.use_fp16 = use_fp16
        if (self.sigma_fraction, self.contrast_factor) != (0.05, 4):
            raise NotImplementedError(
                "the crop of the field of view is enhanced with sigma_fraction 0.05 and contrast_factor 4 only; "
                "SimpleFundusEnhance takes others"
            )

    def __call__(self, img: Any) -> tuple[Any, ...]:
        """The crop and its contrast, `[3, S, S]` (uint8), and the field of view: `center` (x, y), `radius`,
        `lines`, `hw`."""
        pixels = as_pixels(img)
        size, mode = self.square_size, "full"
        if size is None:
            size, mode = max(pixels.shape[:2]), "crop"
        square = preprocess(pixels, mode, size=size, contrast=True)  # type: ignore[arg-type]
        bounds = square.bounds
        bounds["center"], bounds["hw"] = tuple(bounds["center"]), tuple(bounds["hw"])
        assert square.contrast is not None
        images = channels_first(square.rgb, img), channels_first(square.contrast, img)
        return (*images, bounds) if self.return_bounds else images

    def undo_bounds(
        self, bounded_image: Any, center: tuple[float, float], radius: float, hw: tuple[int, int], **kwargs: Any
    ) -> Any:
        """Maps `[..., S, S]` in the photograph's pixels, `[..., H, W]`; 0 outside of the crop."""
        values = to_numpy(bounded_image)
        side = values.shape[-1]
        y, x = np.mgrid[: hw[0], : hw[1]]
        scale = side / (2 * radius)
        mode = "bilinear" if values.dtype.kind == "f" else "nearest"
        at_x, at_y = (x - center[0]) * scale + side / 2, (y - center[1]) * scale + side / 2
        return to_tensor(sample(values, at_x, at_y, mode, "zeros").astype(values.dtype), like=bounded_image)

    def undo_bounds_points(
        self, points_tensor: Any, center: tuple[float, float], radius: float, **kwargs: Any
    ) -> Any:
        """Points (x, y) `[..., 2]` on the crop in the photograph's pixels."""
        points = to_numpy(points_tensor)
        side = self.square_size or max(kwargs["hw"])
        moved = (points - side / 2) * (2 * radius / side) + center
        return to_tensor(moved.astype(points.dtype), like=points_tensor)
