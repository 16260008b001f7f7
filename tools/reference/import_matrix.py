"""Traces and scripts networks of public libraries, converts them, and compares the answers.

    python tools/reference/import_matrix.py --vascx target/debug/vascx --out docs/import.md [NAME …]

Each network gets random weights and randomised normalisation statistics, is saved as an ensemble,
converted by `vascx convert` and run by `vascx forward` on the traced and on two other input and
batch sizes. Networks that PyTorch itself does not run at another size (their program has the size
baked in) are compared at the traced one only. A case passes when max|Δ| ≤ 2e-4 · max|reference|.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from reference.networks import Ensemble, ResNet, UNet  # noqa: E402
from reference.release import save_release  # noqa: E402

TOLERANCE = 2e-4
SEGMENTATION, CLASSIFICATION, REGRESSION = (
    "SegmentationEnsemble",
    "ClassificationEnsemble",
    "RegressionEnsemble",
)


def tv(name, **settings):
    def build():
        import torchvision

        return getattr(torchvision.models, name)(weights=None, num_classes=3, **settings)

    return build


def tv_segmentation(name):
    class Out(nn.Module):
        def __init__(self):
            super().__init__()
            import torchvision

            build = getattr(torchvision.models.segmentation, name)
            self.net = build(weights=None, weights_backbone=None, num_classes=2)

        def forward(self, x):
            return self.net(x)["out"]

    return Out


def tm(name, **settings):
    def build():
        import timm

        return timm.create_model(name, num_classes=3, **settings)

    return build


def smp(name, encoder="resnet18", **settings):
    def build():
        import segmentation_models_pytorch

        network = getattr(segmentation_models_pytorch, name)
        return network(encoder, encoder_weights=None, classes=2, **settings)

    return build


def monai(name, **settings):
    def build():
        import monai.networks.nets

        return getattr(monai.networks.nets, name)(**settings)

    return build


class MaskedWindow(nn.Module):
    """Slice assignment, rolling and a mask that depends on the input's size."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        y = self.first(x)
        mask = torch.zeros_like(y[:, :1])
        mask[:, :, : y.shape[2] // 2, 1:-1] = 1.0
        y = torch.roll(y, (2, -1), dims=(2, 3)) * mask + y.clamp(-1, 1)
        y[:, 0] += 0.5
        return self.last(y.relu_())


class Looping(nn.Module):
    """Control flow that only scripting keeps."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3 if i == 0 else 6, 6, 3, padding=1) for i in range(3))
        self.last = nn.Conv2d(6, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept: list[torch.Tensor] = []
        for i, layer in enumerate(self.layers):
            x = torch.relu(layer(x))
            if i % 2 == 0:
                kept.append(x)
        count = 0
        while count < 2:
            x = x + kept[count]
            count += 1
        if x.size(2) % 2 != 0:
            raise ValueError("odd")
        return self.last(x)


# name → (builder, task, channels, side, members)
TRACED = {
    "vascx unet": (lambda: UNet(6, 4, [8, 16, 24]), SEGMENTATION, 6, 64, 5),
    "vascx resnet18": (lambda: ResNet(18, 3, 3, width=8), CLASSIFICATION, 3, 64, 5),
    "plain masked window": (MaskedWindow, SEGMENTATION, 3, 32, 2),
    "torchvision resnet18": (tv("resnet18"), CLASSIFICATION, 3, 64, 2),
    "torchvision resnext50_32x4d": (tv("resnext50_32x4d"), REGRESSION, 3, 64, 1),
    "torchvision densenet121": (tv("densenet121"), CLASSIFICATION, 3, 64, 1),
    "torchvision vgg11_bn": (tv("vgg11_bn"), CLASSIFICATION, 3, 64, 1),
    "torchvision squeezenet1_1": (tv("squeezenet1_1"), CLASSIFICATION, 3, 64, 2),
    "torchvision mobilenet_v2": (tv("mobilenet_v2"), CLASSIFICATION, 3, 64, 2),
    "torchvision mobilenet_v3_small": (tv("mobilenet_v3_small"), REGRESSION, 3, 64, 2),
    "torchvision shufflenet_v2_x0_5": (tv("shufflenet_v2_x0_5"), CLASSIFICATION, 3, 64, 2),
    "torchvision mnasnet0_5": (tv("mnasnet0_5"), CLASSIFICATION, 3, 64, 1),
    "torchvision regnet_y_400mf": (tv("regnet_y_400mf"), CLASSIFICATION, 3, 64, 1),
    "torchvision efficientnet_b0": (tv("efficientnet_b0"), CLASSIFICATION, 3, 64, 2),
    "torchvision efficientnet_v2_s": (tv("efficientnet_v2_s"), CLASSIFICATION, 3, 64, 1),
    "torchvision convnext_tiny": (tv("convnext_tiny"), CLASSIFICATION, 3, 64, 1),
    "torchvision swin_t": (tv("swin_t"), CLASSIFICATION, 3, 64, 1),
    "torchvision swin_v2_t": (tv("swin_v2_t"), CLASSIFICATION, 3, 64, 1),
    "torchvision vit_b_32": (tv("vit_b_32"), CLASSIFICATION, 3, 224, 1),
    "torchvision googlenet": (tv("googlenet", aux_logits=False, init_weights=False), CLASSIFICATION, 3, 96, 1),
    "torchvision fcn_resnet50": (tv_segmentation("fcn_resnet50"), SEGMENTATION, 3, 64, 1),
    "torchvision deeplabv3_resnet50": (tv_segmentation("deeplabv3_resnet50"), SEGMENTATION, 3, 64, 1),
    "torchvision lraspp_mobilenet": (tv_segmentation("lraspp_mobilenet_v3_large"), SEGMENTATION, 3, 64, 1),
    "timm vit_tiny_patch16_224": (tm("vit_tiny_patch16_224"), CLASSIFICATION, 3, 224, 1),
    "timm deit_tiny_patch16_224": (tm("deit_tiny_patch16_224"), CLASSIFICATION, 3, 224, 2),
    "timm convnextv2_atto": (tm("convnextv2_atto"), CLASSIFICATION, 3, 64, 2),
    "timm efficientnet_lite0": (tm("efficientnet_lite0"), REGRESSION, 3, 64, 1),
    "timm mobilevit_xxs": (tm("mobilevit_xxs"), CLASSIFICATION, 3, 64, 2),
    "timm resnest14d": (tm("resnest14d"), CLASSIFICATION, 3, 64, 1),
    "timm res2net50d": (tm("res2net50d"), CLASSIFICATION, 3, 64, 1),
    "timm ghostnet_050": (tm("ghostnet_050"), CLASSIFICATION, 3, 64, 2),
    "timm poolformer_s12": (tm("poolformer_s12"), CLASSIFICATION, 3, 64, 1),
    "timm mixer_s32_224": (tm("mixer_s32_224"), CLASSIFICATION, 3, 224, 1),
    "timm pvt_v2_b0": (tm("pvt_v2_b0"), CLASSIFICATION, 3, 64, 1),
    "timm edgenext_xx_small": (tm("edgenext_xx_small"), CLASSIFICATION, 3, 64, 1),
    "timm coat_lite_tiny": (tm("coat_lite_tiny"), CLASSIFICATION, 3, 224, 1),
    "timm hardcorenas_a": (tm("hardcorenas_a"), CLASSIFICATION, 3, 64, 1),
    "timm nf_regnet_b0": (tm("nf_regnet_b0"), CLASSIFICATION, 3, 64, 1),
    "smp Unet resnet18": (smp("Unet"), SEGMENTATION, 3, 64, 2),
    "smp Unet efficientnet-b0": (smp("Unet", "efficientnet-b0"), SEGMENTATION, 3, 64, 1),
    "smp UnetPlusPlus": (smp("UnetPlusPlus"), SEGMENTATION, 3, 64, 1),
    "smp Unet scse": (smp("Unet", decoder_attention_type="scse"), SEGMENTATION, 3, 64, 1),
    "smp FPN": (smp("FPN"), SEGMENTATION, 3, 64, 1),
    "smp Linknet": (smp("Linknet"), SEGMENTATION, 3, 64, 1),
    "smp MAnet": (smp("MAnet"), SEGMENTATION, 3, 64, 1),
    "smp PAN": (smp("PAN"), SEGMENTATION, 3, 256, 1),
    "smp PSPNet": (smp("PSPNet"), SEGMENTATION, 3, 64, 1),
    "smp DeepLabV3Plus": (smp("DeepLabV3Plus"), SEGMENTATION, 3, 64, 1),
    "smp UPerNet": (smp("UPerNet"), SEGMENTATION, 3, 64, 1),
    "smp Segformer mit_b0": (smp("Segformer", "mit_b0"), SEGMENTATION, 3, 64, 1),
    "monai BasicUNet": (monai("BasicUNet", spatial_dims=2, in_channels=3, out_channels=2, features=(8, 8, 16, 16, 16, 8)), SEGMENTATION, 3, 64, 2),
    "monai UNet": (monai("UNet", spatial_dims=2, in_channels=3, out_channels=2, channels=(8, 16, 16), strides=(2, 2), num_res_units=2), SEGMENTATION, 3, 64, 2),
    "monai AttentionUnet": (monai("AttentionUnet", spatial_dims=2, in_channels=3, out_channels=2, channels=(8, 16, 16), strides=(2, 2)), SEGMENTATION, 3, 64, 1),
    "monai SegResNet": (monai("SegResNet", spatial_dims=2, in_channels=3, out_channels=2, init_filters=8), SEGMENTATION, 3, 64, 1),
    "monai DynUNet": (monai("DynUNet", spatial_dims=2, in_channels=3, out_channels=2, kernel_size=[3, 3, 3], strides=[1, 2, 2], upsample_kernel_size=[2, 2], filters=[8, 16, 16]), SEGMENTATION, 3, 64, 1),
}
SCRIPTED = {
    "plain looping": (Looping, SEGMENTATION, 3, 32, 2),
    **{
        name: TRACED[name]
        for name in [
            "torchvision resnet18",
            "torchvision densenet121",
            "torchvision mobilenet_v3_small",
            "torchvision efficientnet_b0",
            "torchvision convnext_tiny",
            "torchvision swin_t",
            "torchvision shufflenet_v2_x0_5",
            "torchvision deeplabv3_resnet50",
            "torchvision vit_b_32",
            "timm convnextv2_atto",
            "smp Unet resnet18",
            "monai BasicUNet",
            "monai SegResNet",
        ]
    },
}


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


def reason(message: str, folder: Path) -> str:
    """The message on one line, without the name of the temporary folder."""
    return " ".join(message.replace(f"{folder}/", "").split())[:300]


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
    path = folder / "model.pt"
    example = torch.randn((1, channels, side, side), generator=generator)
    save_release(ensemble, config, example, path, script=kind == "scripted")
    program = torch.jit.load(str(path))
    if cuda:
        on_cuda_device(path)
    directory = folder / "model"
    shutil.rmtree(directory, ignore_errors=True)
    command = [vascx, "convert", str(path), "--out", str(directory)]
    converted = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if converted.returncode:
        return "fails", reason(converted.stderr, folder), ""
    worst, sizes = 0.0, []
    for batch, height, width in [(1, side, side), (3, side, side + 64), (2, side + 32, side)]:
        image = torch.randn((batch, channels, height, width), generator=generator)
        try:
            with torch.no_grad():
                expected = program(image)
        except Exception:  # noqa: BLE001 - the traced program has its size baked in
            continue
        save_file({"image": image}, folder / "image.safetensors")
        command = [vascx, "forward", "--model", str(directory)]
        command += ["--input", str(folder / "image.safetensors")]
        command += ["--output", str(folder / "answer.safetensors")]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if ran.returncode:
            return "fails", f"{batch}×{height}×{width}: " + reason(ran.stderr, folder), ""
        answer = load_file(folder / "answer.safetensors")["prediction"]
        scale = expected.abs().max().item()
        error = (answer - expected).abs().max().item() / max(scale, 1e-30)
        worst = max(worst, error)
        sizes.append(f"{batch}×{height}×{width}")
    verdict = "passes" if worst <= TOLERANCE else "differs"
    return verdict, f"{worst:.1e}", ", ".join(sizes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--vascx", default=str(ROOT / "target" / "debug" / "vascx"))
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("names", nargs="*", help="networks whose names contain one of these")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    cases = [(name, "traced", case, False) for name, case in TRACED.items()]
    cases += [(name, "scripted", case, False) for name, case in SCRIPTED.items()]
    cases += [("torchvision swin_t", "traced", TRACED["torchvision swin_t"], True)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, kind, case, cuda in cases:
            if arguments.names and not any(part in name for part in arguments.names):
                continue
            try:
                row = run_case(name, kind, case, arguments.vascx, Path(folder), cuda)
            except Exception as error:  # noqa: BLE001 - a library that cannot trace its own network
                row = ("not made", " ".join(str(error).split())[:160], "")
            label = f"{kind} (cuda:0)" if cuda else kind
            rows.append((name, label, case[1].removesuffix("Ensemble").lower(), case[4], *row))
            print(json.dumps(rows[-1]), flush=True)
    made = [row for row in rows if row[4] != "not made"]
    passed = [row for row in made if row[4] == "passes"]
    print(f"{len(passed)} of {len(made)} pass")
    if arguments.out:
        import monai
        import segmentation_models_pytorch
        import timm
        import torchvision

        versions = ", ".join(
            f"{module.__name__} {module.__version__}"
            for module in [torch, torchvision, timm, segmentation_models_pytorch, monai]
        )
        text = [
            "# Networks whose programs import",
            "",
            "Made by `python tools/reference/import_matrix.py --out docs/import.md`; the script says",
            "what is compared. Largest difference from PyTorch, relative to the largest reference",
            f"value; at most {TOLERANCE:.0e} passes. {versions}.",
            "",
            f"**{len(passed)} of {len(made)} pass.**",
            "",
            "| network | program | task | members | result | difference or reason | N×H×W compared |",
            "|---|---|---|---|---|---|---|",
        ]
        text += ["| " + " | ".join(str(field).replace("|", "\\|") for field in row) + " |" for row in rows]
        arguments.out.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
