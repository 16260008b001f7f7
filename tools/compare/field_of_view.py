"""Compares `vascx preprocess --mode full` with retinalysis-fundusprep on synthetic photographs.

PHOTOGRAPHS is the folder that `tools/fixtures/field_of_view.py --all` wrote. Prints a Markdown table
of the largest difference of centre, radius and visible rectangle, relative to the radius; exits 1
when more than 5 % of the photographs differ by more than 1 %.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--vascx", default="target/release/vascx")
    options = parser.parse_args()
    reference = json.loads((options.photographs / "reference.json").read_text())
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([options.vascx, "preprocess", "--mode", "full", "--out", out, "--quiet",
                        options.photographs], check=True)
        found = json.loads((Path(out) / "bounds.json").read_text())

    beyond = []
    print("| photograph | h × w | method | centre, % | radius, % | rectangle, % | reference fell back |")
    print("|---|---|---|---|---|---|---|")
    for name, expected in reference.items():
        field = found[name]
        radius = expected["radius"]
        centre = 100 * math.dist(field["center"], expected["center"]) / radius
        size = 100 * abs(field["radius"] - radius) / radius
        sides = [field["rect"][side] for side in ("min_x", "max_x", "min_y", "max_y")]
        rect = 100 * max(abs(a - b) for a, b in zip(sides, expected["rect"])) / radius
        if max(centre, size) > 1:
            beyond.append(name)
        height, width = field["hw"]
        print(f"| {name} | {height} × {width} | {field['method']} | {centre:.2f} | {size:.2f} | {rect:.2f} "
              f"| {'yes' if expected['fell_back'] else ''} |")
    share = 1 - len(beyond) / len(reference)
    print(f"\n{len(reference)} photographs, {share:.1%} within 1 % of the radius; beyond: {beyond or 'none'}")
    sys.exit(0 if share >= 0.95 else 1)


if __name__ == "__main__":
    main()
