"""Times one run of all models against a run per model, with the peak memory of each.

    python tools/compare/one_run.py --vascx target/release/vascx --work DIR --copies 20 PHOTOGRAPH…

Photographs are repeated under other names. The demonstration model of the disc stands in for that of the
vessels, of which there is none. Without `--overlays` neither side draws; with it, both do: a run per model on
the photographs in their own size, as `predict --overlay` does, one run of all on the crops. With `--before`,
another build of the program, from before it could run all models at once, does the runs per model, with the
models that it can read in `--before-models`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Steps, and the demonstration model of each.
MODELS = {"quality": "quality", "artery_vein": "artery_vein", "vessels": "disc", "disc": "disc", "fovea": "fovea"}


def run(*command: object) -> tuple[float, float]:
    """Seconds and peak memory in MiB."""
    started = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--vascx", default=str(ROOT / "target" / "release" / "vascx"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--copies", type=int, default=20)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--overlays", action="store_true")
    parser.add_argument("--before", metavar="PROGRAM")
    parser.add_argument("--before-models", type=Path, default=ROOT / "weights" / "demo")
    parser.add_argument("photographs", type=Path, nargs="+")
    arguments = parser.parse_args()
    data = arguments.work / "photographs"
    shutil.rmtree(arguments.work, ignore_errors=True)
    data.mkdir(parents=True)
    for photograph in arguments.photographs:
        for copy in range(arguments.copies):
            shutil.copyfile(photograph, data / f"{photograph.stem}_{copy}{photograph.suffix}")
    models = arguments.work / "models"
    for step, model in MODELS.items():
        (models / step).mkdir(parents=True)
        shutil.copyfile(ROOT / "weights" / "demo" / f"{model}.pt", models / step / f"{model}.pt")
    separate_models = arguments.before_models if arguments.before else ROOT / "weights" / "demo"
    results: dict[str, list[tuple[float, float]]] = {}
    # Once before, to convert the models.
    one = arguments.work / "first"
    run(arguments.vascx, "run-models", next(data.iterdir()), one, "--model-dir", models, "--quiet")
    for _ in range(arguments.runs):
        for step, model in MODELS.items():
            out = arguments.work / step
            shutil.rmtree(out, ignore_errors=True)
            overlay = ["--overlay"] if arguments.overlays else []
            program = arguments.before or arguments.vascx
            results.setdefault(step, []).append(
                run(program, "predict", "--quiet", "--model", separate_models / f"{model}.pt", "--out", out,
                    *overlay, data)
            )
        out = arguments.work / "all"
        shutil.rmtree(out, ignore_errors=True)
        overlay = [] if arguments.overlays else ["--no-overlay"]
        results.setdefault("all in one", []).append(
            run(arguments.vascx, "run-models", data, out, "--model-dir", models, "--quiet", *overlay)
        )
    medians = {
        name: tuple(statistics.median(values) for values in zip(*runs)) for name, runs in results.items()
    }
    print(f"| run on {len(list(data.iterdir()))} photographs | seconds | peak memory, MiB |\n|---|---|---|")
    for name, (seconds, memory) in medians.items():
        print(f"| {name} | {seconds:.1f} | {memory:.0f} |")
    separate = sum(medians[model][0] for model in MODELS)
    largest = max(medians[model][1] for model in MODELS)
    seconds, memory = medians["all in one"]
    print(f"\none run / a run per model: {seconds / separate:.2f} of the time ({separate:.1f} s), "
          f"{memory / largest:.2f} of the largest peak")


if __name__ == "__main__":
    main()
