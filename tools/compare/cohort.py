"""Ten photographs of 1500 × 1500 through a two-member U-Net of base width 16 at 1024² with windows of
512: vascx against vascx_simplify 0.1.11 one by one, whole processes on the CPU.

    python tools/compare/cohort.py [--count 10] [--repeat 3] [--vascx target/release/vascx]

The photographs are the samples in examples/images, resized and turned; weights are random, which
costs what trained ones do. Rounds are interleaved, the figure is the median. Agreement is that of
each member singly, since vascx_simplify mixes members up in its first window.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import predict
from predict import ROOT, simplify, vascx

sys.path.insert(0, str(ROOT / "tools"))
SIZE, WINDOW, SIDE = 1024, 512, 1500


def make_models(folder: Path) -> tuple[Path, list[Path]]:
    """An ensemble of two, and each member by itself."""
    import torch
    from reference.import_matrix import randomise
    from reference.networks import Ensemble, UNet
    from reference.release import save_release

    torch.manual_seed(0)
    members = [UNet(6, 4, [16, 32, 64, 128, 256]).eval() for _ in range(2)]
    for seed, member in enumerate(members):
        randomise(member, torch.Generator().manual_seed(seed))
    config = {"inference": {"ensemble_class": "SegmentationEnsemble", "tta": False,
                            "tracing_input_size": [WINDOW, WINDOW], "overlap": 0.5, "blend": "gaussian"},
              "lightningmodule": {"n_class": 4},
              "datamodule": {"test_transform": {"square_size": SIZE, "contrast_enhance": True}}}
    example = torch.zeros(1, 6, WINDOW, WINDOW)
    # vascx_simplify's wrapper is chosen by the name.
    paths = [folder / f"artery_vein_{name}.pt" for name in ("both", "first", "second")]
    for path, chosen in zip(paths, (members, members[:1], members[1:])):
        save_release(Ensemble(chosen), config, example, path)
    return paths[0], paths[1:]


def make_photographs(folder: Path, count: int) -> list[Path]:
    from PIL import Image

    sources = sorted((ROOT / "examples/images").iterdir())
    paths = []
    for index in range(count):
        image = Image.open(sources[index % len(sources)]).convert("RGB")
        image = image.resize((SIDE, SIDE), Image.BICUBIC).rotate(90 * (index // len(sources)))
        paths.append(folder / f"photograph_{index:03}.png")
        image.save(paths[-1])
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--vascx", default=str(ROOT / "target/release/vascx"))
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)  # model, photographs
    options = parser.parse_args()
    if options.child:
        model, folder = options.child
        simplify(model, sorted(folder.iterdir()), False, SIZE)
        return
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        (work / "photographs").mkdir()
        both, singles = make_models(work)
        photographs = make_photographs(work / "photographs", options.count)
        for single in singles:
            vascx(options.vascx, single, photographs[:2], work / "out")
            answers, _ = simplify(single, photographs[:2], False, SIZE)
            print(f"{single.stem}: {predict.agreement('artery_vein', work / 'out', answers)}", flush=True)
        ours, one_by_one, theirs = [], [], []
        for _ in range(options.repeat):
            ours.append(vascx(options.vascx, both, photographs, work / "out"))
            one_by_one.append(vascx(options.vascx, both, photographs, work / "out",
                                    "--batch-size", "1", "--window-batch-size", "1"))
            began = time.perf_counter()
            subprocess.run([sys.executable, __file__, "--child", both, work / "photographs"], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            theirs.append(time.perf_counter() - began)
        for name, seconds in (("vascx", ours), ("vascx one by one", one_by_one), ("vascx_simplify", theirs)):
            print(f"{name}: {statistics.median(seconds):.2f} s, "
                  f"{statistics.median(seconds) / statistics.median(ours):.2f} times vascx")


if __name__ == "__main__":
    main()
