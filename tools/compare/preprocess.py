"""Photographs per second: `vascx preprocess --mode full` against retinalysis-fundusprep 1.3.0.

    python tools/compare/preprocess.py PHOTOGRAPHS [--repeat 5] [--jobs 2]

Both read the same files and write 1024² RGB and enhanced PNGs with the same number of workers; rounds
are interleaved. Peak memory is that of the largest process of each.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEER = """
import sys, warnings
warnings.simplefilter("ignore")
from rtnls_fundusprep.preprocessor import parallel_preprocess
out, jobs, *files = sys.argv[1:]
parallel_preprocess(files, rgb_path=out, ce_path=out + "/ce", n_jobs=int(jobs))
"""


def run(command: list[str], environment: dict) -> tuple[float, float]:
    """Seconds and the largest resident set in MiB of a command and its children."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        sys.exit(f"{command[:2]} failed")
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--copies", type=int, default=10, help="times every photograph is listed")
    parser.add_argument("--vascx", default="target/release/vascx")
    options = parser.parse_args()
    files = sorted(p for p in options.photographs.iterdir() if p.suffix in (".png", ".jpg"))
    times = {"vascx": [], "retinalysis-fundusprep": []}
    memory = dict.fromkeys(times, 0.0)
    with tempfile.TemporaryDirectory() as work:
        links = []
        for copy in range(options.copies):
            for file in files:
                links.append(Path(work) / f"{file.stem}_{copy}{file.suffix}")
                links[-1].symlink_to(file.resolve())
        names = [str(link) for link in links]
        environment = os.environ | {"RAYON_NUM_THREADS": str(options.jobs), "OMP_NUM_THREADS": "1"}
        for _ in range(options.repeat):
            for name, command in (
                ("vascx", [options.vascx, "preprocess", "--mode", "full", "--quiet", "--out", f"{work}/ours", *names]),
                ("retinalysis-fundusprep", [sys.executable, "-c", PEER, f"{work}/theirs", str(options.jobs), *names]),
            ):
                os.makedirs(f"{work}/theirs", exist_ok=True)
                seconds, mebibytes = run(command, environment)
                times[name].append(seconds)
                memory[name] = max(memory[name], mebibytes)
    count = len(names)
    print(f"{count} photographs, {options.jobs} workers, {options.repeat} interleaved rounds\n")
    print("| program | photographs per second (median) | least … most | peak memory of a process, MiB |\n|---|---|---|---|")
    for name, seconds in times.items():
        rates = sorted(count / s for s in seconds)
        print(f"| {name} | {statistics.median(rates):.2f} | {rates[0]:.2f} … {rates[-1]:.2f} | {memory[name]:.0f} |")
    ratio = statistics.median(times["retinalysis-fundusprep"]) / statistics.median(times["vascx"])
    print(f"\nratio {ratio:.2f}")


if __name__ == "__main__":
    main()
