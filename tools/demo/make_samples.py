"""Writes the synthetic sample photographs of `examples/images/`."""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from generator import generate

SAMPLES = (  # name, seed, (h, w), grade
    ("macula_centred_right.png", 1_000_102, (700, 700), 0),
    ("macula_centred_left_cut.jpg", 1_000_208, (800, 1200), 0),
    ("disc_centred_left.jpg", 1_000_304, (960, 720), 0),
    ("bad_quality_right.png", 1_000_406, (600, 640), 2),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("examples/images"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, seed, size, grade in SAMPLES:
        picture = Image.fromarray(generate(seed, size, grade).image)
        path = options.out / name
        if path.suffix == ".png":
            picture.save(path, optimize=True)
        else:
            picture.save(path, quality=92)
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
