"""Makes a release of every class of ensemble, lets retinalysis-inference run it, and compares.

    python tools/reference/ensembles.py --crops FOLDER --vascx target/release/vascx --report docs/import.md

Needs retinalysis-inference 0.9.0 (AGPL; it is run, nothing of it is used otherwise). Every class
gets small networks with random weights and two configurations, as the releases of 2024 and of 2026
have them. `rtnls_inference.make_ensemble` loads the release and runs it on crops of the field of
view (square PNG files); `vascx predict --preprocess crop --keypoints mean_of_argmax` does the same.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import load_file
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from reference.networks import Ensemble  # noqa: E402
from reference.release import save_release  # noqa: E402

HEADING = "## Releases that retinalysis-inference 0.9.0 runs"
SPATIAL = {
    "SegmentationEnsemble", "HaloSegmentationEnsemble", "SegmentationEnsembleOverlaps",
    "HeatmapRegressionEnsemble",
}


class Maps(nn.Module):
    """A few convolutions, one of them dilated: `[N, C, H, W]` to `[N, outputs, H, W]`, or to what is
    left of it without a margin at every edge."""

    def __init__(self, channels: int, outputs: int, margin: int = 0):
        super().__init__()
        self.margin = margin
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 6, 5, padding=2), nn.BatchNorm2d(6), nn.ReLU(),
            nn.Conv2d(6, 6, 3, padding=4, dilation=4), nn.ReLU(),
            nn.Conv2d(6, outputs, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers(x)
        m = self.margin
        return y if m == 0 else y[:, :, m:-m, m:-m]


class Vectors(nn.Module):
    """`[N, C, H, W]` to `[N, outputs]`, or to points `[N, outputs / 2, 2]` in 0…1."""

    def __init__(self, channels: int, outputs: int, points: bool = False):
        super().__init__()
        self.points = points
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 6, 5, stride=4, padding=2), nn.BatchNorm2d(6), nn.ReLU(),
            nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
            nn.Linear(32, outputs),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers(x)
        return torch.sigmoid(y).reshape(y.shape[0], -1, 2) if self.points else y


def randomise(model: nn.Module, generator: torch.Generator) -> None:
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                fan_in = module.weight[0].numel()
                module.weight.normal_(0.0, (2.0 / fan_in) ** 0.5, generator=generator)
                module.bias.uniform_(-0.3, 0.3, generator=generator)
            elif isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.5, 0.5, generator=generator)
                module.running_var.uniform_(0.5, 2.0, generator=generator)


@dataclass
class Sizes:
    """In pixels: the crop that photographs are brought to, windows, and those of halo models."""

    square: int = 1024
    window: int = 512
    context: int = 768
    output: int = 512
    vectors: int = 224


def release(kind: str, generation: str, sizes: Sizes, seed: int) -> tuple[nn.Module, dict, list[int]]:
    """An ensemble of a class, its configuration and the shape of its input."""
    spatial = kind in SPATIAL
    enhanced = generation == "2024" and spatial
    channels = 6 if enhanced else 3
    outputs = {
        "SegmentationEnsemble": 4, "HaloSegmentationEnsemble": 4, "SegmentationEnsembleOverlaps": 2,
        "HeatmapRegressionEnsemble": 2, "ClassificationEnsemble": 3, "RegressionEnsemble": 2,
        "KeypointsEnsemble": 4, "EmbeddingEnsemble": 16,
    }[kind]
    halo = kind == "HaloSegmentationEnsemble"
    margin = (sizes.context - sizes.output) // 2 if halo else 0
    if spatial:
        make: Callable[[], nn.Module] = lambda: Maps(channels, outputs, margin)
    else:
        make = lambda: Vectors(channels, outputs, points=kind == "KeypointsEnsemble")
    ensemble = Ensemble([make() for _ in range(3)]).eval()
    randomise(ensemble, torch.Generator().manual_seed(seed))
    transform = {
        "square_size": sizes.square,
        "resize": None if spatial else sizes.vectors,
        "contrast_enhance": enhanced,
    }
    inference = {
        "tta": False,
        "tracing_input_size": [sizes.window, sizes.window],
        "overlap": 0.5,
        "blend": "gaussian",
        "ensemble_class": kind,
    }
    lightning = {"n_class": outputs, "learning_rate": 1e-3}
    if generation == "2026":
        transform |= {"class": "FundusTestTransform", "normalize": "imagenet"}
        inference |= {
            "tta": spatial, "tta_flips": [[3]], "tile_batch_size": 4, "gaussian_sigma_scale": 0.125,
            "return_postprocess_intermediates": False, "graph_refinement": None,
        }
    if halo:
        lightning |= {"context_size": sizes.context, "output_size": sizes.output}
    config = {
        "name": f"{kind}_{generation}",
        "inference": inference,
        "lightningmodule": lightning,
        "datamodule": {"test_transform": transform, "batch_size": 8, "normalize_keypoints": True},
        "huggingface": None if generation == "2024" else {"repo": "nobody/nothing", "path": "x"},
    }
    side = sizes.context if halo else sizes.window if spatial else sizes.vectors
    return ensemble, config, [1, channels, side, side]


def tells_apart(kind: str, ensemble: nn.Module, crops: list[Path]) -> bool:
    """Whether an ensemble's answers to the crops would show a mistake: heat maps whose maximum is no
    plateau's, where the last bit decides; all combinations of overlapping classes."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    channels = next(ensemble.parameters()).shape[1]
    for crop in crops:
        image = torch.from_numpy(np.asarray(Image.open(crop).convert("RGB")).copy()) / 255
        image = ((image - mean) / std).permute(2, 0, 1)[None].repeat(1, channels // 3, 1, 1)
        with torch.no_grad():
            maps = ensemble(image)[:, 0]
        if kind == "HeatmapRegressionEnsemble":
            best = maps.flatten(2).topk(2, dim=-1).values
            spread = maps.amax(dim=(2, 3)) - maps.amin(dim=(2, 3))
            if ((best[..., 0] - best[..., 1]) / spread).min() < 1e-3:
                return False
        if kind == "SegmentationEnsembleOverlaps":
            present = maps.mean(dim=0) > 0
            counts = torch.bincount((present[0] + 2 * present[1]).flatten(), minlength=4)
            if counts.min() < 0.02 * counts.sum():
                return False
    return True


KINDS = [
    "SegmentationEnsemble", "HaloSegmentationEnsemble", "SegmentationEnsembleOverlaps",
    "ClassificationEnsemble", "RegressionEnsemble", "HeatmapRegressionEnsemble", "KeypointsEnsemble",
    "EmbeddingEnsemble",
]
GENERATIONS = ["2024", "2026"]


def chosen(
    kind: str, generation: str, sizes: Sizes, crops: list[Path]
) -> tuple[nn.Module, dict, list[int]]:
    """The first [`release`] that tells right from wrong."""
    first = 1000 * (10 * KINDS.index(kind) + GENERATIONS.index(generation))
    for seed in range(first, first + 1000):
        ensemble, config, shape = release(kind, generation, sizes, seed)
        if tells_apart(kind, ensemble, crops):
            return ensemble, config, shape
    raise SystemExit(f"no seed makes a {kind} of {generation} that would show a mistake")


def save(kind: str, generation: str, sizes: Sizes, crops: list[Path], path: Path) -> None:
    seed = 0
    ensemble, config, shape = chosen(kind, generation, sizes, crops)
    example = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    save_release(ensemble, config, example, path)


def reference(path: Path, crops: list[Path]) -> list[dict]:
    """What `rtnls_inference` answers: per crop `map`, `bits`, `points` or `vector`."""
    from rtnls_inference.ensembles import decollate_predict_full, make_ensemble

    ensemble = make_ensemble(path.with_suffix(""))
    data = [{"id": crop.stem, "image": str(crop)} for crop in crops]
    batches = ensemble._make_inference_dataloader(
        {"images": data}, preprocess=False, batch_size=2, num_workers=0, ignore_exceptions=False
    )
    answers = []
    for batch in batches:
        for item in decollate_predict_full(ensemble.predict_step_full(batch)):
            done = ensemble.postprocess_item(item)
            output = np.asarray(done["output"])
            if done["output_kind"] == "mask":
                answers.append({"map": output})
            elif done["output_kind"] == "multilabel_mask":
                bits = (output.astype(np.uint8) << np.arange(output.shape[-1], dtype=np.uint8)).sum(-1)
                answers.append({"bits": bits.astype(np.uint8)})
            elif done["output_kind"] == "keypoints":
                answers.append({"points": output.astype(np.float64)})
            elif type(ensemble).__name__ == "ClassificationEnsemble":
                # Ours are probabilities, the mean over members of their softmax.
                members = torch.softmax(torch.from_numpy(item["prediction"]), dim=-1)
                answers.append({"vector": members.mean(dim=0).double().numpy()})
            else:
                answers.append({"vector": output.astype(np.float64)})
    return answers


def ours(vascx: str, path: Path, crops: list[Path], out: Path, device: str) -> list[dict]:
    subprocess.run(
        [
            vascx, "predict", "--quiet", "--model", str(path), "--out", str(out), "--device", device,
            "--preprocess", "crop", "--keypoints", "mean_of_argmax", *map(str, crops),
        ],
        check=True,
    )
    kind = json.loads((out / "run.json").read_text())["task"]
    if kind in ("segmentation", "overlaps"):
        key = "map" if kind == "segmentation" else "bits"
        return [{key: np.asarray(Image.open(out / f"{crop.stem}.png"))} for crop in crops]
    with open(out / "predictions.csv", newline="") as file:
        rows = {row.pop("id"): [float(value) for value in row.values()] for row in csv.DictReader(file)}
    if kind == "embedding":
        written = load_file(out / "embeddings.safetensors")["embeddings"]
        assert np.allclose(written, np.array(list(rows.values())), rtol=1e-6)
    key = "points" if kind in ("heatmap", "keypoints") else "vector"
    shape = (-1, 2) if key == "points" else (-1,)
    return [{key: np.array(rows[crop.stem]).reshape(shape)} for crop in crops]


def difference(expected: list[dict], found: list[dict]) -> tuple[str, str, bool]:
    """What was compared, the worst of it, and whether that is good enough."""
    (key,) = expected[0]
    pairs = [(np.asarray(e[key]), np.asarray(f[key])) for e, f in zip(expected, found, strict=True)]
    assert all(e.shape == f.shape for e, f in pairs), [(e.shape, f.shape) for e, f in pairs]
    if key == "map":
        share = min(float((e == f).mean()) for e, f in pairs)
        return "equal pixels", f"{100 * share:.4f} %", share >= 0.9995
    if key == "bits":
        share = min(float(((e ^ f) >> bit & 1 == 0).mean()) for e, f in pairs for bit in range(2))
        return "equal bits per class", f"{100 * share:.4f} %", share >= 0.9995
    if key == "points":
        worst = max(float(np.linalg.norm(e - f, axis=-1).max()) for e, f in pairs)
        return "farthest point", f"{worst:.3f} px", worst <= 0.5
    worst = max(float(np.abs(e - f).max() / np.abs(e).max()) for e, f in pairs)
    return "largest difference", f"{worst:.1e} of the largest value", worst <= 1e-3


def report(path: Path, rows: list[tuple], crops: list[Path], device: str) -> None:
    """Replaces the section of the document."""
    passed = sum(row[-1] == "passes" for row in rows)
    names = ", ".join(crop.stem for crop in crops)
    lines = [
        HEADING,
        "",
        "Made by `tools/reference/ensembles.py`: ensembles of three small networks with random weights, "
        "loaded and run by",
        f"`rtnls_inference.make_ensemble` on the crops {names}, against `vascx predict "
        f"--preprocess crop --keypoints mean_of_argmax` on `{device}`.",
        "The worst of the crops counts. Class maps and bits pass from 99.95 %, points to 0.5 px, vectors "
        "to 1e-3.",
        "",
        f"**{passed} of {len(rows)} pass.**",
        "",
        "| class | configured as in | channels | compared | result | |",
        "|---|---|---|---|---|---|",
    ]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    text = path.read_text() if path.exists() else ""
    before, _, after = text.partition(HEADING)
    following = after.find("\n## ")
    after = after[following + 1 :] if following >= 0 else ""
    section = "\n".join(lines) + "\n"
    path.write_text(before.rstrip("\n") + "\n\n" + section + ("\n" + after if after else ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--vascx", default=str(ROOT / "target" / "release" / "vascx"))
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--report", type=Path)
    parser.add_argument("kinds", nargs="*", default=KINDS)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(2)
    crops = sorted(arguments.crops.glob("*.png"))
    rows = []
    for kind in arguments.kinds:
        for generation in GENERATIONS:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"{kind}_{generation}.pt"
                save(kind, generation, Sizes(), crops, path)
                channels = release(kind, generation, Sizes(), 0)[2][1]
                expected = reference(path, crops)
                found = ours(arguments.vascx, path, crops, Path(folder) / "out", arguments.device)
            what, worst, passes = difference(copy.deepcopy(expected), found)
            rows.append((kind, generation, str(channels), what, worst, "passes" if passes else "fails"))
            print(*rows[-1], sep="  ", flush=True)
    if arguments.report:
        report(arguments.report, rows, crops, arguments.device)


if __name__ == "__main__":
    main()
