"""Is vascx right, and how fast is it, on a machine with an NVIDIA card? One command, one run.

    python tools/compare/gpu.py pack --vascx target/release/vascx --out gpu-check.tar.gz
    tar xf gpu-check.tar.gz && python gpu-check/tools/compare/gpu.py run --table table.md   # over there

There it needs PyTorch and a driver, nothing else (vascx_simplify joins where it is installed). With
`--device cpu` it does what it can at small sizes, to see that it works. Exits 1 when a check fails.

Checks: every fixture in every element type, class maps of photographs, whole chunks against single
photographs, exhausted memory. Times: ours, PyTorch eager in f32 with and without TF32, AMP f16
channels-last, torch.compile, vascx_simplify one by one; same weights, 1024² photographs in windows
of 512² that overlap by half, five members. The floor is the larger of the networks' FLOP at the
rate of a measured matrix product and their feature maps' bytes at a measured copy's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/reference"))
MEMBERS, CLASSES = 5, 4
LIMIT = 64 << 20


def pack(options) -> None:
    """Binary without symbols, fixtures, demonstration models, scripts; a traced ResNet-34 U-Net whose
    weights are zero, since they compress to nothing and are drawn over there."""
    with tempfile.TemporaryDirectory() as work:
        binary = Path(work) / "vascx"
        subprocess.run(["strip", "-o", binary, options.vascx], check=True)
        with tarfile.open(options.out, "w:gz") as tar:
            tar.add(binary, "gpu-check/vascx")
            for path in ("tests/fixtures/models", "tools/reference", "tools/compare/gpu.py",
                         "weights/demo", "examples/images"):
                tar.add(ROOT / path, f"gpu-check/{path}")
            archive = Path(work) / "resnet34_unet.pt"
            if traced_resnet_unet(archive, options.window):
                tar.add(archive, "gpu-check/resnet34_unet.pt")
            else:
                print("segmentation_models_pytorch is not here; the ResNet-34 U-Net is left out")
    size = os.path.getsize(options.out)
    print(f"{options.out}: {size / 2**20:.1f} MiB")
    if size > LIMIT:
        sys.exit(f"more than {LIMIT >> 20} MiB")


def traced_resnet_unet(path: Path, window: int) -> bool:
    import torch
    try:
        import segmentation_models_pytorch as smp
    except ImportError:
        return False
    network = smp.Unet("resnet34", encoder_weights=None, in_channels=3, classes=CLASSES).eval()
    for tensor in network.state_dict().values():
        tensor.zero_()
    torch.jit.trace(network, torch.zeros(1, 3, window, window)).save(str(path))
    return True


def networks(options) -> dict:
    """Members by name, with weights that keep their maps at a scale of one."""
    import torch
    from networks import UNet

    def drawn(network, seed):
        generator = torch.Generator().manual_seed(seed)
        for name, tensor in network.state_dict().items():
            if not tensor.dtype.is_floating_point:
                continue
            if tensor.ndim > 1:
                fan = tensor[0].numel()
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * (2 / fan) ** 0.5)
            else:
                tensor.fill_(1.0 if name.endswith(("running_var", "norm.weight", ".weight")) else 0.0)
        return network.eval()

    width = options.width
    found = {f"U-Net base {width} depth 5": [
        drawn(UNet(3, CLASSES, [width << level for level in range(5)]), seed) for seed in range(MEMBERS)]}
    archive = ROOT / "resnet34_unet.pt"
    if not archive.exists():
        archive = Path(tempfile.gettempdir()) / "resnet34_unet.pt"
        if not traced_resnet_unet(archive, options.window):
            return found
    load = lambda: torch.jit.load(str(archive))
    found["U-Net ResNet-34 (smp)"] = [drawn(load(), 100 + seed) for seed in range(MEMBERS)]
    return found


def release(members, options, path: Path) -> None:
    import torch
    from networks import Ensemble
    from release import save_release
    size, window = options.size, options.window
    config = {"name": "speed", "inference": {"tta": False, "tracing_input_size": [window, window], "overlap": 0.5,
              "blend": "gaussian", "ensemble_class": "SegmentationEnsemble"},
              "datamodule": {"test_transform": {"square_size": size, "contrast_enhance": False, "normalize": True}}}
    save_release(Ensemble(members), config, torch.zeros(1, 3, window, window), path)


class Busy:
    """Samples nvidia-smi while it is entered: share of busy time in %, peak memory in MiB."""

    def __enter__(self):
        self.busy, self.memory, self.stop = [], [], threading.Event()
        self.thread = threading.Thread(target=self.sample, daemon=True)
        self.thread.start()
        return self

    def sample(self):
        query = ["nvidia-smi", "-i", "0", "--query-gpu=utilization.gpu,memory.used",
                 "--format=csv,noheader,nounits"]
        while not self.stop.wait(0.2):
            try:
                line = subprocess.run(query, capture_output=True, text=True, check=True).stdout
                busy, memory = map(float, line.split(","))
            except (OSError, ValueError, subprocess.CalledProcessError):
                return
            self.busy.append(busy)
            self.memory.append(memory)

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def columns(self) -> str:
        if not self.busy:
            return "– | –"
        return f"{sum(self.busy) / len(self.busy):.0f} | {max(self.memory):.0f}"


def vascx(options, *arguments) -> subprocess.CompletedProcess:
    return subprocess.run([options.vascx, *map(str, arguments)], capture_output=True, text=True)


def check_fixtures(options, work: Path, check) -> None:
    import torch
    for pair in sorted((ROOT / "tests/fixtures/models").glob("*.safetensors")):
        expected = tensors(pair)["prediction"]
        for dtype in options.dtypes:
            out = work / "prediction.safetensors"
            run = vascx(options, "forward", "--model", pair.with_suffix(".pt"), "--input", pair, "--output", out,
                        "--device", options.device, "--dtype", dtype)
            if run.returncode:
                check(f"{pair.stem} {dtype}", False, run.stderr.strip().splitlines()[-1])
                continue
            worst = float((tensors(out)["prediction"] - expected).abs().max() / expected.abs().max())
            # f32 sums in another order; 11 and 8 bits through some twenty layers.
            allowed = {"f32": 1e-3, "f16": 2e-2, "bf16": 1.5e-1}[dtype]
            check(f"{pair.stem} {dtype}", worst <= allowed, f"{worst:.1e} of the largest, allowed {allowed:.0e}")


def tensors(path: Path) -> dict:
    """A safetensors file of f32, read without the package."""
    import torch
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    part = lambda entry: bytearray(data[8 + length:][slice(*entry["data_offsets"])])
    return {name: torch.frombuffer(part(e), dtype=torch.float32).reshape(e["shape"]) for name, e in header.items()}


def maps_of(options, work: Path, name: str, *more):
    import numpy as np
    from PIL import Image
    out = work / name
    run = vascx(options, "predict", "--model", ROOT / "weights/demo/artery_vein.pt", "--out", out, "--quiet",
                *more, ROOT / "examples/images")
    maps = {p.stem: np.asarray(Image.open(p)) for p in sorted(out.glob("*.png"))}
    return run, maps


def check_engine(options, work: Path, check) -> None:
    device = ["--device", options.device]
    _, expected = maps_of(options, work, "reference", "--device", "cpu")

    def compare(name, least, *more):
        run, maps = maps_of(options, work, name, *device, *more)
        share = min(((maps[i] == m).mean() for i, m in expected.items()), default=0.0) if maps else 0.0
        last = (run.stderr.strip().splitlines() or [""])[-1]
        check(name, run.returncode == 0 and share >= least, f"{100 * share:.4f} % of pixels equal; {last}")
        return run

    for dtype in options.dtypes:
        compare(f"maps_{dtype}", 0.999, "--dtype", dtype)
    for size in ("1", "3", "auto"):
        compare(f"maps_in_batches_of_{size}", 0.9999, "--batch-size", size)
    if options.device.startswith("cuda"):
        run = compare("exhausted_memory", 0.9999, "--batch-size", "100000", "--window-batch-size", "100000")
        print(f"  warned of memory: {'ran out of memory' in run.stderr}")


def torch_runner(members, options, dtype, channels_last, compiled):
    """A function of a batch of prepared images to class maps."""
    import torch
    window, size = options.window, options.size
    starts = range(0, size - window + 1, window // 2)
    at = torch.arange(window, device=options.torch_device) - (window - 1) / 2
    bell = torch.exp(-0.5 * (at / (0.125 * window)) ** 2)
    importance = bell[:, None] * bell[None, :]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    members = [m.to(options.torch_device, memory_format=layout) for m in members]
    members = [torch.compile(m) for m in members] if compiled else members

    def run(images):
        with torch.inference_mode(), torch.autocast(options.torch_device, dtype, enabled=dtype is not None):
            total = torch.zeros(len(images), CLASSES, size, size, device=images.device)
            weight = torch.zeros(size, size, device=images.device)
            corners = [(y, x) for y in starts for x in starts]
            windows = torch.cat([images[..., y:y + window, x:x + window] for y, x in corners])
            parts = []
            for part in windows.split(16):
                part = part.contiguous(memory_format=layout)
                parts.append(sum(m(part).float() for m in members) / len(members))
            for (y, x), logits in zip(corners, torch.cat(parts).split(len(images))):
                total[..., y:y + window, x:x + window] += logits * importance
                weight[y:y + window, x:x + window] += importance
            return (total / weight).softmax(1).argmax(1).to(torch.uint8).cpu()
    return run


def speed(options, work: Path, table: list) -> None:
    import torch
    from PIL import Image
    count = options.photographs
    photographs = work / "photographs"
    photographs.mkdir()
    generator = torch.Generator().manual_seed(0)
    for index in range(count):
        pixels = torch.randint(0, 255, (options.size, options.size, 3), generator=generator, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(photographs / f"{index:04}.png", compress_level=0)
    for name, members in networks(options).items():
        model = work / "speed.pt"
        release(members, options, model)
        for dtype in options.dtypes:
            for batch in [*options.batches, "auto"]:
                out = work / f"ours_{dtype}_{batch}"
                with Busy() as busy:
                    run = vascx(options, "predict", "--model", model, "--out", out, "--quiet", "--preprocess", "resize",
                                "--device", options.device, "--dtype", dtype, "--batch-size", batch,
                                *options.cache, photographs)
                if run.returncode:
                    table.append(f"| {name} | vascx {dtype} | {batch} | failed | – | – | – |")
                    continue
                pace = json.loads((out / "run.json").read_text())
                each = pace["seconds_per_photograph_after"] or pace["first_chunk_seconds"] / count
                table.append(f"| {name} | vascx {dtype} | {batch} | {1 / each:.3f} | {busy.columns()} "
                             f"| {pace['first_chunk_seconds']:.1f} |")
                print(table[-1], flush=True)
        kinds = [("PyTorch f32", None, False, False, False)]
        if options.device.startswith("cuda"):
            kinds += [("PyTorch TF32", None, False, False, True),
                      ("PyTorch AMP f16 channels-last", torch.float16, True, False, True),
                      ("torch.compile AMP f16", torch.float16, True, True, True)]
        for label, dtype, last, compiled, tf32 in kinds:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
            run = torch_runner(members, options, dtype, last, compiled)
            for batch in options.batches:
                images = torch.rand(batch, 3, options.size, options.size, generator=generator)
                try:
                    began = time.perf_counter()
                    run(images.to(options.torch_device))
                    first = time.perf_counter() - began
                    rounds = max(1, count // batch)
                    with Busy() as busy:
                        began = time.perf_counter()
                        for _ in range(rounds):
                            run(images.to(options.torch_device))
                        seconds = time.perf_counter() - began
                except RuntimeError as error:
                    table.append(f"| {name} | {label} | {batch} | {str(error).splitlines()[0][:60]} | – | – | – |")
                    continue
                table.append(f"| {name} | {label} | {batch} | {rounds * batch / seconds:.3f} | {busy.columns()} "
                             f"| {first:.1f} |")
                print(table[-1], flush=True)
        simplify(name, model, photographs, options, table)
        floor(name, members, options, table)


def simplify(name, model, photographs, options, table) -> None:
    try:
        import vascx_simplify as v
    except ImportError:
        return
    import numpy as np
    from PIL import Image
    transform = v.VASCXTransform(size=options.size, use_ce=False, use_fp16=False, device=options.torch_device)
    try:
        ensemble = v.EnsembleSegmentation(str(model), transform, options.torch_device)
        seconds = []
        for path in sorted(photographs.iterdir())[: 1 + options.photographs // 2]:
            began = time.perf_counter()
            ensemble.predict(np.array(Image.open(path)))
            seconds.append(time.perf_counter() - began)
    except (RuntimeError, ValueError, IndexError) as error:
        table.append(f"| {name} | vascx_simplify | 1 | {str(error).splitlines()[0][:60]} | – | – | – |")
        return
    steady = seconds[1:] or seconds
    table.append(f"| {name} | vascx_simplify | 1 | {len(steady) / sum(steady):.3f} | – | – | {seconds[0]:.1f} |")


def floor(name, members, options, table) -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    device = options.torch_device

    def rate(work, amount):
        work()
        began = time.perf_counter()
        for _ in range(5):
            work()
        if device != "cpu":
            torch.cuda.synchronize()
        return 5 * amount / (time.perf_counter() - began)

    window = torch.zeros(1, 3, options.window, options.window, device=device)
    outputs = [0]
    member = members[0].to(device)
    try:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            member(window)
    except RuntimeError:
        return
    flop = counter.get_total_flops()
    hooks = [m.register_forward_hook(lambda *a: outputs.__setitem__(0, outputs[0] + a[2].numel()))
             for m in member.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.ConvTranspose2d))]
    with torch.inference_mode():
        member(window)
    for hook in hooks:
        hook.remove()
    windows = len(range(0, options.size - options.window + 1, options.window // 2)) ** 2 * MEMBERS
    side = 8192 if device != "cpu" else 1024
    for dtype in ([torch.float32, torch.float16] if device != "cpu" else [torch.float32]):
        a = torch.rand(side, side, device=device, dtype=dtype)
        products = rate(lambda: a @ a, 2 * side**3)
        copies = rate(lambda: a.clone(), 2 * a.numel() * a.element_size())
        arithmetic = windows * flop / products
        # Every convolution's map is written once and read once at least.
        memory = windows * 2 * outputs[0] * a.element_size() / copies
        bound = max(arithmetic, memory)
        if flop and bound:
            table.append(f"| {name} | floor {str(dtype)[6:]}: {products / 1e12:.1f} TFLOP/s, {copies / 1e9:.0f} GB/s "
                         f"| – | {1 / bound:.3f} | – | – | – |")


def run(options) -> None:
    import torch
    cuda = options.device.startswith("cuda")
    options.torch_device = "cuda" if cuda else "cpu"
    options.dtypes = options.dtypes or (["f32", "f16", "bf16"] if cuda else ["f32"])
    options.batches = options.batches or ([1, 4, 16, 64] if cuda else [1, 2])
    options.photographs = options.photographs or (128 if cuda else 4)
    options.size, options.window = options.size or (1024 if cuda else 128), options.window or (512 if cuda else 64)
    options.width = options.width or (32 if cuda else 8)
    failed = []

    def check(name, passed, detail):
        print(f"{'ok  ' if passed else 'FAIL'} {name}: {detail}", flush=True)
        if not passed:
            failed.append(name)

    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        options.cache = ["--autotune-cache", work / "kernels"] if cuda else []
        check_fixtures(options, work, check)
        check_engine(options, work, check)
        machine = torch.cuda.get_device_name() if cuda else f"{os.cpu_count()} CPU cores"
        table = [f"{time.strftime('%Y-%m-%d')}, {machine}, PyTorch {torch.__version__}, {options.size}² photographs, "
                 f"windows of {options.window}², {MEMBERS} members: `{' '.join(sys.argv)}`.", "",
                 "| network | program | batch | photographs per second | busy, % | peak memory, MiB | first, s |",
                 "|---|---|---|---|---|---|---|"]
        if not options.checks_only:
            speed(options, work, table)
            text = "\n".join(table) + "\n"
            print(text)
            if options.table:
                options.table.write_text(text)
    print(f"{len(failed)} checks failed{': ' + ', '.join(failed) if failed else ''}")
    sys.exit(1 if failed else 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("--vascx", default=str(ROOT / "target/release/vascx"))
    packing.add_argument("--out", default="gpu-check.tar.gz")
    packing.add_argument("--window", type=int, default=512)
    packing.set_defaults(do=pack)
    running = commands.add_parser("run")
    packed = ROOT / "vascx"
    running.add_argument("--vascx", default=str(packed if packed.exists() else ROOT / "target/release/vascx"))
    running.add_argument("--device", default="cuda:0")
    running.add_argument("--table", type=Path)
    running.add_argument("--checks-only", action="store_true")
    running.add_argument("--dtypes", nargs="+")
    for name in ("size", "window", "width", "photographs"):
        running.add_argument(f"--{name}", type=int)
    running.add_argument("--batches", type=int, nargs="+")
    running.set_defaults(do=run)
    options = parser.parse_args()
    options.do(options)


if __name__ == "__main__":
    main()
