"""The four demo tasks: networks, release configurations, training batches and losses.

Batches are f32 `[N, C, side, side]`; targets are u8 class maps `[N, side, side]`, heat maps
`[N, 1, side, side]` or grades `[N]`.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "reference"))
from networks import ResNet, UNet  # noqa: E402

from preprocess import MEAN, STD  # noqa: E402


@dataclass(frozen=True)
class Task:
    """What is trained and how; `crop` is the training side in pixels, `size` the model's S."""

    name: str
    ensemble_class: str
    size: int
    window: int
    crop: int
    batch: int
    members: int
    shared_steps: int  # steps of the start that all members share
    member_steps: int  # steps of each member with its own seed
    rate: float
    classes: tuple[str, ...]
    rotation: float  # largest rotation of the augmentation in degrees
    scale: float  # largest relative change of scale


TASKS = {task.name: task for task in (
    Task("artery_vein", "SegmentationEnsemble", 768, 384, 256, 4, 2, 450, 1400, 3e-3,
         ("background", "artery", "vein", "crossing"), 180, 0.25),
    Task("disc", "SegmentationEnsemble", 256, 256, 256, 8, 2, 450, 60, 2e-3,
         ("background", "disc"), 30, 0.25),
    Task("fovea", "HeatmapRegressionEnsemble", 256, 256, 256, 8, 2, 560, 60, 2e-3,
         ("fovea",), 20, 0.2),
    Task("quality", "ClassificationEnsemble", 256, 256, 256, 16, 3, 3000, 300, 2e-3,
         ("q1", "q2", "q3"), 15, 0.1),
)}


def make_network(task: Task) -> nn.Module:
    if task.name == "artery_vein":
        return UNet(6, 4, [12, 24, 48, 96])
    if task.name == "disc":
        return UNet(6, 2, [8, 16, 32, 48, 64], norm="instance", activation="leaky_relu", up="bilinear")
    if task.name == "fovea":
        return UNet(6, 1, [8, 16, 32, 48, 64, 64])
    return ResNet(18, 3, 3, width=16)


def release_config(task: Task) -> dict:
    """The configuration that travels inside the `.pt` file."""
    names = "keypoint_names" if task.name == "fovea" else "class_names"
    return {
        "name": f"demo_{task.name}",
        "notice": "demonstration model, trained on synthetic pictures; not for clinical use",
        "inference": {
            "tta": False, "tracing_input_size": [task.window, task.window], "overlap": 0.5,
            "blend": "gaussian", "ensemble_class": task.ensemble_class,
        },
        "lightningmodule": {"n_class": len(task.classes), names: list(task.classes)},
        "datamodule": {"test_transform": {
            "square_size": task.size, "contrast_enhance": task.name != "quality", "normalize": "imagenet",
        }},
    }


