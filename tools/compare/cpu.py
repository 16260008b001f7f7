"""One forward pass on the CPU: vascx against ONNX Runtime, OpenVINO and PyTorch, same weights, one run.

    python tools/compare/cpu.py [NAME …] [--size 512] [--rounds 5] [--threads 2] [--rivals KIND …]
        [--vascx target/release/vascx] [--busy] [--out TABLE.md]

Each network gets random weights and randomised normalisation statistics; vascx converts its trace,
ONNX Runtime and OpenVINO get its export. Rounds are interleaved: every rival runs once per
round, so that a busy moment of the machine hits all of them. A rival's figure is its median; its
first pass is not counted. bfloat16 is measured where the processor has instructions for it; its ratios are
to vascx in bf16. `--isa avx2` holds all of them to AVX2 (the environment variables of PyTorch, oneDNN and
vascx; ONNX Runtime has none and is left out). `--busy` measures beside a loop pinned to one of the
processors. Memory is the peak of a process
of its own that loads the network and runs it, minus that of a process that only loads its program.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))


def unet(norm):
    def build():
        from reference.networks import UNet

        return UNet(6, 4, [32, 64, 128, 256, 512], norm=norm)

    return build


def smp_unet():
    import segmentation_models_pytorch

    return segmentation_models_pytorch.Unet("resnet18", encoder_weights=None, in_channels=6, classes=4)


def torchvision_model(name):
    def build():
        import torchvision

        return getattr(torchvision.models, name)(weights=None, num_classes=3)

    return build


RIVALS = ["onnxruntime", "openvino", "openvino bf16", "torch eager", "torch channels-last", "torch bf16"]
# Network, channels, whether it answers with a map.
NETWORKS = {
    "U-Net, batch norm": (unet("batch"), 6, True),
    "U-Net, instance norm": (unet("instance"), 6, True),
    "smp U-Net ResNet-18": (smp_unet, 6, True),
    "ResNet-18": (torchvision_model("resnet18"), 3, False),
    "ResNet-50": (torchvision_model("resnet50"), 3, False),
    "EfficientNet-B0": (torchvision_model("efficientnet_b0"), 3, False),
    "ConvNeXt-Tiny": (torchvision_model("convnext_tiny"), 3, False),
}


def prepare(name: str, size: int, folder: Path) -> None:
    """Writes model.pt, model.onnx, image.safetensors and reference.npy."""
    import numpy as np
    import torch
    from reference.import_matrix import randomise
    from reference.release import save_release
    from safetensors.torch import save_file

    build, channels, spatial = NETWORKS[name]
    torch.manual_seed(0)
    network = build().eval()
    randomise(network, torch.Generator().manual_seed(1))
    image = torch.randn(1, channels, size, size)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = network(image)
        torch.onnx.export(network, (image,), folder / "model.onnx", dynamo=False,
                          input_names=["image"], output_names=["prediction"])
    task = "SegmentationEnsemble" if spatial else "ClassificationEnsemble"
    config = {"inference": {"ensemble_class": task},
              "datamodule": {"test_transform": {"square_size": size, "contrast_enhance": channels == 6}}}
    save_release(network, config, image, folder / "model.pt")
    torch.save(network, folder / "network.pt")
    save_file({"image": image}, folder / "image.safetensors")
    np.save(folder / "reference.npy", reference.numpy())


class Vascx:
    def __init__(self, program: Path, folder: Path, size: int, dtype: str, env: dict):
        self.command = [str(program), "bench", "--model", str(folder / "model"), "--size", str(size),
                        "--runs", "6", "--dtype", dtype, "--json"]
        self.env = env

    def seconds(self) -> float:
        run = subprocess.run(self.command, check=True, capture_output=True, text=True, env=self.env)
        report = json.loads(run.stdout)
        self.gflop = report["gflop"]
        # A process of its own each time: as with the rivals, its first passes do not count.
        return statistics.median(report["seconds"][3:])


class Worker:
    """A rival in a process of its own, so that its threads do not disturb the others."""

    def __init__(self, kind: str, folder: Path, threads: int, env: dict):
        command = [sys.executable, __file__, "--worker", kind, str(folder), str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=env)
        self.seconds()

    def seconds(self) -> float:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def loop() -> None:
    os.sched_setaffinity(0, {0})
    while True:
        pass


@contextlib.contextmanager
def busy(wanted: bool):
    """A loop on the first processor, if it is wanted."""
    process = multiprocessing.Process(target=loop, daemon=True)
    if wanted:
        process.start()
    try:
        yield
    finally:
        if wanted:
            process.terminate()
            process.join()


def load(kind: str, folder: Path, threads: int):
    """A function that runs one pass."""
    if kind == "onnxruntime":
        import onnxruntime
        from safetensors.numpy import load_file

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(folder / "model.onnx", options,
                                               providers=["CPUExecutionProvider"])
        image = load_file(folder / "image.safetensors")
        return lambda: session.run(None, image)[0]
    if kind.startswith("openvino"):
        import openvino
        from safetensors.numpy import load_file

        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads,
                   "INFERENCE_PRECISION_HINT": "bf16" if kind.endswith("bf16") else "f32"}
        network = openvino.Core().compile_model(folder / "model.onnx", "CPU", options)
        request, image = network.create_infer_request(), load_file(folder / "image.safetensors")["image"]
        return lambda: request.infer([image])[0]
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(threads)
    network = torch.load(folder / "network.pt", weights_only=False)
    image = load_file(folder / "image.safetensors")["image"]
    if kind != "torch eager":
        network = network.to(memory_format=torch.channels_last)
        image = image.to(memory_format=torch.channels_last)
    if kind == "torch bf16":
        network, image = network.to(torch.bfloat16), image.to(torch.bfloat16)

    def run():
        with torch.inference_mode():
            return network(image).float().numpy()
    return run


def work(kind: str, folder: Path, threads: int) -> None:
    run = load(kind, folder, threads)
    run()
    for _ in sys.stdin:
        seconds = []
        for _ in range(3):
            began = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - began)
        print(statistics.median(seconds), flush=True)


def peak(command: list, env: dict) -> float:
    """Peak memory of a process, in MiB. Not its `ru_maxrss`, which begins with that of this process."""
    process = subprocess.Popen([str(part) for part in command], env=env, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    most = 0
    while process.poll() is None:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    most = int(line.split()[1])
        time.sleep(0.001)
    if process.returncode != 0:
        raise SystemExit(f"{command}: exit status {process.returncode}")
    return most / 1024


def memory(program: Path, folder: Path, threads: int, dtypes: list[str], env: dict) -> list[float]:
    """MiB that vascx, in each type, and ONNX Runtime need beyond their programs, for weights and a pass."""
    found = []
    for dtype in dtypes:
        forward = [program, "forward", "--model", folder / "model", "--input", folder / "image.safetensors",
                   "--dtype", dtype, "--output", folder / f"{dtype}.safetensors"]
        found.append(peak(forward, env) - peak([program, "devices"], env))
    once = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import cpu; from pathlib import Path; "
    load_only = once + "import onnxruntime, numpy, safetensors.numpy"
    run = once + f"cpu.load('onnxruntime', Path({str(folder)!r}), {threads})()"
    found.append(peak([sys.executable, "-c", run], env) - peak([sys.executable, "-c", load_only], env))
    return found


def agreement(folder: Path, dtype: str, spatial: bool) -> tuple[float, float | None]:
    """Largest difference relative to the largest value; share of equal classes."""
    import numpy as np
    from safetensors.numpy import load_file

    reference = np.load(folder / "reference.npy")
    ours = load_file(folder / f"{dtype}.safetensors")["prediction"][0]
    difference = float(np.abs(ours - reference).max() / np.abs(reference).max())
    if not spatial:
        return difference, None
    return difference, float((ours.argmax(1) == reference.argmax(1)).mean())


def flags() -> list[str]:
    """What the processor can do, where the system tells."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                return line.split()
    return []


