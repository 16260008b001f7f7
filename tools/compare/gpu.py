"""Is vascx right, and how fast is it, on a machine with an NVIDIA card? One command, one run.

    python tools/compare/gpu.py pack --vascx target/release/vascx --out gpu-check.tar.gz
    tar xf gpu-check.tar.gz && python gpu-check/tools/compare/gpu.py run --table table.md   # over there

There it needs PyTorch and a driver, nothing else (vascx_simplify joins where it is installed). With
`--device cpu` it does what it can at small sizes, to see that it works. Exits 1 when a check fails.

Checks: every fixture in every element type, class maps of photographs, whole chunks against single
photographs, exhausted memory. Compiling kernels takes one core and most of the time, so checks run
side by side, and with them what fills the cache for the measurements. Times: ours, PyTorch eager in f32 with and without TF32, AMP f16
channels-last, vascx_simplify one by one, torch.compile; same weights, 1024² photographs in windows
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
from concurrent.futures import ThreadPoolExecutor, as_completed
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
    command = [options.vascx, *map(str, arguments)]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=options.patience)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"stopped after {options.patience} s")


def check_fixtures(options, work: Path):
    """Checks, each a function that gives its name, whether it passed and what was seen."""
    def check(pair, dtype):
        name = f"{pair.stem} {dtype}"
        out = work / f"{pair.stem}_{dtype}.safetensors"
        run = vascx(options, "forward", "--model", pair.with_suffix(".pt"), "--input", pair, "--output", out,
                    "--device", options.device, "--dtype", dtype, *cache(options, work, name))
        if run.returncode:
            return name, False, (run.stderr.strip().splitlines() or ["stopped"])[-1]
        expected = tensors(pair)["prediction"]
        worst = float((tensors(out)["prediction"] - expected).abs().max() / expected.abs().max())
        # f32 sums in another order; 11 and 8 bits through some twenty layers.
        allowed = {"f32": 1e-3, "f16": 2e-2, "bf16": 1.5e-1}[dtype]
        return name, worst <= allowed, f"{worst:.1e} of the largest, allowed {allowed:.0e}"

    pairs = sorted((ROOT / "tests/fixtures/models").glob("*.safetensors"))
    return [lambda p=pair, d=dtype: check(p, d) for pair in pairs for dtype in options.dtypes]


def cache(options, work: Path, name: str) -> list:
    """A folder for kernels of one program's own, since programs that run side by side write there."""
    return ["--autotune-cache", work / "kernels" / name.replace(" ", "_")] if options.cuda else []


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


def check_engine(options, work: Path):
    """Checks to run side by side, and those that want the card to themselves."""
    _, expected = maps_of(options, work, "reference", "--device", "cpu")

    def compare(name, least, *more, kernels=None):
        run, maps = maps_of(options, work, name, "--device", options.device, *more,
                            *cache(options, work, kernels or name))
        share = min(((maps[i] == m).mean() for i, m in expected.items()), default=0.0) if maps else 0.0
        last = " / ".join(run.stderr.strip().splitlines()[:3])
        return name, run.returncode == 0 and share >= least, f"{100 * share:.4f} % of pixels equal; {last}"

    beside = [lambda d=dtype: compare(f"maps_{d}", 0.999, "--dtype", d) for dtype in options.dtypes]
    beside += [lambda s=size: compare(f"maps_in_batches_of_{s}", 0.9999, "--batch-size", s) for size in ("1", "3")]
    kept = f"maps_{options.dtypes[0]}"  # by then nobody else writes there
    alone = [lambda: compare("maps_in_batches_of_auto", 0.9999, "--batch-size", "auto", kernels=kept)]

    def exhausted():
        """With nearly all of the card's memory taken, chunks must be halved, which is said."""
        import torch
        taken = torch.empty(torch.cuda.mem_get_info()[0] - (3 << 30), dtype=torch.uint8, device="cuda")
        huge = ["--batch-size", "100000", "--window-batch-size", "100000"]
        name, passed, detail = compare("exhausted_memory", 0.9999, *huge, kernels=kept)
        del taken
        torch.cuda.empty_cache()
        return name, passed and "ran out of memory" in detail, detail

    if options.cuda:
        alone.append(exhausted)
    return beside, alone


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


