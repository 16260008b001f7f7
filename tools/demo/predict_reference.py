"""Runs the demo releases in PyTorch, with the folder layout of `vascx predict`.

`OUT/artery_vein/<id>.png`, `OUT/disc/<id>.png`, `OUT/fovea/predictions.csv`,
`OUT/quality/predictions.csv`. Preprocessing is `simple` (`resize` for the quality model).
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import preprocess

TASKS = ("artery_vein", "disc", "fovea", "quality")


def load_release(path: Path) -> tuple[torch.jit.ScriptModule, dict]:
    extra = {"config.yaml": ""}
    program = torch.jit.load(str(path), map_location="cpu", _extra_files=extra).eval()
    return program, json.loads(extra["config.yaml"])


def window_starts(length: int, window: int, stride: int) -> list[int]:
    starts = list(range(0, length - window + 1, stride))
    return starts if starts[-1] + window == length else [*starts, length - window]


def sliding_window(program, x: torch.Tensor, window: tuple[int, int], overlap: float) -> torch.Tensor:
    """Gaussian-weighted mean of overlapping windows; `[1, C, S, S]` → `[M, 1, classes, S, S]`."""
    (h, w), (rows, columns) = x.shape[-2:], window
    bells = [torch.exp(-0.5 * ((torch.arange(n) - (n - 1) / 2) / (0.125 * n)) ** 2) for n in window]
    importance = bells[0][:, None] * bells[1][None, :]
    total, weight = None, torch.zeros(h, w)
    for top in window_starts(h, rows, max(1, int(rows * (1 - overlap)))):
        for left in window_starts(w, columns, max(1, int(columns * (1 - overlap)))):
            area = (..., slice(top, top + rows), slice(left, left + columns))
            answer = program(x[area])
            total = torch.zeros(*answer.shape[:3], h, w) if total is None else total
            total[area] += importance * answer
            weight[area[1:]] += importance
    return total / weight


@torch.inference_mode()
def predict(program, config: dict, image: np.ndarray):
    """Class map u8 `[h, w]`, fovea (x, y) in pixels, or the probabilities of the grades."""
    size = config["datamodule"]["test_transform"]["square_size"]
    kind = config["inference"]["ensemble_class"]
    if kind == "ClassificationEnsemble":
        x = preprocess.normalise(preprocess.resize(image, size)).permute(2, 0, 1)[None]
        return program(x).softmax(-1).mean(0)[0].tolist()
    pixels, geometry = preprocess.simple(image, size)
    x = preprocess.normalise(pixels).permute(2, 0, 1)[None]
    window = tuple(config["inference"]["tracing_input_size"])
    answer = sliding_window(program, x, window, config["inference"]["overlap"])[:, 0]
    if kind == "HeatmapRegressionEnsemble":
        row, column = divmod(int(answer.sum(0)[0].argmax()), size)
        return geometry.to_photograph(column + 0.5, row + 0.5)
    shares = answer.mean(0).softmax(0).permute(1, 2, 0).numpy()
    return preprocess.map_to_photograph(shares, geometry).argmax(-1).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("weights/demo"), help="folder of the .pt files")
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    options = parser.parse_args()
    torch.set_num_threads(2)
    paths = sorted(p for p in options.photographs.iterdir() if p.suffix in (".png", ".jpg"))
    for task in options.tasks:
        program, config = load_release(options.models / f"{task}.pt")
        folder = options.out / task
        folder.mkdir(parents=True, exist_ok=True)
        rows = []
        for path in paths:
            answer = predict(program, config, np.asarray(Image.open(path).convert("RGB")))
            if isinstance(answer, np.ndarray):
                Image.fromarray(answer).save(folder / f"{path.stem}.png")
            else:
                rows.append((path.stem, *answer))
        if rows:
            names = ("x_fovea", "y_fovea") if task == "fovea" else config["lightningmodule"]["class_names"]
            with open(folder / "predictions.csv", "w", newline="") as file:
                csv.writer(file).writerows([("id", *names), *rows])


if __name__ == "__main__":
    main()
