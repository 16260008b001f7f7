"""Ten photographs of 1500 × 1500 through a two-member U-Net, from Python: beside the program, and beside
vascx_simplify 0.1.11 through its own names.

    python tools/compare/python_speed.py [--count 10] [--repeat 2] [--only WHICH…] [--vascx target/release/vascx]

Needs vascx_rs, torch and vascx_simplify in one environment. Network and photographs are those of cohort.py. Whole
processes, in turn; ratios are those of each round, of seconds and, less moved by other work on the machine, of seconds
of processors. `vascx` writes class maps, so `python` does, too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cohort import SIZE, make_models, make_photographs
from predict import ROOT, simplify


WHICH = ["program", "python -m vascx_rs", "python", "ours", "theirs"]


def child(which: str, model: Path, folder: Path, out: Path) -> None:
    photographs = sorted(folder.iterdir())
    if which == "python":
        import vascx_rs
        from PIL import Image

        out.mkdir()
        ensemble = vascx_rs.load(model)
        for path, answer in zip(photographs, ensemble.predict_iter(photographs, preprocess="simple")):
            Image.fromarray(answer.class_map).save(out / f"{path.stem}.png", compress_level=1)
        return
    if which == "ours":
        import vascx_rs.vascx_simplify

        sys.modules["vascx_simplify"] = vascx_rs.vascx_simplify
    simplify(model, photographs, False, SIZE)


def clocks() -> tuple[float, float]:
    """Now, and seconds of processors that children took."""
    times = os.times()
    return time.perf_counter(), times.children_user + times.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--vascx", default=str(ROOT / "target/release/vascx"))
    parser.add_argument("--only", nargs="+", default=WHICH, choices=WHICH)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)  # which, model, photographs, out
    options = parser.parse_args()
    if options.child:
        which, *paths = options.child
        return child(which, *map(Path, paths))
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        (work / "photographs").mkdir()
        model, _ = make_models(work)
        photographs = make_photographs(work / "photographs", options.count)

        def command(which: str, out: Path) -> list:
            predict = ["predict", "--quiet", "--preprocess", "simple", "--model", model, "--out", out, *photographs]
            if which == "program":
                return [options.vascx, *predict]
            if which == "python -m vascx_rs":
                return [sys.executable, "-m", "vascx_rs", *predict]
            return [sys.executable, __file__, "--child", which, model, work / "photographs", out]

        which = options.only
        seconds: dict[str, list[tuple[float, float]]] = {each: [] for each in which}
        for turn in range(options.repeat):
            for each in which if turn % 2 == 0 else reversed(which):
                began = clocks()
                subprocess.run(command(each, work / f"{each}{turn}"), check=True, stdout=subprocess.DEVNULL)
                took = tuple(after - before for before, after in zip(began, clocks()))
                seconds[each].append(took)
                load = os.getloadavg()[0]
                print(f"{each}: {took[0]:.2f} s, of processors {took[1]:.2f} s; load {load:.1f}", flush=True)
        for each, other in (("python -m vascx_rs", "program"), ("python", "program"), ("theirs", "ours"), ("theirs", "python")):
            if each not in which or other not in which:
                continue
            for index, what in enumerate(("seconds", "of processors")):
                ratios = [a[index] / b[index] for a, b in zip(seconds[each], seconds[other])]
                median = statistics.median(ratios)
                print(f"{each} to {other}, {what}: {median:.3f} ({min(ratios):.3f} … {max(ratios):.3f})")


if __name__ == "__main__":
    main()
