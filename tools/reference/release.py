"""Writes an ensemble as a TorchScript release: the traced program, the weights, the configuration."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn


def save_release(
    ensemble: nn.Module, config: dict, example: torch.Tensor, path: Path, script: bool = False
) -> None:
    """Traces `ensemble` on `example` (`[N, C, H, W]`) and saves it with `extra/config.yaml`.

    The configuration is written as JSON although the entry is called `.yaml`, as the published
    releases do.
    """
    ensemble.eval()
    with torch.no_grad():
        program = torch.jit.script(ensemble) if script else torch.jit.trace(ensemble, example)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.jit.save(program, str(path), _extra_files={"config.yaml": json.dumps(config, indent=1)})
