"""Saves networks of public libraries in every form that converts, converts them, and compares the
answers: to PyTorch's, those of ONNX files to ONNX Runtime's.

    python tools/reference/import_matrix.py --rows current.jsonl [-- NAME …]
    python-of-another-torch tools/reference/import_matrix.py --rows older.jsonl --kinds traced scripted
    python tools/reference/import_matrix.py --report docs/import.md current.jsonl older.jsonl

Each network gets random weights and randomised normalisation statistics, is saved as an ensemble,
converted by `vascx convert` and run by `vascx forward` on the traced and on two other input and
batch sizes. Networks that PyTorch itself does not run at another size (their program has the size
baked in) are compared at the traced one only. A case passes when max|Δ| ≤ 2e-4 · max|reference|.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from reference.networks import Ensemble  # noqa: E402
from reference.release import on_cuda_device, save_release  # noqa: E402
from reference.zoo import KINDS  # noqa: E402

TOLERANCE = 2e-4
HEAD = f"""# Networks that import

Made by `tools/reference/import_matrix.py`; the script says what is compared and how to repeat
it. Largest difference from PyTorch, of ONNX files from ONNX Runtime, relative to the largest reference value; at most
{TOLERANCE:.0e} passes. What a library cannot save in that form itself is not counted.
"""
LIBRARIES = ["torch", "torchvision", "timm", "segmentation_models_pytorch", "monai"]


def randomise(model: nn.Module, generator: torch.Generator) -> None:
    """Statistics and constant weights (norms, layer scales, heads of zeros) that a mistake shows in."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.numel() > 1 and weight.min() == weight.max():
                small = weight.dim() > 1 or name.endswith("bias")
                low, high = (-0.1, 0.1) if small else (0.3, 1.0)
                weight.uniform_(low, high, generator=generator)
        for module in model.modules():
            if getattr(module, "running_mean", None) is not None:
                module.running_mean.uniform_(-0.2, 0.2, generator=generator)
                module.running_var.uniform_(0.6, 1.6, generator=generator)


def reason(message: str, folder: Path) -> str:
    """The message on one line, without the name of the temporary folder."""
    return " ".join(message.replace(f"{folder}/", "").split())[:300]


def save(kind: str, ensemble: nn.Module, config: dict, example: torch.Tensor, folder: Path):
    """Saves the ensemble; gives the files to convert, what to tell `convert`, and the reference."""
    path = folder / "model.pt"
    if kind in ("traced", "scripted"):
        save_release(ensemble, config, example, path, script=kind == "scripted")
        return path, [], torch.jit.load(str(path))
    if kind == "state dict":
        torch.save(ensemble.state_dict(), path)
        (folder / "config.json").write_text(json.dumps(config))
        return path, ["--config", str(folder / "config.json")], ensemble
    import onnx
    import onnxruntime

    path = folder / "model.onnx"
    names = {"input_names": ["image"], "output_names": ["prediction"]}
    axes = {"image": {0: "n", 2: "h", 3: "w"}}
    torch.onnx.export(ensemble, (example,), path, dynamo=False, dynamic_axes=axes, opset_version=17, **names)
    model = onnx.load(path)
    model.metadata_props.add(key="config", value=json.dumps(config))
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def reference(image: torch.Tensor) -> torch.Tensor:
        """What the file says, which fails, or is not what PyTorch answers, where the exporter baked sizes in."""
        return torch.from_numpy(session.run(None, {"image": image.numpy()})[0])

    return path, [], reference