def processor() -> str:
    name = platform.processor()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":")[1].strip()
    best = "AVX-512" if "avx512f" in flags() else "AVX2" if "avx2" in flags() else "no AVX2"
    return f"{name} ({best})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--isa", choices=["avx2"])
    parser.add_argument("--rivals", nargs="+", default=RIVALS, choices=RIVALS)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--vascx", type=Path, default=ROOT / "target/release/vascx")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        kind, folder, threads = arguments.worker
        return work(kind, Path(folder), int(threads))

    env = dict(os.environ, RAYON_NUM_THREADS=str(arguments.threads))
    rivals = list(arguments.rivals)
    # Without instructions for it bfloat16 takes many times as long as f32.
    dtypes = ["f32"] if arguments.isa or "avx512_bf16" not in flags() else ["f32", "bf16"]
    if len(dtypes) == 1:
        rivals = [kind for kind in rivals if not kind.endswith("bf16")]
    if arguments.isa == "avx2":
        env.update(DNNL_MAX_CPU_ISA="AVX2", ATEN_CPU_CAPABILITY="avx2", ONEDNN_MAX_CPU_ISA="AVX2",
                   VASCX_INSTRUCTION_SET="avx2")
        rivals = [kind for kind in rivals if kind.startswith("torch")]
    unknown = [name for name in arguments.names if name not in NETWORKS]
    if unknown:
        raise SystemExit(f"no network {unknown}; there are {list(NETWORKS)}")
    lines = [f"{processor()}, {arguments.threads} threads, {arguments.size}², {arguments.rounds} rounds"
             + (", held to AVX2" if arguments.isa else "") + (", one processor busy" if arguments.busy else "")
             + "; seconds per pass (ratio to vascx in the same type).", "",
             "| network | GFLOP | " + " | ".join([f"vascx {dtype}" for dtype in dtypes] + rivals)
             + " | memory, MiB: " + ", ".join([f"vascx {dtype}" for dtype in dtypes] + ["ONNX Runtime"])
             + " | max difference, equal classes: " + ", ".join(dtypes) + " |",
             "|---" * (len(rivals) + len(dtypes) + 4) + "|"]
    for name in arguments.names or NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            # In a process of its own: this one must not hold memory or threads.
            code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import cpu; from pathlib import Path; "
            code += f"cpu.prepare({name!r}, {arguments.size}, Path({str(folder)!r}))"
            subprocess.run([sys.executable, "-c", code], check=True)
            subprocess.run([arguments.vascx, "convert", folder / "model.pt", "--out", folder / "model", "--quiet"],
                           check=True, stderr=subprocess.DEVNULL)
            ours = {dtype: Vascx(arguments.vascx, folder, arguments.size, dtype, env) for dtype in dtypes}
            workers = {kind: Worker(kind, folder, arguments.threads, env) for kind in rivals}
            seconds = {kind: [] for kind in [*ours, *workers]}
            with busy(arguments.busy):
                for _ in range(arguments.rounds):
                    for kind, runner in {**ours, **workers}.items():
                        seconds[kind].append(runner.seconds())
            for worker in workers.values():
                worker.close()
            mebibytes = memory(arguments.vascx, folder, arguments.threads, dtypes, env)
            medians = {kind: statistics.median(values) for kind, values in seconds.items()}
            cells = [f"{medians[dtype]:.4f}" for dtype in dtypes]
            for kind in rivals:
                base = medians["bf16" if kind.endswith("bf16") else "f32"]
                cells.append(f"{medians[kind]:.4f} ({medians[kind] / base:.2f})")
            agreements = []
            for dtype in dtypes:
                difference, equal = agreement(folder, dtype, NETWORKS[name][2])
                agreements.append(f"{difference:.1e}" + ("" if equal is None else f", {100 * equal:.4f} %"))
            lines.append(f"| {name} | {ours['f32'].gflop:.1f} | " + " | ".join(cells) + " | "
                         + ", ".join(f"{value:.0f}" for value in mebibytes) + " | " + "; ".join(agreements) + " |")
            print(lines[-1], flush=True)
    table = "\n".join(lines) + "\n"
    print(table)
    if arguments.out:
        arguments.out.write_text(table)


if __name__ == "__main__":
    main()
