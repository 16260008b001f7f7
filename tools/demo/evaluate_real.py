"""Compares predictions on real photographs with reference masks.

Expects predictions for `FUNDUS/full_rgb/<id>.png` (square crops) and the references
`FUNDUS/{vessels,av,disc}/<id>.png` of the same size and `fovea_xy_1024` in `FUNDUS/reference.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from evaluate import artery_vein_dice, dice, read_map, read_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--fundus", type=Path, required=True)
    options = parser.parse_args()
    reference = json.loads((options.fundus / "reference.json").read_text())
    points_path = options.predictions / "fovea" / "predictions.csv"
    points = read_table(points_path) if points_path.exists() else {}
    print("| photograph | vessel Dice | artery Dice | vein Dice | disc Dice | fovea error, % of width |")
    print("|---|---|---|---|---|---|")
    rows = []
    for name, entry in reference.items():
        found = read_map(options.predictions / "artery_vein" / f"{name}.png")
        row = [dice(found > 0, read_map(options.fundus / "vessels" / f"{name}.png") > 0)]
        row += artery_vein_dice(found, read_map(options.fundus / "av" / f"{name}.png"))[1:]
        disc_path = options.predictions / "disc" / f"{name}.png"
        row.append(dice(read_map(disc_path) > 0, read_map(options.fundus / "disc" / f"{name}.png") > 0)
                   if disc_path.exists() else np.nan)
        spot = [float(points[name][k]) for k in ("x_fovea", "y_fovea")] if points else [np.nan] * 2
        row.append(100 * np.hypot(*(np.array(spot) - entry["fovea_xy_1024"])) / 1024)
        rows.append(row)
        print(f"| {name} | " + " | ".join(f"{v:.3f}" for v in row) + " |")
    print("| mean | " + " | ".join(f"{v:.3f}" for v in np.mean(rows, 0)) + " |")


if __name__ == "__main__":
    main()