def run(command: list[str]) -> str:
    """What the program complains of."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return done.stderr if done.returncode else ""


def run_case(name, kind, case, vascx, folder, cuda=False):
    build, task, channels, side, members = case
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    ensemble = Ensemble([build() for _ in range(members)]).eval()
    randomise(ensemble, generator)
    config = {
        "name": name,
        "inference": {"tracing_input_size": [side, side], "ensemble_class": task},
        "datamodule": {"test_transform": {"square_size": side, "contrast_enhance": channels == 6}},
    }
    example = torch.randn((1, channels, side, side), generator=generator)
    path, told, reference = save(kind, ensemble, config, example, folder)
    if cuda:
        on_cuda_device(path)
    directory = folder / "model"
    shutil.rmtree(directory, ignore_errors=True)
    complaint = run([vascx, "convert", str(path), "--out", str(directory), *told])
    if complaint:
        return "fails", reason(complaint, folder), ""
    worst, sizes = 0.0, []
    for batch, height, width in [(1, side, side), (3, side, side + 64), (2, side + 32, side)]:
        image = torch.randn((batch, channels, height, width), generator=generator)
        try:
            with torch.no_grad():
                expected = reference(image)
        except Exception:  # noqa: BLE001 - the traced program has its size baked in
            continue
        save_file({"image": image}, folder / "image.safetensors")
        command = [vascx, "forward", "--model", str(directory)]
        command += ["--input", str(folder / "image.safetensors")]
        command += ["--output", str(folder / "answer.safetensors")]
        complaint = run(command)
        if complaint:
            return "fails", f"{batch}×{height}×{width}: " + reason(complaint, folder), ""
        answer = load_file(folder / "answer.safetensors")["prediction"]
        scale = expected.abs().max().item()
        error = (answer - expected).abs().max().item() / max(scale, 1e-30)
        worst = max(worst, error)
        sizes.append(f"{batch}×{height}×{width}")
    verdict = "passes" if worst <= TOLERANCE else "differs"
    return verdict, f"{worst:.1e}", ", ".join(sizes)


def versions() -> str:
    modules = [importlib.import_module(name) for name in LIBRARIES]
    return ", ".join(f"{module.__name__} {module.__version__.split('+')[0]}" for module in modules)


def run_all(arguments) -> None:
    cases = [(name, kind, case, False) for kind in arguments.kinds for name, case in KINDS[kind].items()]
    if "traced" in arguments.kinds:
        swin = "torchvision swin_t"
        cases.append((swin, "traced", KINDS["traced"][swin], True))
    with arguments.rows.open("w") as file, tempfile.TemporaryDirectory() as folder:
        for name, kind, case, cuda in cases:
            if arguments.names and not any(part in name for part in arguments.names):
                continue
            try:
                result = run_case(name, kind, case, arguments.vascx, Path(folder), cuda)
            except Exception as error:  # noqa: BLE001 - a library that cannot save its own network
                result = ("not made", " ".join(str(error).split())[:160], "")
            label = f"{kind} (cuda:0)" if cuda else kind
            task = case[1].removesuffix("Ensemble").lower()
            row = {"versions": versions(), "row": [name, label, task, case[4], *result]}
            file.write(json.dumps(row) + "\n")
            file.flush()
            print(json.dumps(row["row"]), flush=True)


def section(file: Path) -> str:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    rows = [line["row"] for line in lines if line["row"][4] != "not made"]
    passed = sum(row[4] == "passes" for row in rows)
    text = [
        lines[0]["versions"],
        "",
        f"**{passed} of {len(rows)} pass.**",
        "",
        "| network | saved as | task | members | result | difference or reason | N×H×W compared |",
        "|---|---|---|---|---|---|---|",
    ]
    text += ["| " + " | ".join(str(field).replace("|", "\\|") for field in row) + " |" for row in rows]
    return "\n".join(text) + "\n"


def report(path: Path, files: list[Path]) -> None:
    """Replaces the sections of the same versions; the others stay."""
    head, *sections = path.read_text().split("\n## ") if path.exists() else [HEAD]
    for new in map(section, files):
        places = [i for i, old in enumerate(sections) if old.split("\n")[0] == new.split("\n")[0]]
        if places:
            sections[places[0]] = new
        else:
            sections.append(new)
    path.write_text("\n## ".join([head, *(old.rstrip("\n") + "\n" for old in sections)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--vascx", default=str(ROOT / "target" / "release" / "vascx"))
    parser.add_argument("--rows", type=Path, help="where the results go, a line of JSON each")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--report", type=Path, help="Markdown file to write from files of rows")
    parser.add_argument("names", nargs="*", help="parts of names of networks; with --report, files")
    arguments = parser.parse_args()
    if arguments.report:
        report(arguments.report, [Path(name) for name in arguments.names])
        return
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    run_all(arguments)


if __name__ == "__main__":
    main()
