"""Bilinear and nearest sampling of images `[C, H, W]`."""

from __future__ import annotations

import numpy as np


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear with half-pixel centres, without antialiasing, of the last two axes; float32."""
    for axis, length in ((-2, size[0]), (-1, size[1])):
        before = image.shape[axis]
        if before == length:
            continue
        at = np.clip((np.arange(length) + 0.5) * (before / length) - 0.5, 0, before - 1)
        low = np.floor(at).astype(np.int64)
        part = (at - low).astype(np.float32).reshape((-1, 1) if axis == -2 else (-1,))
        below = np.take(image, low, axis).astype(np.float32, copy=False)
        above = np.take(image, np.minimum(low + 1, before - 1), axis)
        image = below + (above - below) * part
    return image.astype(np.float32, copy=False)


def resize_nearest(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The pixel whose area the output pixel's corner falls into, of the last two axes."""
    for axis, length in ((-2, size[0]), (-1, size[1])):
        before = image.shape[axis]
        at = np.minimum(np.arange(length) * before // length, before - 1)
        image = np.take(image, at, axis)
    return image


def sample(image: np.ndarray, x: np.ndarray, y: np.ndarray, mode: str, padding: str) -> np.ndarray:
    """Values of an image `[C, H, W]` at positions in pixel indices, `[C, *x.shape]`; beyond the border 0
    (`zeros`) or the nearest pixel (`border`)."""
    height, width = image.shape[-2:]
    if padding == "border":
        x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)

    def at(column: np.ndarray, row: np.ndarray) -> np.ndarray:
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        column, row = np.clip(column, 0, width - 1), np.clip(row, 0, height - 1)
        return np.where(inside, image[..., row, column], 0)

    if mode == "nearest":
        return at(np.rint(x).astype(np.int64), np.rint(y).astype(np.int64))
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    dx, dy = (x - left).astype(np.float32), (y - top).astype(np.float32)
    upper = at(left, top) * (1 - dx) + at(left + 1, top) * dx
    lower = at(left, top + 1) * (1 - dx) + at(left + 1, top + 1) * dx
    return upper * (1 - dy) + lower * dy
