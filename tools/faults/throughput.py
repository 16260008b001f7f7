"""Photographs per second of several programs, or of one with several options, in turn.

    python tools/faults/throughput.py FOLDER --run NAME=PROGRAM[,OPTION…] --run … [--rounds 3]
        [--model MODEL] [--log RUNS.jsonl] [-- OPTION …]

Every round runs `PROGRAM predict` on all photographs of FOLDER once for each NAME, in an order that is
turned by one from round to round, into an empty folder on the disk of `--work`. Before each, whatever other
runs have left to write is written (sync), so that nobody pays for another. Seconds are those until the
process has ended; beside them stand those of the processors, and how much of the processors others took
meanwhile. With `--log`, runs are added to those of earlier calls, and all of them count. The last lines
have medians, and ratios of runs in the same round. Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path


def processors() -> float:
    """Seconds that all processors have been busy for anybody."""
    ticks = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    idle = int(ticks[3]) + int(ticks[4])
    return (sum(map(int, ticks[:8])) - idle) / os.sysconf("SC_CLK_TCK")


def once(command: list[str], out: Path) -> dict:
    shutil.rmtree(out, ignore_errors=True)
    os.sync()
    before, others = resource.getrusage(resource.RUSAGE_CHILDREN), processors()
    began = time.perf_counter()
    run = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    if run.returncode != 0:
        raise SystemExit(f"{command}: exit status {run.returncode}\n{run.stderr}")
    return {"seconds": seconds, "own": own, "others": processors() - others - own}


def report(runs: list[dict], photographs: int) -> None:
    names = list(dict.fromkeys(run["name"] for run in runs))
    by_round: dict[int, dict[str, float]] = {}
    for run in runs:
        by_round.setdefault(run["round"], {})[run["name"]] = run["seconds"]
    for name in names:
        seconds = [run["seconds"] for run in runs if run["name"] == name]
        own = statistics.median(run["own"] for run in runs if run["name"] == name)
        print(f"{name}: median {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}, "
              f"{len(seconds)} runs), {photographs / statistics.median(seconds):.1f} photographs per second, "
              f"{own:.2f} s of the processors")
    for index, one in enumerate(names):
        for other in names[index + 1:]:
            ratios = [found[one] / found[other] for found in by_round.values() if {one, other} <= found.keys()]
            if ratios:
                print(f"{one} / {other}: median {statistics.median(ratios):.3f}, "
                      f"{min(ratios):.3f} to {max(ratios):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--run", action="append", required=True, metavar="NAME=PROGRAM[,OPTION…]")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", required=True)
    parser.add_argument("--work", type=Path, default=Path("/var/tmp/vascx-throughput"))
    parser.add_argument("--log", type=Path)
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    arguments, options = parser.parse_args(sys.argv[1:split]), sys.argv[split + 1:]

    programs = {}
    for run in arguments.run:
        name, _, command = run.partition("=")
        programs[name] = command.split(",")
    photographs = sum(1 for _ in arguments.photographs.iterdir())
    runs = []
    if arguments.log and arguments.log.exists():
        runs = [json.loads(line) for line in arguments.log.read_text().splitlines()]
    first = max((run["round"] for run in runs), default=-1) + 1
    out = arguments.work / "out"
    for round in range(first, first + arguments.rounds):
        names = list(programs)
        turned = names[round % len(names):] + names[:round % len(names)]
        for name in turned:
            program, *more = programs[name]
            command = [program, "predict", "--quiet", "--model", arguments.model, "--out", str(out), *more, *options,
                       str(arguments.photographs)]
            run = {"round": round, "name": name, **once(command, out)}
            print(f"{round} {name}: {run['seconds']:.2f} s, {run['own']:.2f} s of the processors, "
                  f"{run['others']:.2f} s of others", flush=True)
            runs.append(run)
            if arguments.log:
                with arguments.log.open("a") as log:
                    log.write(json.dumps(run) + "\n")
    shutil.rmtree(arguments.work, ignore_errors=True)
    report(runs, photographs)


if __name__ == "__main__":
    main()
