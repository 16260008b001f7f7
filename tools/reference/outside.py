"""What PVBM, an independent package, measures on drawn eyes: for the numbers of `vascx_rs` that the
reference lacks.

    pip install pvbm==3.0.1.8
    python tools/reference/outside.py [crates/vascx-biomarkers/tests/fixtures]

Reads the maps of `eyes/` and writes `outside/equivalents.csv`, the central retinal equivalents of
lists of widths by both formulas, and `outside/shapes.csv`, area, length and fractal dimensions of
arteries and veins outside the disc. Lists of widths are drawn with a fixed seed.
"""

from __future__ import annotations

import csv
import random
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from PVBM.CentralRetinalAnalysis import CREVBMs
from PVBM.FractalAnalysis import MultifractalVBMs
from PVBM.GeometricalAnalysis import GeometricalVBMs
from skimage.morphology import skeletonize

EYES = (
    "left_plain_1", "left_dense", "left_sparse", "right_plain_1", "right_dense", "right_tortuous", "wide", "crossings",
)
SIDES = (4, 8, 16, 32, 64, 128)
CLASSES = {"arteries": (1, 3), "veins": (2, 3)}


def equivalents() -> list[tuple]:
    package = CREVBMs()
    formulas = {
        ("arteries", "knudtson"): package.crae_knudtson,
        ("arteries", "hubbard"): package.crae_hubbard,
        ("veins", "knudtson"): package.crve_knudtson,
        ("veins", "hubbard"): package.crve_hubbard,
    }
    draw = random.Random(25)
    lists = [[round(draw.uniform(40, 180), 2) for _ in range(count)] for count in (2, 3, 4, 4, 5, 5, 6, 6, 6, 6)]
    lists += [[100.0] * 6, [60.0, 60.0, 150.0, 150.0]]
    return [
        (layer, name, " ".join(map(str, widths)), repr(float(package.central_equivalent(widths, formula))))
        for (layer, name), formula in formulas.items()
        for widths in lists
    ]


def dimension(fractal: MultifractalVBMs, skeleton: np.ndarray, order: int) -> float:
    """The package's shares of boxes, on our sides of boxes; its own go up to 60 % of the image."""
    moments = []
    for side in SIDES:
        shares = fractal._probability_per_pixel(skeleton, side, occupancy=[0.0, 1.0])
        shares = shares[shares > 0]
        moments.append(
            -np.sum(shares * np.log(shares)) if order == 1 else np.log(np.sum(shares**order)) / (1 - order)
        )
    return float(np.polyfit(-np.log(SIDES), moments, 1)[0])


def shapes(eyes: Path) -> list[tuple]:
    geometry, fractal = GeometricalVBMs(), MultifractalVBMs()
    rows = []
    for eye in EYES:
        classes = np.asarray(Image.open(eyes / "artery_vein" / f"{eye}.png"))
        disc = np.asarray(Image.open(eyes / "disc" / f"{eye}.png")) > 0
        for layer, of in CLASSES.items():
            vessels = np.isin(classes, of) & ~disc
            skeleton = skeletonize(vessels).astype(np.int64)
            # All lengths from one end or junction to the next, but the package leaves out those up to 10 px.
            _, _, _, lengths, _ = geometry.compute_tortuosity_length(skeleton)
            dimensions = [dimension(fractal, skeleton, order) for order in (0, 1, 2)]
            rows.append((eye, layer, int(geometry.area(vessels)), f"{sum(lengths):.2f}", *(f"{d:.5f}" for d in dimensions)))
    return rows


def main() -> None:
    fixtures = Path(sys.argv[1] if len(sys.argv) > 1 else "crates/vascx-biomarkers/tests/fixtures")
    out = fixtures / "outside"
    out.mkdir(exist_ok=True)
    for name, header, rows in (
        ("equivalents", ("layer", "formula", "widths", "equivalent"), equivalents()),
        ("shapes", ("eye", "layer", "area", "length", "d0", "d1", "d2"), shapes(fixtures / "eyes")),
    ):
        with (out / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)


if __name__ == "__main__":
    main()
