"""What a camera does to a scene: quality defects in three separate strengths, sensor, JPEG."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image
from scipy import ndimage

# In the order in which they arise on the way of the light: noise comes after any blur.
DEFECTS = ("defocus", "motion", "haze", "shadow", "under", "over", "noise")


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(image, (sigma, sigma, 0), truncate=3)


def _defect(rng, image: np.ndarray, kind: str, strength: float, radius: float) -> np.ndarray:
    """Applies one defect; `strength` 0.5 spoils a photograph visibly, 1 makes it useless.

    `image` is f32 `[h, w, 3]` in [0, 1]; `radius` is the field's radius in pixels.
    """
    h, w = image.shape[:2]
    if kind == "defocus":
        return _blur(image, 0.04 * radius * strength)
    if kind == "motion":
        length = 0.2 * radius * strength
        angle = rng.uniform(0, math.pi)
        along = np.linspace(-0.5, 0.5, max(3, int(length / 1.5))) * length
        shifts = {(round(d * math.sin(angle)), round(d * math.cos(angle))) for d in along}
        return sum(np.roll(image, shift, (0, 1)) for shift in sorted(shifts)) / np.float32(len(shifts))
    if kind in ("under", "over"):  # brings the typical brightness to a level no good photograph has
        level = 0.2 - 0.17 * strength if kind == "under" else 0.45 + 0.4 * strength
        return np.minimum(image * (level / max(float(np.median(image.mean(-1))), 0.02)), 1)
    if kind == "haze":
        veil = np.array(rng.uniform((0.5, 0.45, 0.35), (0.8, 0.7, 0.6)), np.float32)
        share = min(0.88, 0.9 * strength**1.5)
        return _blur(image, 0.008 * radius * strength) * (1 - share) + veil * share
    if kind == "shadow":
        gy, gx = np.mgrid[0:h, 0:w].astype(np.float32)
        angle = rng.uniform(0, 2 * math.pi)
        lean = ((gx - w / 2) * math.cos(angle) + (gy - h / 2) * math.sin(angle)) / radius
        limit = 0.75 - 0.95 * strength
        dark = 1 / (1 + np.exp(np.clip(-(lean - limit) / 0.12, -30, 30)))
        return image * (1 - (0.55 + 0.4 * strength) * dark)[..., None]
    if kind == "noise":
        grain = rng.standard_normal((h, w, 3)).astype(np.float32)
        return image + _blur(grain, 0.7) * 2.2 * 0.16 * strength
    raise ValueError(f"unknown defect {kind!r}")


def degrade(rng, image: np.ndarray, grade: int, radius: float) -> np.ndarray:
    """Grade 0 leaves mild traces, 1 one clear defect, 2 a severe and a clear one."""
    image = _blur(image, radius * rng.uniform(0.0005, 0.0028))
    if grade == 0:
        return image
    kinds = list(rng.permutation(DEFECTS))
    if grade == 1:
        return _defect(rng, image, kinds[0], rng.uniform(0.5, 0.62), radius)
    # A second change of exposure could undo the first.
    second = next(kind for kind in kinds[1:] if kind not in ("under", "over"))
    strengths = {kinds[0]: rng.uniform(1.0, 1.2), second: rng.uniform(0.6, 0.8)}
    for kind in sorted(strengths, key=DEFECTS.index):
        image = _defect(rng, image, kind, strengths[kind], radius)
    return image


def add_sensor(rng, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Field mask, tone curve, noise and often JPEG compression. Returns u8 `[h, w, 3]`."""
    image = np.clip(image, 0, 1) ** rng.uniform(0.9, 1.15)
    surround = rng.uniform(0, 0.03)
    image = image * mask[..., None] + surround * (1 - mask[..., None])
    grain = rng.standard_normal(image.shape, np.float32)
    if rng.random() < 0.6:  # demosaicing correlates the noise of neighbouring pixels
        grain = 2 * ndimage.uniform_filter(grain, (2, 2, 0))
    image = image + grain * rng.uniform(0.002, 0.014)
    pixels = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=int(rng.uniform(70, 96)))
        pixels = np.asarray(Image.open(buffer).convert("RGB"))
    return pixels