def predict(options, work: Path, model: Path, dtype: str, batch, photographs: Path):
    """A run of ours; kernels are kept per model and element type."""
    out = work / f"ours_{model.stem}_{dtype}_{batch}"
    run = vascx(options, "predict", "--model", model, "--out", out, "--quiet", "--preprocess", "resize",
                "--device", options.device, "--dtype", dtype, "--batch-size", batch,
                *cache(options, work, f"{model.stem}_{dtype}"), photographs)
    return run, out / "run.json"


def speed(options, work: Path, name: str, model: Path, members, photographs: Path, table: list) -> None:
    import torch
    for dtype in options.measure:
        for batch in [*options.batches, "auto"]:
            with Busy() as busy:
                run, record = predict(options, work, model, dtype, batch, photographs)
            if run.returncode:
                row(table, f"| {name} | vascx {dtype} | {batch} | failed | – | – | – |")
                continue
            pace = json.loads(record.read_text())
            each, first = pace["seconds_per_photograph_after"], pace["first_chunk_seconds"]
            rate = f"{1 / each:.3f}" if each else "too few photographs"
            row(table, f"| {name} | vascx {dtype} | {batch} | {rate} | {busy.columns()} | {first:.1f} |")
    # A traced network keeps the choice of TF32 that it was traced with.
    traced = isinstance(members[0], torch.jit.ScriptModule)
    kinds = [] if options.cuda and traced else [("PyTorch f32", None, False, False, False)]
    if options.cuda:
        kinds += [("PyTorch TF32", None, False, False, True),
                  ("PyTorch AMP f16 channels-last", torch.float16, True, False, True)]
    for kind in kinds:
        torch_speed(options, name, members, kind, table)
        free(options)
    simplify(name, model, photographs, options, table)
    free(options)
    floor(name, members, options, table)
    for member in members:
        member.to("cpu")
    free(options)


def free(options) -> None:
    """Gives back what PyTorch keeps of the card's memory, so that the next peak is not its."""
    import torch
    if options.cuda:
        torch.cuda.empty_cache()


def write(options, table: list) -> None:
    if options.table and len(table) > 4:
        options.table.write_text("\n".join(table) + "\n")


def row(table: list, text: str) -> None:
    table.append(text)
    print(text, flush=True)


def torch_speed(options, name, members, kind, table) -> None:
    import torch
    label, dtype, last, compiled, tf32 = kind
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    run = torch_runner(members, options, dtype, last, compiled)
    for batch in options.batches[-1:] if compiled else options.batches:
        images = torch.rand(batch, 3, options.size, options.size)
        try:
            began = time.perf_counter()
            run(images.to(options.torch_device))
            first = time.perf_counter() - began
            done = 0
            with Busy() as busy:
                began = time.perf_counter()
                while done < options.photographs and time.perf_counter() - began < 4:
                    run(images.to(options.torch_device))
                    done += batch
                seconds = time.perf_counter() - began
        except RuntimeError as error:
            row(table, f"| {name} | {label} | {batch} | {str(error).splitlines()[0][:60]} | – | – | – |")
            continue
        row(table, f"| {name} | {label} | {batch} | {done / seconds:.3f} | {busy.columns()} | {first:.1f} |")


