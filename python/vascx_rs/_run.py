"""The whole job: photographs to maps, tables and a report."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union

from ._native import VascxError

_ROLES = {
    "quality": "--quality-model",
    "artery_vein": "--av-model",
    "vessels": "--vessels-model",
    "disc": "--disc-model",
    "fovea": "--fovea-model",
}

AnyPath = Union[str, "os.PathLike[str]"]


class Cohort:
    """A folder of results, such as `run` leaves."""

    def __init__(self, folder: AnyPath) -> None:
        self.folder = Path(folder)
        """Maps, tables and `report.html`, as `docs/pipeline.md` lists them."""

    def table(self, name: str = "biomarkers", to: Literal["dict", "pandas", "pyarrow"] = "dict") -> Any:
        """A table of the cohort, a row per photograph.

        Args:
            name: `biomarkers`, `quality`, `fovea`, `summary`, `manifest` or `bounds`; `biomarkers/reasons` and so on
                for those beside the biomarkers.
            to: columns by name (numbers where all values are, None for empty cells), a `pandas.DataFrame`, or a
                `pyarrow.Table`.
        """
        path = self.folder / f"{name}.csv"
        if name == "biomarkers":
            path = self.folder / "biomarkers" / "biomarkers.csv"
        if not path.exists():
            raise FileNotFoundError(f"{path}: the cohort has no such table")
        if to == "pandas":
            import pandas  # type: ignore[import-untyped, import-not-found, unused-ignore]

            return pandas.read_csv(path)
        if to == "pyarrow":
            from pyarrow import csv as arrow  # type: ignore[import-untyped, import-not-found, unused-ignore]

            return arrow.read_csv(path)
        with open(path, newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        return {column or "id": _values([row[index] for row in rows]) for index, column in enumerate(header)}


def _values(cells: list[str]) -> list[Any]:
    """Cells of a column as numbers, if all that are not empty are."""
    try:
        return [float(cell) if cell else None for cell in cells]
    except ValueError:
        return list(cells)


def run(
    photographs: AnyPath | Iterable[AnyPath],
    out: AnyPath,
    *,
    models: AnyPath | Mapping[str, AnyPath] | None = None,
    feature_set: str = "full_v3",
    device: str = "cpu",
    dtype: str = "f32",
    resume: bool = False,
    overwrite: bool = False,
    options: Sequence[str] = (),
) -> Cohort:
    """Photographs to maps, biomarkers and a report in a folder, by the program `vascx run` in a process of its own.

    Args:
        photographs: a folder, a list (CSV with the columns id,path or path), or paths.
        out: folder for the results. What another job left there is not written over.
        models: a folder in the published layout, or models by role: `quality`, `artery_vein`, `vessels`, `disc`,
            `fovea`, each a file, a converted model or a name on the Hugging Face hub. The released models by default.
        feature_set: biomarkers to measure; one of `feature_sets`.
        resume: goes on from what is done in `out`.
        overwrite: replaces what another job left in `out`.
        options: further arguments of `vascx run`, such as `["--exclude-quality", "p3>0.5"]`.

    Returns:
        The folder's tables. Photographs that failed are in `table("manifest")`, with the reason.

    Raises:
        VascxError: nothing could run, as the program says.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = photographs if isinstance(photographs, (str, os.PathLike)) else _listed(photographs, Path(folder))
        command = [sys.executable, "-m", "vascx_rs", "run", os.fspath(data), os.fspath(out)]
        command += ["--feature-set", feature_set, "--device", device, "--dtype", dtype]
        if isinstance(models, Mapping):
            # None of the folder's that the environment may name.
            command += ["--model-dir", folder]
            for role, model in models.items():
                if role not in _ROLES:
                    raise ValueError(f"a model's role is one of {', '.join(_ROLES)}, not {role!r}")
                command += [_ROLES[role], os.fspath(model)]
        elif models is not None:
            command += ["--model-dir", os.fspath(models)]
        command += ["--resume"] * resume + ["--overwrite"] * overwrite + [*options]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    # 1: some photographs failed, and the rest is done.
    if done.returncode not in (0, 1):
        raise VascxError(done.stderr.strip() or f"vascx run ended with {done.returncode}")
    return Cohort(out)


def _listed(photographs: Iterable[AnyPath], folder: Path) -> Path:
    path = folder / "photographs.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path"])
        rows.writerows([os.path.abspath(photograph)] for photograph in photographs)
    return path
