"""Writes an ensemble as a TorchScript release: the traced program, the weights, the configuration."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
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


def on_cuda_device(path: Path) -> None:
    """Rewrites device constants as a trace on a card would hold them."""
    temporary = path.with_suffix(".tmp")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(temporary, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith(".py"):
                content = content.replace(b'torch.device("cpu")', b'torch.device("cuda:0")')
            if entry.filename.endswith("data.pkl"):
                content = content.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
            new.writestr(entry, content)
    temporary.replace(path)


def rewrite_config(path: Path, change: Callable[[dict], dict]) -> None:
    """Replaces a release's configuration; every other entry keeps its bytes.

    Stored entries begin at multiples of 64 bytes again, which PyTorch's own writer sees to with a
    padding field, so that tensors can be mapped into memory.
    """
    temporary = path.with_suffix(".tmp")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(temporary, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith("extra/config.yaml"):
                content = json.dumps(change(json.loads(content)), indent=1).encode()
            copy = zipfile.ZipInfo(entry.filename, entry.date_time)
            copy.compress_type = entry.compress_type
            if copy.compress_type == zipfile.ZIP_STORED:
                start = new.fp.tell() + 30 + len(copy.filename.encode()) + 4
                padding = -start % 64
                copy.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
            new.writestr(copy, content)
    temporary.replace(path)
