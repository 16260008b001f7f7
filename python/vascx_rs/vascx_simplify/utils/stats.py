"""Counts and places of pixels."""

from __future__ import annotations

import numpy as np


def calculate_class_statistics(class_map: np.ndarray) -> dict[int, int]:
    """Number of pixels of every class that occurs in a map `[H, W]`."""
    classes, counts = np.unique(class_map, return_counts=True)
    return {int(index): int(count) for index, count in zip(classes, counts)}


def calculate_centroid(binary_mask: np.ndarray) -> tuple[float, float]:
    """Mean (x, y) of a mask's pixels, in pixel indices; (0, 0) where there are none."""
    rows, columns = np.nonzero(binary_mask)
    if len(rows) == 0:
        return 0.0, 0.0
    return float(columns.mean()), float(rows.mean())


def calculate_area_percentage(binary_mask: np.ndarray, total_pixels: int | None = None) -> float:
    """Per cent of all pixels, or of so many, that a mask holds."""
    total = binary_mask.size if total_pixels is None else total_pixels
    return float(np.sum(binary_mask)) / total * 100


def calculate_vessel_ratio(artery_mask: np.ndarray, vein_mask: np.ndarray) -> float:
    """Pixels of arteries per pixel of veins; 0 where there are no veins."""
    veins = np.sum(vein_mask)
    return float(np.sum(artery_mask) / veins) if veins else 0.0


def calculate_bounding_box(binary_mask: np.ndarray) -> tuple[int, int, int, int]:
    """Smallest and largest column and row of a mask, (x_min, y_min, x_max, y_max); zeros where it is empty."""
    rows, columns = np.nonzero(binary_mask)
    if len(rows) == 0:
        return 0, 0, 0, 0
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())
