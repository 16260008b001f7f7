"""Same checkpoints, same photographs: vascx against vascx_simplify 0.1.11 on the CPU.

    python tools/compare/predict.py PHOTOGRAPHS [--limit 10] [--models artery_vein disc fovea quality]

Agreement: class maps (share of equal pixels), keypoints (pixels), member probabilities. Time: whole
processes and, within the process, seconds per photograph once it runs. vascx_simplify is run one
photograph at a time, as it does itself. It stacks its first window with M and N exchanged where there
are several members, so members are compared singly (each in a release of its own) and timed together.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def simplify(model: Path, photographs: list[Path], tta: bool, size: int):
    """Runs vascx_simplify; returns (answers by id, seconds per photograph)."""
    import numpy as np
    import torch
    import vascx_simplify as v
    from PIL import Image
    kinds = {"artery_vein": v.EnsembleSegmentation, "disc": v.EnsembleSegmentation,
             "fovea": v.HeatmapRegressionEnsemble, "quality": v.ClassificationEnsemble}
    kind = next(name for name in kinds if name in model.name)
    transform = v.VASCXTransform(size=size, use_ce=kind != "quality", use_fp16=False, device="cpu")
    ensemble = kinds[kind](str(model), transform, "cpu")
    if tta and kind != "quality":
        ensemble.inference_fn = ensemble.tta_inference
    answers, seconds = {}, []
    for path in photographs:
        began = time.perf_counter()
        image = np.array(Image.open(path).convert("RGB"))
        with torch.no_grad():
            if kind == "quality":
                x, _, _ = ensemble._prepare_input(image)
                flips = ([[], [2], [3], [2, 3]] if tta else [[]])
                # Softmax per member; the package would average the wrong axis.
                runs = [torch.softmax(ensemble(torch.flip(x, f) if f else x), -1) for f in flips]
                answer = torch.stack(runs).mean(0)[:, 0].numpy()
            else:
                answer = ensemble.predict(image)[0].numpy()
        seconds.append(time.perf_counter() - began)
        answers[path.stem] = answer
    return answers, seconds


def single_members(model: Path, work: Path) -> list[Path]:
    """A release per member."""
    import torch
    sys.path.insert(0, str(ROOT / "tools/reference"))
    sys.path.insert(0, str(ROOT / "tools/demo"))
    from networks import Ensemble
    from release import save_release
    from tasks import TASKS, make_network, release_config
    task = TASKS[model.stem]
    state = torch.jit.load(str(model)).state_dict()
    paths = []
    for index in range(task.members):
        prefix = f"models.{index}."
        network = make_network(task)
        network.load_state_dict({k[len(prefix):]: t for k, t in state.items() if k.startswith(prefix)})
        path = work / f"{task.name}_{index}.pt"
        example = torch.zeros(1, 3 if task.name == "quality" else 6, task.window, task.window)
        save_release(Ensemble([network.eval()]), release_config(task), example, path)
        paths.append(path)
    return paths


def vascx(binary: str, model: Path, photographs: list[Path], out: Path, *more: str) -> float:
    """Runs the program; returns its seconds."""
    shutil.rmtree(out, ignore_errors=True)
    mode = "resize" if "quality" in model.name else "simple"
    began = time.perf_counter()
    subprocess.run([binary, "predict", "--model", model, "--out", out, "--preprocess", mode, "--quiet",
                    *more, *photographs], check=True)
    return time.perf_counter() - began


def agreement(name: str, out: Path, answers: dict) -> str:
    import numpy as np
    from PIL import Image
    if name in ("artery_vein", "disc"):
        equal = [(np.asarray(Image.open(out / f"{id}.png")) == answer).mean() for id, answer in answers.items()]
        return f"{100 * min(equal):.4f} % of pixels equal in the worst photograph"
    with open(out / "predictions.csv") as file:
        rows = {row["id"]: [float(v) for k, v in row.items() if k != "id"] for row in csv.DictReader(file)}
    worst = max(float(np.abs(np.ravel(answer) - rows[id]).max()) for id, answer in answers.items())
    return f"largest difference {worst:.2e} {'px' if name == 'fovea' else ''}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--limit", type=int, default=10)
    parser.add_argument("--models", nargs="+", default=["artery_vein", "disc", "fovea", "quality"])
    parser.add_argument("--vascx", default=str(ROOT / "target/release/vascx"))
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--agreement-only", action="store_true")
    only.add_argument("--time-only", action="store_true")
    parser.add_argument("--time", nargs=2, help=argparse.SUPPRESS)  # a timed child: model, size
    options = parser.parse_args()
    kinds = (".png", ".jpg", ".jpeg", ".tif")
    photographs = sorted(p for p in options.photographs.iterdir() if p.suffix.lower() in kinds)[: options.limit]
    if options.time:
        _, seconds = simplify(Path(options.time[0]), photographs, False, int(options.time[1]))
        steady = seconds[1:] or seconds
        print(sum(steady) / len(steady))
        return

    sys.path.insert(0, str(ROOT / "tools/demo"))
    from tasks import TASKS
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        if not options.time_only:
            print("| model | TTA | agreement of every member |\n|---|---|---|")
        for name in [] if options.time_only else options.models:
            for member in single_members(ROOT / f"weights/demo/{name}.pt", work):
                for tta in (False, True):
                    vascx(options.vascx, member, photographs, work / "out", "--tta", "on" if tta else "off")
                    answers, _ = simplify(member, photographs, tta, TASKS[name].size)
                    print(f"| {member.stem} | {'on' if tta else 'off'} | {agreement(name, work / 'out', answers)} |",
                          flush=True)
        if options.agreement_only:
            return
        print(f"\nSeconds per photograph, {len(photographs)} photographs, {os.cpu_count()} cores:\n")
        print("| model | vascx, default batches | vascx, one by one | one process each | vascx_simplify, whole "
              "process | vascx_simplify, running | ratio whole | ratio running |\n|---|---|---|---|---|---|---|---|")
        for name in options.models:
            model = ROOT / f"weights/demo/{name}.pt"
            count = len(photographs)
            batched = vascx(options.vascx, model, photographs, work / "out") / count
            single = vascx(options.vascx, model, photographs, work / "out", "--batch-size", "1",
                           "--window-batch-size", "1") / count
            processes = sum(vascx(options.vascx, model, [p], work / "out") for p in photographs) / count
            began = time.perf_counter()
            child = subprocess.run([sys.executable, __file__, str(options.photographs), "--limit", str(count),
                                    "--time", str(model), str(TASKS[name].size)],
                                   check=True, capture_output=True, text=True)
            whole = (time.perf_counter() - began) / count
            running = float(child.stdout.split()[-1])
            print(f"| {name} | {batched:.3f} | {single:.3f} | {processes:.3f} | {whole:.3f} | {running:.3f} "
                  f"| {whole / batched:.2f} | {running / batched:.2f} |", flush=True)


if __name__ == "__main__":
    main()
