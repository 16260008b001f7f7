"""Compares predictions on held-out synthetic photographs with their truth.

Prints a Markdown table; exits 1 if a required figure is missed.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice coefficient of two boolean maps; 1 when both are empty."""
    total = a.sum() + b.sum()
    return 2 * (a & b).sum() / total if total else 1.0


def read_map(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def read_table(path: Path) -> dict[str, dict[str, str]]:
    with open(path, newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def artery_vein_dice(prediction: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """Dice of all vessels, of arteries and of veins; crossings (3) count to both kinds."""
    return (dice(prediction > 0, truth > 0),
            dice((prediction & 1) > 0, (truth & 1) > 0),
            dice((prediction & 2) > 0, (truth & 2) > 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--truth", type=Path, required=True, help="DIR/truth of make_dataset.py")
    parser.add_argument("--predictions", type=Path, required=True, help="folder with one folder per model")
    options = parser.parse_args()
    truth, found = options.truth, options.predictions
    points, grades = read_table(found / "fovea/predictions.csv"), read_table(found / "quality/predictions.csv")

    vessels, discs, errors, hits, gradable = [], [], [], [], []
    for name, row in read_table(truth / "truth.csv").items():
        expected = read_map(truth / "artery_vein" / f"{name}.png")
        vessels.append(artery_vein_dice(read_map(found / "artery_vein" / f"{name}.png"), expected))
        discs.append(dice(read_map(found / "disc" / f"{name}.png") > 0,
                          read_map(truth / "disc" / f"{name}.png") > 0))
        offset = [float(points[name][k]) - float(row[k]) for k in ("x_fovea", "y_fovea")]
        errors.append(100 * np.hypot(*offset) / expected.shape[1])
        answer = np.argmax([float(grades[name][k]) for k in ("q1", "q2", "q3")])
        hits.append(answer == int(row["grade"]))
        gradable.append(row["grade"] != "2")

    clear = np.array(gradable)
    vessels, discs, errors = np.array(vessels), np.array(discs), np.array(errors)
    figures = [  # name, value, required, whether larger is better
        ("vessel Dice", vessels[:, 0], 0.80, True), ("artery Dice", vessels[:, 1], 0.65, True),
        ("vein Dice", vessels[:, 2], 0.65, True), ("disc Dice", discs, 0.90, True),
        ("fovea error, % of width", errors, 3.0, False), ("quality accuracy", np.array(hits), 0.90, True),
    ]
    print(f"| figure, mean of {len(hits)} photographs | all | q1 and q2 ({clear.sum()}) | required (all) | |")
    print("|---|---|---|---|---|")
    missed = 0
    for name, values, required, larger in figures:
        mean = float(values.mean())
        passed = mean >= required if larger else mean <= required
        missed += not passed
        print(f"| {name} | {mean:.3f} | {values[clear].mean():.3f} | {'≥' if larger else '≤'} {required} "
              f"| {'ok' if passed else 'MISSED'} |")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