class Source:
    """Random augmented batches of one task from the arrays of one or more training sets."""

    def __init__(self, task: Task, folders: list[Path], seed: int):
        self.task, self.rng = task, np.random.default_rng([seed, 77])
        prefix = {"artery_vein": "vessels", "quality": "quality"}.get(task.name, "places")
        self.x = [np.load(f / f"{prefix}_x.npy", mmap_mode="r") for f in folders]
        target = {"fovea": "fovea", "quality": "quality_x"}.get(task.name, f"{prefix}_y")
        self.y = [np.load(f / f"{target}.npy", mmap_mode="r") for f in folders]
        self.index = [(s, i) for s, x in enumerate(self.x) for i in range(len(x))]

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        pairs = [self._sample() for _ in range(self.task.batch)]
        return torch.stack([x for x, _ in pairs]), torch.stack([y for _, y in pairs])

    def _sample(self) -> tuple[torch.Tensor, torch.Tensor]:
        task, rng = self.task, self.rng
        set_index, i = self.index[rng.integers(len(self.index))]
        grade = int(rng.integers(3))
        pixels = self.x[set_index][i]
        pixels = pixels[grade] if task.name == "quality" else pixels
        side = pixels.shape[0]
        # `matrix` maps crop coordinates in [−1, 1] to photograph coordinates in [−1, 1].
        zoom = (task.crop / task.size) * math.exp(rng.uniform(-1, 1) * math.log1p(task.scale))
        angle = math.radians(rng.uniform(-task.rotation, task.rotation))
        flip = rng.choice((-1, 1))
        matrix = zoom * np.array([[flip * math.cos(angle), -math.sin(angle)],
                                  [flip * math.sin(angle), math.cos(angle)]])
        room = max(0.0, 1 - zoom) if task.crop < task.size else 0.0
        shift = rng.uniform(-room, room, 2) if room else rng.normal(0, 0.05, 2)
        theta = torch.tensor(np.column_stack([matrix, shift]), dtype=torch.float32)[None]
        grid = F.affine_grid(theta, (1, 1, task.crop, task.crop), align_corners=False)
        image = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float()
        x = self._recolour(F.grid_sample(image, grid, align_corners=False)[0] / 255)
        if task.name == "quality":
            return x, torch.tensor(grade)
        if task.name == "fovea":
            spot = self.y[set_index][i] / side * 2 - 1
            spot = np.linalg.solve(matrix, spot - shift)
            return x, heat_map((spot + 1) / 2 * task.crop, task.crop)
        label = torch.from_numpy(np.array(self.y[set_index][i]))[None, None].float()
        label = F.grid_sample(label, grid, mode="nearest", align_corners=False)[0, 0].to(torch.uint8)
        return x, (label >> 7 if task.name == "disc" else label & 3).long()

    def _recolour(self, x: torch.Tensor) -> torch.Tensor:
        """Random gain and offset of the channels, then normalisation; `x` `[C, h, w]` in [0, 1]."""
        rng, channels = self.rng, x.shape[0]
        strength = {"quality": 0.0, "artery_vein": 0.08}.get(self.task.name, rng.choice((0.08, 0.3)))
        gain = np.exp(rng.normal(0, strength, channels))
        offset = rng.normal(0, 0.2 * strength, channels)
        gain[3:], offset[3:] = 1 + (gain[3:] - 1) * 0.5, offset[3:] * 0.4
        x = x * torch.tensor(gain, dtype=torch.float32)[:, None, None]
        x = (x + torch.tensor(offset, dtype=torch.float32)[:, None, None]).clamp(0, 1)
        repeats = channels // 3
        mean, std = (torch.tensor(np.tile(v, repeats))[:, None, None] for v in (MEAN, STD))
        return (x - mean) / std


def heat_map(spot: np.ndarray, side: int) -> torch.Tensor:
    """Gaussian of height 1 around (x, y), σ = 3 % of the side, `[1, side, side]`."""
    at = torch.arange(side) + 0.5
    sigma = 0.03 * side
    x, y = (torch.exp(-0.5 * ((at - float(v)) / sigma) ** 2) for v in spot)
    return (y[:, None] * x[None, :])[None]


def loss(task: Task, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Scalar loss of f32 logits against the targets of `Source`."""
    if task.name == "quality":
        return F.cross_entropy(output, target, label_smoothing=0.03)
    if task.name == "fovea":
        return (F.binary_cross_entropy_with_logits(output, target, reduction="none")
                * (1 + 20 * target)).mean() * 10
    weight = torch.tensor((1.0, 1.6, 1.6, 1.6) if task.name == "artery_vein" else (1.0, 2.0))
    entropy = F.cross_entropy(output, target, weight)
    shares = output.softmax(1)
    if task.name == "disc":
        return entropy + soft_dice_loss(shares[:, 1], target == 1)
    # Crossings are left out of the Dice of either kind: counting them there makes "crossing
    # everywhere" a local optimum.
    return (2 * entropy + soft_dice_loss(1 - shares[:, 0], target > 0)
            + soft_dice_loss(shares[:, 1], target == 1) + soft_dice_loss(shares[:, 2], target == 2))


def soft_dice_loss(share: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """1 − Dice over the whole batch."""
    truth = truth.to(share.dtype)
    return 1 - (2 * (share * truth).sum() + 1) / (share.sum() + truth.sum() + 1)
