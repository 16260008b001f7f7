"""Seconds and memory per photograph: `vascx calc-biomarkers` beside retinalysis-vascx 2.1.0.

    python tools/compare/biomarkers.py MAPS [--set full_v3] [--few 2] [--many 8] [--cohort 10000]

MAPS is a folder in the layout of retinalysis-vascx's `run-models` (for drawn eyes, see
tools/reference/biomarkers.py). Both programs measure the same photographs with one worker and
without pictures, in interleaved rounds. What a program does once (start, compile) is told apart
from what it does per photograph by runs on few and on many. Values are compared, too. With
`--cohort`, ours alone measures so many links to the photographs, and a tenth of them, to see
whether memory grows.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KINDS = ("artery_vein", "vessels", "disc", "preprocessed_rgb")


def rows(table: Path) -> dict[str, list[str]]:
    with table.open(newline="") as file:
        return {row[0]: row[1:] for row in csv.reader(file)}


def linked(maps: Path, out: Path, count: int) -> Path:
    """A folder of `count` photographs: links to those of `maps`, over and over."""
    tables = {name: rows(maps / name) for name in ("fovea.csv", "bounds.csv")}
    usable = sorted(
        file.stem for file in (maps / "artery_vein").glob("*.png")
        if (maps / "disc" / file.name).exists() and all(file.stem in table for table in tables.values())
    )
    for kind in KINDS:
        (out / kind).mkdir(parents=True)
    names = [(f"{number:06}_{usable[number % len(usable)]}", usable[number % len(usable)]) for number in range(count)]
    for name, source in names:
        for kind in KINDS:
            file = maps / kind / f"{source}.png"
            if not file.exists() and kind == "vessels":
                file = maps / "artery_vein" / f"{source}.png"
            if file.exists():
                (out / kind / f"{name}.png").symlink_to(file.resolve())
    for table, content in tables.items():
        with (out / table).open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            header = next(iter(content))
            writer.writerow((header, *content[header]))
            writer.writerows((name, *content[source]) for name, source in names)
    return out


def run(command: list, environment: dict) -> tuple[float, float, float]:
    """Seconds of the clock, of the processor, and the largest resident set in MiB."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[:2]} failed: {error.decode()[-500:]}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def largest_difference(ours: Path, theirs: Path) -> tuple[float, int, int]:
    """The largest relative difference of two tables, values compared, cells defined in one only."""
    a, b = rows(ours), rows(theirs)
    worst, count, alone = 0.0, 0, 0
    for name in list(b)[1:]:
        for x, y in zip(a[name], b[name]):
            if bool(x) != bool(y):
                alone += 1
            elif x:
                count += 1
                scale = abs(float(y)) or 1.0
                worst = max(worst, abs(float(x) - float(y)) / scale)
    return worst, count, alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("maps", type=Path)
    parser.add_argument("--set", default="full_v3")
    parser.add_argument("--few", type=int, default=2)
    parser.add_argument("--many", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--cohort", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--vascx", default="target/release/vascx")
    options = parser.parse_args()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    programs = {"vascx": [options.vascx], "retinalysis-vascx": [str(Path(sys.executable).with_name("vascx"))]}
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        folders = {count: linked(options.maps, work / str(count), count) for count in (options.few, options.many)}

        def command(program: str, folder: Path, out: Path, jobs: int) -> list[str]:
            shutil.rmtree(out, ignore_errors=True)
            more = ["--quiet"] if program == "vascx" else []
            return [*programs[program], "calc-biomarkers", str(folder), str(out), "--feature-set", options.set,
                    "--n-jobs", str(jobs), "--no-report", *more]

        measured: dict[tuple[str, int], list] = {}
        for _ in range(options.repeat):
            for count, folder in folders.items():
                for program in programs:
                    result = run(command(program, folder, work / f"{program}.out", 1), environment)
                    measured.setdefault((program, count), []).append(result)
        difference, compared, alone = largest_difference(
            work / "vascx.out" / "biomarkers.csv", work / "retinalysis-vascx.out" / "biomarkers.csv")
        print(f"{options.set}, one worker, {options.repeat} rounds; {compared} values differ by at most "
              f"{difference:.2g} of the value; {alone} are defined in one table only\n")
        print("| program | start, s | s per photograph (processor s) | peak MiB |\n|---|---|---|---|")
        each = {}
        for program in programs:
            few, many = (measured[program, count] for count in folders)
            middle = lambda results, part: statistics.median(result[part] for result in results)
            slope = [(middle(many, part) - middle(few, part)) / (options.many - options.few) for part in (0, 1)]
            start = middle(few, 0) - options.few * slope[0]
            each[program] = slope[0]
            peak = max(result[2] for result in many)
            print(f"| {program} | {start:.2f} | {slope[0]:.4f} ({slope[1]:.4f}) | {peak:.0f} |")
        print(f"\nratio {each['retinalysis-vascx'] / each['vascx']:.1f}")
        if options.cohort:
            print(f"\n| photographs ({options.jobs} threads) | s | photographs per s | peak MiB |\n|---|---|---|---|")
            for count in (max(options.cohort // 10, 1), options.cohort):
                folder = linked(options.maps, work / f"cohort{count}", count)
                seconds, _, mebibytes = run(command("vascx", folder, work / "cohort.out", options.jobs), environment)
                print(f"| {count} | {seconds:.1f} | {count / seconds:.1f} | {mebibytes:.0f} |")


if __name__ == "__main__":
    main()