def draw_photographs(options, folder: Path) -> None:
    import torch
    from PIL import Image
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    name = lambda index: folder / f"{index:04}.png"
    drawn = min(options.photographs, 32)
    for index in range(drawn):
        # Stripes of noise: not every byte is drawn, and not all is alike.
        pixels = torch.randint(0, 255, (64, options.size, 3), generator=generator, dtype=torch.uint8)
        pixels = pixels.repeat(options.size // 64 + 1, 1, 1)[: options.size]
        Image.fromarray(pixels.numpy()).save(name(index), compress_level=0)
    for index in range(drawn, options.photographs):
        os.link(name(index % drawn), name(index))


def simplify(name, model, photographs, options, table) -> None:
    try:
        import vascx_simplify as v
    except ImportError:
        return
    import numpy as np
    from PIL import Image
    import torch
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = False, True  # PyTorch's defaults
    transform = v.VASCXTransform(size=options.size, use_ce=False, use_fp16=False, device=options.torch_device)
    # Without contrast enhancement there are no bounds, which it would undo all the same.
    transform.undo_bounds = lambda image, bounds: image
    try:
        ensemble = v.EnsembleSegmentation(str(model), transform, options.torch_device)
        seconds = []
        # TorchScript compiles during the first passes.
        for path in sorted(photographs.iterdir()):
            if sum(seconds) > 15 or len(seconds) == 32:
                break
            began = time.perf_counter()
            ensemble.predict(np.array(Image.open(path)))
            seconds.append(time.perf_counter() - began)
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        row(table, f"| {name} | vascx_simplify | 1 | {str(error).splitlines()[0][:60]} | – | – | – |")
        return
    steady = seconds[len(seconds) // 2:]
    row(table, f"| {name} | vascx_simplify | 1 | {len(steady) / sum(steady):.3f} | – | – | {seconds[0]:.1f} |")


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
            row(table, f"| {name} | floor {str(dtype)[6:]}: {products / 1e12:.1f} TFLOP/s, {copies / 1e9:.0f} GB/s "
                       f"| – | {1 / bound:.3f} | – | – | – |")


def run(options) -> None:
    import torch
    cuda = options.cuda = options.device.startswith("cuda")
    options.torch_device = "cuda" if cuda else "cpu"
    options.dtypes = options.dtypes or (["f32", "f16", "bf16"] if cuda else ["f32"])
    options.measure = options.measure or options.dtypes
    options.batches = options.batches or ([1, 4, 16, 64] if cuda else [1, 2])
    # Two chunks are under way at a time on a card, and only those after the first two count.
    options.photographs = options.photographs or (6 * max(options.batches) if cuda else 4)
    options.size, options.window = options.size or (1024 if cuda else 128), options.window or (512 if cuda else 64)
    options.width = options.width or (32 if cuda else 8)
    failed = []
    started = time.perf_counter()

    def report(check):
        name, passed, detail = check
        print(f"{time.perf_counter() - started:4.0f} s {'ok  ' if passed else 'FAIL'} {name}: {detail}", flush=True)
        if not passed:
            failed.append(name)

    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        photographs = work / f"photographs_{options.size}_{options.photographs}"
        if not photographs.exists():
            draw_photographs(options, photographs)
        with ThreadPoolExecutor(os.cpu_count() if options.cuda else 1) as pool:
            beside, alone = [], []
            if options.only != "speed":
                beside, alone = check_engine(options, work)
                beside += check_fixtures(options, work)
            checks = [pool.submit(check) for check in beside]
            measured = [] if options.only == "checks" else list(networks(options).items())
            models = [work / f"model_{index}.pt" for index in range(len(measured))]
            for (_, members), model in zip(measured, models):
                release(members, options, model)
                for dtype in options.measure if options.cuda else []:
                    pool.submit(predict, options, work, model, dtype, options.batches[0], photographs)
            for done in as_completed(checks):
                report(done.result())
        print(f"{time.perf_counter() - started:4.0f} s side by side", flush=True)
        for check in alone:
            report(check())
        machine = torch.cuda.get_device_name() if options.cuda else f"{os.cpu_count()} CPU cores"
        table = [f"{time.strftime('%Y-%m-%d')}, {machine}, PyTorch {torch.__version__}, {options.size}² photographs, "
                 f"windows of {options.window}², {MEMBERS} members: `{' '.join(sys.argv)}`.", "",
                 "| network | program | batch | photographs per second | busy, % | peak memory, MiB | first, s |",
                 "|---|---|---|---|---|---|---|"]
        for (name, members), model in zip(measured, models):
            speed(options, work, name, model, members, photographs, table)
            write(options, table)
        for name, members in measured if options.cuda else []:
            torch_speed(options, name, members, ("torch.compile AMP f16", torch.float16, True, True, True), table)
            write(options, table)
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
    running.add_argument("--work", type=Path, help="folder for models, kernels and answers, which stay there")
    running.add_argument("--only", choices=["checks", "speed"], help="leave out the other")
    running.add_argument("--dtypes", nargs="+", help="to check")
    running.add_argument("--measure", nargs="+", help="element types to measure; as checked where not given")
    running.add_argument("--patience", type=int, default=600, help="seconds for one run of ours")
    for name in ("size", "window", "width", "photographs"):
        running.add_argument(f"--{name}", type=int)
    running.add_argument("--batches", type=int, nargs="+")
    running.set_defaults(do=run)
    options = parser.parse_args()
    options.do(options)


if __name__ == "__main__":
    main()
