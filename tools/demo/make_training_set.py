"""Writes preprocessed synthetic photographs as NumPy arrays that `train.py` maps into memory.

Arrays in OUT (N photographs): `vessels_x` u8 `[N, 768, 768, 6]`, `vessels_y` u8 `[N, 768, 768]`
(0–3, 128 more inside the disc), `places_x` u8 `[N, 512, 512, 6]`, `places_y` (the same classes),
`fovea` f32 `[N, 2]` in pixels of `places_x`, `quality_x` u8 `[N, 3, 256, 256, 3]`: one photograph
per grade. Photographs have the sizes of the held-out ones: what `resize`, which does not smooth,
leaves of blur and grain depends on how far it shrinks.
"""

from __future__ import annotations

import argparse
import os
from multiprocessing import Pool
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

import preprocess
from generator import HELD_OUT_SEED, generate_grades
from make_dataset import photograph_size

LAYOUT = {
    "vessels_x": ((768, 768, 6), np.uint8), "vessels_y": ((768, 768), np.uint8),
    "places_x": ((512, 512, 6), np.uint8), "places_y": ((512, 512), np.uint8),
    "fovea": ((2,), np.float32), "quality_x": ((3, 256, 256, 3), np.uint8),
}


def view(rng, photograph, size: int):
    """`simple` preprocessing, or a jittered tight crop of the field. Returns `[S, S, 6]`, geometry."""
    if rng.random() < 0.5:
        return preprocess.simple(photograph.image, size)
    field = photograph.field
    radius = field.radius * rng.uniform(0.95, 1.08)
    centre = np.array(field.centre) + rng.normal(0, 0.02 * radius, 2)
    return preprocess.full(photograph.image, size, centre, radius, field.rectangle)


def fill(job: tuple[Path, int, int]) -> None:
    """Generates photograph number `index` from `seed` into the arrays."""
    out, index, seed = job
    arrays = {path.stem: np.load(path, mmap_mode="r+") for path in out.glob("*.npy")}
    rng = np.random.default_rng([seed, 1])
    if "vessels_x" not in arrays:
        fill_grades(arrays["quality_x"][index], generate_grades(seed, [0, 1, 2], photograph_size(seed)))
        return
    drawn, *graded = generate_grades(seed, [None, 0, 1, 2], photograph_size(seed))
    labels = drawn.artery_vein + 128 * drawn.disc
    clear = drawn if drawn.grade < 2 else graded[0]  # in bad photographs vessels cannot be seen
    arrays["vessels_x"][index], geometry = view(rng, clear, 768)
    arrays["vessels_y"][index] = preprocess.map_to_crop(labels, geometry, 768)
    arrays["places_x"][index], geometry = view(rng, drawn, 512)
    arrays["places_y"][index] = preprocess.map_to_crop(labels, geometry, 512)
    arrays["fovea"][index] = geometry.to_crop(*drawn.fovea)
    fill_grades(arrays["quality_x"][index], graded)


def fill_grades(rows: np.ndarray, graded) -> None:
    """One row u8 `[256, 256, 3]` per grade."""
    for row, photograph in zip(rows, graded, strict=True):
        row[:] = preprocess.resize(photograph.image, 256)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first photograph")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quality-only", action="store_true", help="write `quality_x` alone")
    options = parser.parse_args()
    if options.seed + options.count > HELD_OUT_SEED:
        parser.error(f"seeds from {HELD_OUT_SEED} are held out")
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, (shape, dtype) in LAYOUT.items():
        if options.quality_only and name != "quality_x":
            continue
        np.lib.format.open_memmap(
            options.out / f"{name}.npy", "w+", dtype, (options.count, *shape))
    jobs = [(options.out, i, options.seed + i) for i in range(options.count)]
    with Pool(options.workers) as pool:
        for done, _ in enumerate(pool.imap_unordered(fill, jobs), 1):
            if done % 50 == 0 or done == len(jobs):
                print(f"{done}/{len(jobs)} photographs", flush=True)


if __name__ == "__main__":
    main()
