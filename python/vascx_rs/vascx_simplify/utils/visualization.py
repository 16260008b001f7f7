"""Answers drawn on photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Union

import numpy as np

from .image import blend_images, create_color_mask, pil_to_numpy

if TYPE_CHECKING:
    from PIL import Image

    Picture = Union[Image.Image, np.ndarray]

ARTERY_VEIN_COLORS = {0: (0, 0, 0), 1: (255, 0, 0), 2: (0, 0, 255), 3: (0, 255, 0)}
DISC_COLORS = {0: (0, 0, 0), 1: (255, 255, 0)}
QUALITY_COLORS = {0: (231, 76, 60), 1: (243, 156, 18), 2: (46, 204, 113)}
QUALITY_LABELS = ["REJECT", "USABLE", "GOOD"]

_MARGIN = 20
_PADDING = 15


def _pixels(image: Any) -> np.ndarray:
    """`[H, W, 3]` of a Pillow image or an array; grey is repeated."""
    pixels = image if isinstance(image, np.ndarray) else pil_to_numpy(image)
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def create_segmentation_overlay(
    image: Picture,
    prediction: np.ndarray,
    color_map: dict[int, tuple[int, int, int]] | None = None,
    alpha: float = 0.5,
    exclude_background: bool = True,
) -> np.ndarray:
    """Colours of a class map over a photograph, `[H, W, 3]`; arteries, veins and crossings by default."""
    colours = create_color_mask(prediction, ARTERY_VEIN_COLORS if color_map is None else color_map)
    mask = prediction > 0 if exclude_background else None
    return blend_images(_pixels(image), colours, alpha, mask)


def create_artery_vein_overlay(image: Picture, prediction: np.ndarray, alpha: float = 0.5) -> np.ndarray:
    """Arteries red, veins blue, crossings green over a photograph."""
    return create_segmentation_overlay(image, prediction, ARTERY_VEIN_COLORS, alpha)


def create_disc_overlay(image: Picture, prediction: np.ndarray, alpha: float = 0.4) -> np.ndarray:
    """The optic disc yellow over a photograph."""
    return create_segmentation_overlay(image, prediction, DISC_COLORS, alpha)


def draw_fovea_marker(
    image: Picture,
    x: float,
    y: float,
    marker_size: int = 200,
    marker_color: tuple[int, int, int] = (255, 0, 0),
    line_width: int = 3,
) -> np.ndarray:
    """A cross of this width and height at a point, with a circle of a third of it for a radius."""
    from PIL import Image, ImageDraw

    picture = Image.fromarray(_pixels(image))
    draw = ImageDraw.Draw(picture)
    x, y = int(x), int(y)
    arm, radius = marker_size // 2, marker_size // 3
    draw.line([(x - arm, y), (x + arm, y)], fill=marker_color, width=line_width)
    draw.line([(x, y - arm), (x, y + arm)], fill=marker_color, width=line_width)
    box = [x - radius, y - radius, x + radius, y + radius]
    draw.ellipse(box, outline=marker_color, width=line_width)
    return np.array(picture)


def draw_quality_badge(
    image: Picture,
    quality_class: int,
    confidence: float | None = None,
    position: str = "top-left",
    badge_size: int = 120,
) -> np.ndarray:
    """The name of a quality class and its confidence in a corner of a photograph. (The badge is as large as its
    text; `badge_size` changes nothing, as in vascx_simplify.)"""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.fromarray(_pixels(image))
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default()
    text = QUALITY_LABELS[quality_class]
    if confidence is not None:
        text += f"\n{confidence:.0%}"
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right - left + 2 * _PADDING, bottom - top + 2 * _PADDING
    x = _MARGIN if position.endswith("left") else picture.width - width - _MARGIN
    y = _MARGIN if position.startswith("top") else picture.height - height - _MARGIN
    draw.rounded_rectangle(
        [x, y, x + width, y + height], radius=10, fill=QUALITY_COLORS[quality_class], outline=(0, 0, 0), width=2
    )
    draw.text((x + _PADDING, y + _PADDING), text, fill=(255, 255, 255), font=font)
    return np.array(picture)


def create_side_by_side(
    images: list[np.ndarray], titles: list[str] | None = None, title_fontsize: int = 20, spacing: int = 20
) -> np.ndarray:
    """Pictures in a row on white, of the lowest one's height. (Titles are not drawn, as in vascx_simplify.)"""
    from PIL import Image

    height = min(image.shape[0] for image in images)
    row: list[np.ndarray] = []
    for image in map(_pixels, images):
        if row:
            row.append(np.full((height, spacing, 3), 255, np.uint8))
        if image.shape[0] != height:
            width = int(image.shape[1] * height / image.shape[0])
            image = np.array(Image.fromarray(image).resize((width, height)))
        row.append(image)
    return np.concatenate(row, axis=1)


def create_comparison_grid(
    original: np.ndarray, mask: np.ndarray, overlay: np.ndarray, titles: list[str] | None = None
) -> np.ndarray:
    """Photograph, mask and overlay in a row."""
    return create_side_by_side([original, mask, overlay], titles)
