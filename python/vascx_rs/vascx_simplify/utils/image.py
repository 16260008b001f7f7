"""Conversions and mixtures of pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._tensors import to_numpy

if TYPE_CHECKING:
    from PIL import Image


def tensor_to_numpy(tensor: Any) -> np.ndarray:
    """The values of a tensor in this machine's memory."""
    return to_numpy(tensor)


def pil_to_numpy(image: Image.Image) -> np.ndarray:
    """Pixels `[H, W, C]` or `[H, W]` of a Pillow image."""
    return np.array(image)


def numpy_to_pil(array: np.ndarray) -> Image.Image:
    """A Pillow image of pixels from 0 to 255, of any type."""
    from PIL import Image

    return Image.fromarray(np.asarray(array).astype(np.uint8))


def create_color_mask(class_map: np.ndarray, color_dict: dict[int, tuple[int, int, int]]) -> np.ndarray:
    """Colours `[H, W, 3]` of the classes of a map; black where a class has none."""
    colours = np.zeros((*class_map.shape, 3), np.uint8)
    for index, colour in color_dict.items():
        colours[class_map == index] = colour
    return colours


def blend_images(
    background: np.ndarray, overlay: np.ndarray, alpha: float = 0.5, mask: np.ndarray | None = None
) -> np.ndarray:
    """`alpha` parts of the overlay over the rest of the background, where the mask is or everywhere."""
    mixed = (background * (1 - alpha) + overlay * alpha).astype(np.uint8)
    if mask is None:
        return mixed
    return np.where(mask.astype(bool)[..., None], mixed, background).astype(background.dtype)


def resize_to_original(
    prediction: np.ndarray, original_size: tuple[int, int], interpolation: int = 0
) -> np.ndarray:
    """A map resized to (width, height) by Pillow as bytes; the interpolation is Pillow's number, 0 the nearest
    pixel."""
    from PIL import Image

    picture = Image.fromarray(np.asarray(prediction).astype(np.uint8))
    return np.array(picture.resize(tuple(original_size), interpolation))
