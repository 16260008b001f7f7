"""Writes held-out synthetic photographs and their truth.

`OUT/photographs/<id>.png`, `OUT/truth/artery_vein/<id>.png`, `OUT/truth/disc/<id>.png` (8-bit class
indices in the photograph's size) and `OUT/truth/truth.csv` (`id,x_fovea,y_fovea,grade`).
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image

from generator import HELD_OUT_SEED, generate


def photograph_size(seed: int) -> tuple[int, int]:
    """(h, w) with the longer side between 500 and 1600 px."""
    rng = np.random.default_rng([seed, 3])
    long = rng.uniform(500, 1600)
    short = max(500, long / rng.choice((1.0, rng.uniform(1.0, 1.15), rng.uniform(1.15, 1.55))))
    return (int(short), int(long)) if rng.random() < 0.8 else (int(long), int(short))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=HELD_OUT_SEED)
    parser.add_argument("--grades", type=int, nargs="+", default=[0],
                        help="0 good, 1 usable, 2 bad; the photographs take them in turn")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.seed < HELD_OUT_SEED:
        parser.error(f"seeds below {HELD_OUT_SEED} are for training")
    for folder in ("photographs", "truth/artery_vein", "truth/disc"):
        (options.out / folder).mkdir(parents=True, exist_ok=True)
    with open(options.out / "truth" / "truth.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("id", "x_fovea", "y_fovea", "grade"))
        for index in range(options.count):
            seed = options.seed + index
            name = f"synthetic_{seed}"
            p = generate(seed, photograph_size(seed), options.grades[index % len(options.grades)])
            Image.fromarray(p.image).save(options.out / "photographs" / f"{name}.png")
            Image.fromarray(p.artery_vein).save(options.out / "truth" / "artery_vein" / f"{name}.png")
            Image.fromarray(p.disc).save(options.out / "truth" / "disc" / f"{name}.png")
            table.writerow((name, f"{p.fovea[0]:.2f}", f"{p.fovea[1]:.2f}", p.grade))


if __name__ == "__main__":
    main()
