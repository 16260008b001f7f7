"""Preprocessing of photographs for the demo models: `simple`, `full` with a known field, `resize`.

Images are u8 `[h, w, 3]`; the results are u8 `[S, S, 3]` or `[S, S, 6]` (RGB, then the
contrast-enhanced RGB). `normalise` turns them into the network's input.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

MEAN = np.array((0.485, 0.456, 0.406), np.float32)
STD = np.array((0.229, 0.224, 0.225), np.float32)


@dataclass
class Geometry:
    """Square crop of a photograph: pixel (x, y) of the photograph lies at ((x, y) − origin)·scale."""

    shape: tuple[int, int]  # h, w of the photograph
    origin: tuple[float, float]  # x, y of the crop's corner in the photograph
    scale: float  # crop pixels per photograph pixel

    def to_crop(self, x: float, y: float) -> tuple[float, float]:
        return (x - self.origin[0]) * self.scale, (y - self.origin[1]) * self.scale

    def to_photograph(self, x: float, y: float) -> tuple[float, float]:
        return x / self.scale + self.origin[0], y / self.scale + self.origin[1]


def normalise(pixels: np.ndarray) -> torch.Tensor:
    """u8 `[..., C]` with C = 3 or 6 → f32 `[..., C]`, every RGB triple normalised alike."""
    repeats = pixels.shape[-1] // 3
    return torch.from_numpy((pixels / np.float32(255) - np.tile(MEAN, repeats)) / np.tile(STD, repeats))


def resize_bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear resampling with half-pixel centres and no antialiasing, f32 `[h, w, c]`."""
    tensor = torch.from_numpy(np.ascontiguousarray(image, np.float32)).permute(2, 0, 1)[None]
    out = F.interpolate(tensor, (height, width), mode="bilinear", align_corners=False)
    return out[0].permute(1, 2, 0).numpy()


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Clamps to [0, 255] and truncates to u8."""
    return np.clip(image, 0, 255).astype(np.uint8)


@lru_cache(maxsize=8)
def _blur_matrix(size: int, sigma: float) -> np.ndarray:
    """Gaussian blur of a line of `size` pixels as a matrix; the border reflects without repeating."""
    reach = int(np.ceil(3 * sigma))
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    matrix = np.zeros((size, size))
    for row in range(size):
        source = np.abs(row + offsets) % (2 * size - 2)
        source = np.where(source >= size, 2 * size - 2 - source, source)
        np.add.at(matrix[row], source, kernel)
    return matrix.astype(np.float32)


def _enhance(x: np.ndarray, blurred: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """e = clamp(4·(x − b) + 0.5) as u8, zero outside the mask."""
    return to_bytes(np.clip(4 * (x - blurred) + 0.5, 0, 1) * 255) * mask[..., None]


def simple(image: np.ndarray, size: int) -> tuple[np.ndarray, Geometry]:
    """Pads to a square, resizes, enhances over a blur of the picture. Returns `[S, S, 6]` u8."""
    h, w = image.shape[:2]
    side = max(h, w)
    top, left = (side - h) // 2, (side - w) // 2
    square = np.zeros((side, side, 3), np.uint8)
    square[top : top + h, left : left + w] = image
    rgb = to_bytes(resize_bilinear(square, size, size))
    mask = (rgb > 10).any(-1)
    x = rgb / np.float32(255) * mask[..., None]
    blur = _blur_matrix(size, 0.05 * size / 2)
    blurred = np.stack([blur @ x[..., c] @ blur.T for c in range(3)], -1)
    both = np.concatenate([rgb, _enhance(x, blurred, mask)], -1)
    return both, Geometry((h, w), (-left, -top), size / side)


def full(image: np.ndarray, size: int, centre, radius: float, rectangle) -> tuple[np.ndarray, Geometry]:
    """Crops a known field of view (circle; visible x0, y0, x1, y1), mirrors its edge, enhances."""
    geometry = Geometry(image.shape[:2], (centre[0] - radius, centre[1] - radius), size / (2 * radius))
    step = 1 / geometry.scale
    picture = Image.fromarray(image).transform(
        (size, size), Image.AFFINE, (step, 0, geometry.origin[0], 0, step, geometry.origin[1]), Image.BILINEAR)
    rgb = np.asarray(picture)
    small = 256
    x0, y0 = geometry.to_crop(rectangle[0], rectangle[1])
    x1, y1 = geometry.to_crop(rectangle[2], rectangle[3])
    bounds = [np.clip(v * small / size, 0, small) for v in (x0, y0, x1, y1)]
    coarse = resize_bilinear(rgb, small, small)[_mirror(bounds, small)] / np.float32(255)
    blur = _blur_matrix(small, 0.05 * small / 2)
    blurred = np.stack([blur @ coarse[..., c] @ blur.T for c in range(3)], -1)
    blurred = resize_bilinear(blurred, size, size)
    gy, gx = np.mgrid[0.5:size, 0.5:size].astype(np.float32)
    border = 0.01 * size / 2
    mask = np.hypot(gx - size / 2, gy - size / 2) < 0.99 * size / 2
    mask &= (gx > x0 + border) & (gx < x1 - border) & (gy > y0 + border) & (gy < y1 - border)
    return np.concatenate([rgb, _enhance(rgb / np.float32(255), blurred, mask)], -1), geometry


def _mirror(bounds, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices (row, column) that mirror a crop across its rectangle, then across its circle."""
    x0, y0, x1, y1 = bounds
    r = size / 2
    gy, gx = np.mgrid[0:size, 0:size] + 0.5
    dx, dy = gx - r, gy - r
    rho = np.maximum(np.hypot(dx, dy), 1e-6)
    factor = np.where(rho > 0.99 * r, (0.99 * r / rho) ** 2, 1)
    gx, gy = r + dx * factor, r + dy * factor
    border = 0.01 * r

    def fold(v, low, high):
        v = np.where(v < low + border, 2 * (low + border) - v, v)
        v = np.where(v > high - border, 2 * (high - border) - v, v)
        return np.clip(v, 0, size - 1).astype(np.int32)

    return fold(gy, y0, y1), fold(gx, x0, x1)


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Bilinear resize to a square without keeping the aspect ratio. Returns `[S, S, 3]` u8."""
    return to_bytes(resize_bilinear(image, size, size))


def map_to_photograph(values: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Undoes `simple` for a map f32 `[S, S, c]`: bilinear resize, then the padding is cropped."""
    h, w = geometry.shape
    side = max(h, w)
    square = resize_bilinear(values, side, side)
    left, top = int(-geometry.origin[0]), int(-geometry.origin[1])
    return square[top : top + h, left : left + w]


def map_to_crop(classes: np.ndarray, geometry: Geometry, size: int) -> np.ndarray:
    """Brings a class map u8 `[h, w]` into the crop with nearest neighbour, u8 `[S, S]`."""
    step = 1 / geometry.scale
    picture = Image.fromarray(classes).transform(
        (size, size), Image.AFFINE, (step, 0, geometry.origin[0], 0, step, geometry.origin[1]), Image.NEAREST)
    return np.asarray(picture)
