"""The examples of vascx_simplify 0.1.11, unchanged, on vascx_simplify and on vascx_rs.vascx_simplify.

    python tools/compare/simplify_examples.py EXAMPLES [--photograph FILE] [--as-it-is] [--only 01 04]

EXAMPLES is the folder `examples` of its repository. Needs torch, vascx_simplify, matplotlib and vascx_rs. Every
example runs twice in a folder of its own, with the demonstration models (one member each, as vascx_simplify averages
several over the wrong axis) in a hub cache laid out for it. What predict, the enhancers and the utilities
gave is recorded and compared. The photograph gets a black border that brings its field of view onto the diagonal, as
FundusContrastEnhance of vascx_simplify exchanges x and y of the centre; --as-it-is leaves that away.
"""

from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HUB = {
    "artery_vein/av_july24.pt": "artery_vein",
    "disc/disc_july24.pt": "disc",
    "fovea/fovea_july24.pt": "fovea",
    "quality/quality.pt": "quality",
}

CHILD = """
import pickle, runpy, sys, time
import numpy as np
import torch
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
which, example = sys.argv[1:]
torch.set_num_threads(2)
if not torch.cuda.is_available():
    # The examples move tensors to a GPU, whether or not there is one.
    torch.Tensor.cuda = lambda self, *_, **__: self
    tensor = torch.tensor
    torch.tensor = lambda *values, device=None, **how: tensor(*values, **how)
if which == "ours":
    import vascx_rs.vascx_simplify
    sys.modules["vascx_simplify"] = vascx_rs.vascx_simplify
import vascx_simplify, vascx_simplify.preprocess, vascx_simplify.utils
plt.show = plt.pause = lambda *_, **__: None
plt.savefig = lambda *_, **__: None
recorded, seconds = [], [0.0]

def plain(value):
    if isinstance(value, torch.Tensor):
        value = value.cpu().numpy()
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    return value if isinstance(value, (np.ndarray, float, int, np.generic)) else None

def record(name, function):
    def recording(*arguments, **named):
        if named.get("device") == "cuda" and not torch.cuda.is_available():
            named["device"] = "cpu"
        began = time.perf_counter()
        result = function(*arguments, **named)
        if name == "predict":
            seconds[0] += time.perf_counter() - began
        recorded.append((name, plain(result)))
        return result
    return recording

for kind in ("EnsembleSegmentation", "ClassificationEnsemble", "HeatmapRegressionEnsemble"):
    kind = getattr(vascx_simplify, kind)
    kind.predict = record("predict", kind.predict)
for kind in ("SimpleFundusEnhance", "FundusContrastEnhance"):
    kind = getattr(vascx_simplify.preprocess, kind)
    kind.undo_bounds = record("undo_bounds", kind.undo_bounds)
    kind.undo_bounds_points = record("undo_bounds_points", kind.undo_bounds_points)
    kind.__call__ = record(kind.__name__, kind.__call__)
vascx_simplify.preprocess.simple_fundus_enhance = record(
    "simple_fundus_enhance", vascx_simplify.preprocess.simple_fundus_enhance)
for name in vascx_simplify.utils.__all__:
    function = getattr(vascx_simplify.utils, name)
    if callable(function) and name != "from_huggingface":
        setattr(vascx_simplify.utils, name, record(name, function))
runpy.run_path(example, run_name="__main__")
pickle.dump((recorded, seconds[0]), open(which + ".pickle", "wb"))
"""


def lay_out_hub(cache: Path, members: Path) -> None:
    """The hub's cache with the demonstration models, one member each."""
    sys.path.insert(0, str(ROOT / "tools/compare"))
    from predict import single_members

    commit = "0" * 40
    repository = cache / "models--Eyened--vascx"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text(commit)
    for path, name in HUB.items():
        target = repository / "snapshots" / commit / path
        target.parent.mkdir(parents=True)
        target.symlink_to(single_members(ROOT / f"weights/demo/{name}.pt", members)[0])


def on_the_diagonal(photograph: Path):
    """The photograph with a border, such that x and y of its field of view's centre are alike."""
    import vascx_rs
    from PIL import Image, ImageOps

    picture = Image.open(photograph).convert("RGB")
    x, y = vascx_rs.preprocess(photograph, size=64, contrast=False).bounds["center"]
    left, top = max(0, round(y - x)), max(0, round(x - y))
    side = max(picture.width + left, picture.height + top)
    return ImageOps.expand(picture, (left, top, side - picture.width - left, side - picture.height - top))


def compare(theirs: list, ours: list) -> list[str]:
    import numpy as np

    lines = []
    if [name for name, _ in theirs] != [name for name, _ in ours]:
        return ["OTHER CALLS"]
    for (name, a), (_, b) in zip(theirs, ours):
        pairs = list(zip(a, b)) if isinstance(a, list) else [(a, b)]
        for a, b in pairs:
            if a is None:
                continue
            a, b = np.asarray(a), np.asarray(b)
            if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
                lines.append(f"{name}: {a.dtype} {a.shape} and {b.dtype} {b.shape}")
            else:
                largest = np.abs(a.astype(float) - b.astype(float)).max() if a.size else 0
                lines.append(f"{name} {a.shape}: {100 * (a == b).mean():.4f} % equal, largest difference {largest:.2g}")
    return list(dict.fromkeys(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("examples", type=Path)
    parser.add_argument("--photograph", type=Path, default=ROOT / "examples/images/macula_centred_right.png")
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--as-it-is", action="store_true")
    options = parser.parse_args()
    from PIL import Image

    picture = Image.open(options.photograph).convert("RGB")
    if not options.as_it_is:
        picture = on_the_diagonal(options.photograph)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "members").mkdir()
        lay_out_hub(folder / "hub", folder / "members")
        environment = os.environ | {"HF_HUB_CACHE": str(folder / "hub"), "HF_HUB_OFFLINE": "1"}
        for example in sorted(options.examples.glob("0*.py")):
            if options.only and example.name[:2] not in options.only:
                continue
            work = folder / example.stem
            (work / "outputs").mkdir(parents=True)
            picture.save(work / "HRF_07_dr.jpg", quality=95)
            found = {}
            for which in ("theirs", "ours"):
                run = [sys.executable, "-W", "ignore", "-c", CHILD, which, str(example.resolve())]
                done = subprocess.run(run, cwd=work, env=environment, capture_output=True, text=True)
                if done.returncode:
                    print(f"{example.name}: {which} failed\n{done.stderr[-1500:]}", flush=True)
                    break
                with open(work / f"{which}.pickle", "rb") as file:
                    found[which] = pickle.load(file)
            if len(found) == 2:
                (theirs, their_seconds), (ours, our_seconds) = found["theirs"], found["ours"]
                print(f"{example.name}: predict took {their_seconds:.1f} s there, {our_seconds:.1f} s here")
                print("\n".join("    " + line for line in compare(theirs, ours)), flush=True)


if __name__ == "__main__":
    main()
