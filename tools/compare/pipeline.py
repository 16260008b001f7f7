"""Runs the whole job in retinalysis-vascx 2.1.0 and here, with the same models, and compares.

    python tools/compare/pipeline.py --work DIR --vascx target/release/vascx PHOTOGRAPH…

Needs retinalysis-vascx 2.1.0 (AGPL; it is run as a program) in the environment of this Python. Both get
the demonstration models in the layout that `--model-dir` has; the disc model, which has two classes as well, stands
for the vessels model, of which there is none to demonstrate with. It gets the artery/vein model's square, as the
reference feeds both what it prepares for that one (the released two are of one size). Compared are maps, points and logits of the two
`run-models`; each program's `calc-biomarkers` on the other's folder; and the time from photographs to
table. Photographs may be repeated under other names (`--copies N`) to time a longer list.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
LAYOUT = {
    "quality/quality.pt": "quality",
    "artery_vein/av_wsoft_patches_02_finetune.pt": "artery_vein",
    "disc/disc_may26.pt": "disc",
    "fovea/fovea_may26.pt": "fovea",
}
VESSELS = "vessels/vessels_may26.pt"
SET = "full_v3"


def run(*command: object) -> float:
    started = time.perf_counter()
    subprocess.run([str(part) for part in command], check=True)
    return time.perf_counter() - started


def table(path: Path) -> dict[str, dict[str, float]]:
    def number(cell: str) -> float:
        return float(cell) if cell else math.nan

    with open(path, newline="") as file:
        reader = csv.reader(file)
        header = next(reader)
        return {row[0]: dict(zip(header[1:], map(number, row[1:]))) for row in reader}


def stand_in(demo: Path, vessels: Path) -> None:
    """The disc model with the artery/vein model's preprocessing, as a model of vessels."""

    def configuration(archive: zipfile.ZipFile) -> tuple[str, dict]:
        name = next(name for name in archive.namelist() if name.endswith("extra/config.yaml"))
        return name, json.loads(archive.read(name))

    vessels.parent.mkdir(parents=True, exist_ok=True)
    with (
        zipfile.ZipFile(demo / "artery_vein.pt") as other,
        zipfile.ZipFile(demo / "disc.pt") as source,
        zipfile.ZipFile(vessels, "w") as target,
    ):
        name, settings = configuration(source)
        settings["datamodule"] = configuration(other)[1]["datamodule"]
        for entry in source.namelist():
            target.writestr(entry, json.dumps(settings) if entry == name else source.read(entry))


def prepare(work: Path, photographs: list[Path], copies: int) -> tuple[Path, Path]:
    models, data = work / "models", work / "photographs"
    for path, model in LAYOUT.items():
        (models / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / "weights" / "demo" / f"{model}.pt", models / path)
    stand_in(ROOT / "weights" / "demo", models / VESSELS)
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    for photograph in photographs:
        for copy in range(copies):
            suffix = f"_{copy}" if copies > 1 else ""
            shutil.copyfile(photograph, data / f"{photograph.stem}{suffix}{photograph.suffix}")
    return models, data


def compare_answers(reference: Path, ours: Path) -> None:
    columns = "photograph | artery/vein | vessels | disc | fovea, px | logits | crop, grey levels"
    print(f"| {columns} |\n|{'---|' * 7}")
    fovea = [table(folder / "fovea.csv") for folder in (reference, ours)]
    quality = [table(folder / "quality.csv") for folder in (reference, ours)]
    for crop in sorted((reference / "preprocessed_rgb").glob("*.png")):
        name = crop.stem

        def picture(folder: Path, kind: str) -> np.ndarray:
            return np.asarray(Image.open(folder / kind / crop.name)).astype(int)

        def equal(kind: str) -> str:
            return f"{100 * (picture(reference, kind) == picture(ours, kind)).mean():.4f} %"

        points = [np.array([rows[name]["x_fovea"], rows[name]["y_fovea"]]) for rows in fovea]
        logits = max(abs(quality[0][name][q] - quality[1][name][q]) for q in ("q1", "q2", "q3"))
        levels = np.abs(picture(reference, "preprocessed_rgb") - picture(ours, "preprocessed_rgb")).mean()
        print(
            f"| {name} | {equal('artery_vein')} | {equal('vessels')} | {equal('disc')} "
            f"| {np.linalg.norm(points[0] - points[1]):.3f} | {logits:.1e} | {levels:.4f} |"
        )


def compare_tables(first: Path, second: Path) -> str:
    """The largest relative difference of two tables of biomarkers, and how many cells differ in being defined."""
    a, b = table(first), table(second)
    assert a.keys() == b.keys(), (sorted(a), sorted(b))
    worst, odd = 0.0, 0
    for name, row in a.items():
        for column, value in row.items():
            other = b[name][column]
            if math.isnan(value) != math.isnan(other):
                odd += 1
            elif not math.isnan(value):
                worst = max(worst, abs(value - other) / max(abs(value), abs(other), 1e-12))
    return f"{len(a)} eyes, largest relative difference {worst:.1e}, {odd} cells defined in one only"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--vascx", default=str(ROOT / "target" / "release" / "vascx"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("photographs", type=Path, nargs="+")
    arguments = parser.parse_args()
    work = arguments.work
    models, data = prepare(work, arguments.photographs, arguments.copies)
    reference, ours = work / "reference", work / "ours"
    for folder in (reference, ours):
        shutil.rmtree(folder, ignore_errors=True)
    vascx = Path(sys.executable).parent / "vascx"
    theirs = [
        run(vascx, "run-models", data, reference, "--model-dir", models, "--device", "cpu",
            "--n-jobs", arguments.n_jobs),
        run(vascx, "calc-biomarkers", reference, reference / "biomarkers", "--feature-set", SET,
            "--n-jobs", arguments.n_jobs, "--no-report"),
    ]
    # The first run converts the models.
    first = run(arguments.vascx, "run", data, ours, "--model-dir", models, "--feature-set", SET, "--quiet")
    shutil.rmtree(ours)
    both = run(arguments.vascx, "run", data, ours, "--model-dir", models, "--feature-set", SET, "--quiet")

    compare_answers(reference, ours)
    count = len(list(data.iterdir()))
    print(f"\nPhotographs to table, {count} photographs: reference {theirs[0]:.1f} s and {theirs[1]:.1f} s, "
          f"ours {both:.1f} s with overlays and report ({first:.1f} s when models were converted): "
          f"{sum(theirs) / both:.1f} times as fast")

    for folder, name in ((ours, "ours"), (reference, "the reference's")):
        tables = [work / f"{name.split()[0]}_by_{program}" for program in ("reference", "vascx")]
        for out in tables:
            shutil.rmtree(out, ignore_errors=True)
        run(vascx, "calc-biomarkers", folder, tables[0], "--feature-set", SET, "--no-report",
            "--n-jobs", arguments.n_jobs)
        run(arguments.vascx, "calc-biomarkers", folder, tables[1], "--feature-set", SET, "--no-report", "--quiet")
        difference = compare_tables(*(out / "biomarkers.csv" for out in tables))
        print(f"Both calc-biomarkers on {name} folder: {difference}")


if __name__ == "__main__":
    main()
