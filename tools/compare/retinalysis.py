"""Runs the demonstration models in retinalysis-vascx 2.1.0 and here, and compares.

    python tools/compare/retinalysis.py --work DIR --vascx target/release/vascx PHOTOGRAPH…

Needs retinalysis-vascx 2.1.0 (AGPL; it is run as a program). The models are copied to the layout that
its `--model-dir` has; the artery/vein model stands for the vessels model, too. Then our program gets
the crops that it wrote (`--preprocess crop --keypoints mean_of_argmax`), and, for the crops themselves,
the photographs.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
LAYOUT = {
    "quality/quality.pt": "quality",
    "artery_vein/av_wsoft_patches_02_finetune.pt": "artery_vein",
    "vessels/vessels_may26.pt": "artery_vein",
    "disc/disc_may26.pt": "disc",
    "fovea/fovea_may26.pt": "fovea",
}


def run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True)


def table(path: Path, key: str) -> dict[str, list[float]]:
    with open(path, newline="") as file:
        return {row.pop(key): [float(value) for value in row.values()] for row in csv.DictReader(file)}


def theirs(arguments, photographs: list[Path]) -> Path:
    models, data, out = (arguments.work / name for name in ("models", "photographs", "reference"))
    for path, model in LAYOUT.items():
        (models / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / "weights" / "demo" / f"{model}.pt", models / path)
    data.mkdir(parents=True, exist_ok=True)
    for photograph in photographs:
        shutil.copyfile(photograph, data / photograph.name)
    if not (out / "fovea.csv").exists():
        vascx = Path(sys.executable).parent / "vascx"
        run(vascx, "run-models", data, out, "--model-dir", models, "--device", "cpu", "--n-jobs", 1)
    return out


def mean_softmax(model: Path, crops: list[Path]) -> dict[str, np.ndarray]:
    """The reference's answers member by member, as probabilities; its table has the mean logits."""
    import torch
    from rtnls_inference.ensembles import decollate_predict_full, make_ensemble

    ensemble = make_ensemble(model.with_suffix(""))
    data = [{"id": crop.stem, "image": str(crop)} for crop in crops]
    batches = ensemble._make_inference_dataloader({"images": data}, preprocess=False, num_workers=0)
    return {
        item["id"]: torch.softmax(torch.from_numpy(item["prediction"]), dim=-1).mean(dim=0).numpy()
        for batch in batches
        for item in decollate_predict_full(ensemble.predict_step_full(batch))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--vascx", default=str(ROOT / "target" / "release" / "vascx"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("photographs", type=Path, nargs="+")
    arguments = parser.parse_args()
    reference = theirs(arguments, arguments.photographs)
    crops = sorted((reference / "preprocessed_rgb").glob("*.png"))
    ours = arguments.work / "ours"
    for model in ("artery_vein", "disc", "fovea", "quality"):
        shutil.rmtree(ours / model, ignore_errors=True)
        run(
            arguments.vascx, "predict", "--quiet", "--model", ROOT / "weights" / "demo" / f"{model}.pt",
            "--out", ours / model, "--preprocess", "crop", "--keypoints", "mean_of_argmax", *crops,
        )
    shutil.rmtree(ours / "crops", ignore_errors=True)
    run(
        arguments.vascx, "preprocess", "--quiet", "--mode", "full", "--out", ours / "crops",
        *arguments.photographs,
    )

    fovea = table(reference / "fovea.csv", "")
    our_fovea = table(ours / "fovea" / "predictions.csv", "id")
    quality = mean_softmax(arguments.work / "models" / "quality" / "quality.pt", crops)
    our_quality = table(ours / "quality" / "predictions.csv", "id")
    bounds = json.loads((ours / "crops" / "bounds.json").read_text())
    print("| photograph | artery/vein | vessels | disc | fovea, px | quality | crop, grey levels | field of view |")
    print("|---|---|---|---|---|---|---|---|")
    for crop in crops:
        name = crop.stem

        def equal(reference_folder: str, our_folder: str) -> str:
            expected = np.asarray(Image.open(reference / reference_folder / crop.name))
            found = np.asarray(Image.open(ours / our_folder / crop.name))
            return f"{100 * (expected == found).mean():.4f} %"

        distance = np.linalg.norm(np.subtract(fovea[name], our_fovea[name]))
        probability = np.abs(quality[name] - our_quality[name]).max()
        expected = np.asarray(Image.open(crop)).astype(float)
        found = np.asarray(Image.open(ours / "crops" / "rgb" / crop.name)).astype(float)
        print(
            f"| {name} | {equal('artery_vein', 'artery_vein')} | {equal('vessels', 'artery_vein')} "
            f"| {equal('disc', 'disc')} | {distance:.3f} | {probability:.1e} "
            f"| {np.abs(expected - found).mean():.3f} | {bounds[name].get('method', '')} |"
        )


if __name__ == "__main__":
    main()
