"""Compares predictions on held-out synthetic photographs with their truth.

Prints a Markdown table of the tasks that have predictions; exits 1 if a required figure is missed.
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
    rows = read_table(truth / "truth.csv")

    figures = []  # name, value per photograph, required mean, whether larger is better
    if (found / "artery_vein").is_dir():
        dices = np.array([
            artery_vein_dice(read_map(found / "artery_vein" / f"{name}.png"),
                             read_map(truth / "artery_vein" / f"{name}.png")) for name in rows])
        figures += [("vessel Dice", dices[:, 0], 0.80, True), ("artery Dice", dices[:, 1], 0.65, True),
                    ("vein Dice", dices[:, 2], 0.65, True)]
    if (found / "disc").is_dir():
        discs = [dice(read_map(found / "disc" / f"{name}.png") > 0,
                      read_map(truth / "disc" / f"{name}.png") > 0) for name in rows]
        figures.append(("disc Dice", np.array(discs), 0.90, True))
    if (found / "fovea").is_dir():
        points = read_table(found / "fovea/predictions.csv")
        errors = []
        for name, row in rows.items():
            offset = [float(points[name][k]) - float(row[k]) for k in ("x_fovea", "y_fovea")]
            width = read_map(truth / "disc" / f"{name}.png").shape[1]
            errors.append(100 * np.hypot(*offset) / width)
        figures.append(("fovea error, % of width", np.array(errors), 3.0, False))
    if (found / "quality").is_dir():
        grades = read_table(found / "quality/predictions.csv")
        hits = [np.argmax([float(grades[name][k]) for k in ("q1", "q2", "q3")]) == int(row["grade"])
                for name, row in rows.items()]
        figures.append(("quality accuracy", np.array(hits), 0.90, True))

    print(f"| figure, {len(rows)} photographs | mean | median | required mean | |")
    print("|---|---|---|---|---|")
    missed = 0
    for name, values, required, larger in figures:
        mean = float(values.mean())
        passed = mean >= required if larger else mean <= required
        missed += not passed
        print(f"| {name} | {mean:.3f} | {np.median(values):.3f} | {'≥' if larger else '≤'} {required} "
              f"| {'ok' if passed else 'MISSED'} |")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
