"""A cohort on a cluster, by Ray Data: `pip install "ray[data]"`.

>>> import ray, vascx_rs.ray
>>> photographs = ray.data.read_csv("photographs.csv")  # doctest: +SKIP
>>> models = {"artery_vein": "av.pt", "disc": "disc.pt", "fovea": "fovea.pt"}
>>> vascx_rs.ray.run(photographs, models=models).write_parquet("out")  # doctest: +SKIP
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Union

import numpy as np
import pyarrow  # type: ignore[import-untyped, import-not-found, unused-ignore]
import ray.data  # type: ignore[import-untyped, import-not-found, unused-ignore]

from ._ensembles import load
from ._native import set_threads
from ._preprocess import Square, preprocess
from ._retina import Retina, map_of, on_crops, variables
from ._run import _ROLES, AnyPath


def run(
    dataset: ray.data.Dataset | Iterable[AnyPath],
    *,
    models: Mapping[str, AnyPath],
    feature_set: str | None = "full_v3",
    maps: bool = False,
    column: str = "path",
    device: str = "cpu",
    dtype: str = "f32",
    batch_size: int = 8,
    num_cpus: float = 1,
    **how: Any,
) -> ray.data.Dataset:
    """Photographs to rows of answers and biomarkers, on all nodes of the Ray cluster.

    Every worker loads the models once. What a worker that dies had under way is computed again elsewhere.

    Args:
        dataset: rows of photographs, or their paths.
        models: by role: `quality`, `artery_vein`, `vessels`, `disc`, `fovea`, each a file or folder that all nodes see,
            or a name on the Hugging Face hub.
        feature_set: biomarkers to measure where `artery_vein`, `disc` and `fovea` are among the models; None for none.
        maps: whether rows have the maps on the crop of 1024 × 1024 pixels, as PNG files, in columns called by role.
        column: where the rows have the photograph: a path, a URL that fsspec knows, or the bytes of a file (which are
            not passed on).
        device: of each worker; with `num_gpus=0.5`, say, `cuda:0` is the card that Ray has chosen for it.
        batch_size: photographs that a worker takes at once.
        num_cpus: threads of a worker.
        how: further arguments of `ray.data.Dataset.map_batches`, such as `num_gpus`, `memory` or `compute`.

    Returns:
        A dataset, computed as it is read or written (`write_parquet`). Beside the columns there were: `error` (null, or
        why there are no answers), `bounds` (of the crop in the photograph, JSON), `p1`, `p2`, `p3` (quality), `x_fovea`
        and `y_fovea` (pixels of the crop), maps, and biomarkers by name, null where one cannot be measured. The values
        are those of `vascx_rs.run`.
    """
    unknown = set(models) - set(_ROLES)
    if unknown:
        raise ValueError(f"a model's role is one of {', '.join(_ROLES)}, not {', '.join(sorted(unknown))}")
    rows: Any = dataset
    if not isinstance(dataset, ray.data.Dataset):
        rows = ray.data.from_items([{column: os.fspath(path)} for path in dataset])
    named = {role: os.fspath(model) for role, model in models.items()}
    settings = {"device": device, "dtype": dtype, "threads": max(1, int(num_cpus)), "column": column}
    answered: ray.data.Dataset = rows.map_batches(
        _Worker,
        fn_constructor_args=(named, feature_set, maps),
        fn_constructor_kwargs=settings,
        batch_format="pyarrow",
        batch_size=batch_size,
        num_cpus=num_cpus,
        **how,
    )
    return answered


class _Worker:
    """The models of one process of the cluster."""

    def __init__(
        self,
        models: dict[str, str],
        feature_set: str | None,
        maps: bool,
        *,
        device: str,
        dtype: Any,
        threads: int,
        column: str,
    ) -> None:
        # Ray tells a worker how many processors are its own; nothing keeps it off the others.
        set_threads(threads)
        self._threads, self._column, self._maps = threads, column, maps
        self._models = {role: load(model, device, dtype=dtype) for role, model in models.items()}
        measured = {"artery_vein", "disc", "fovea"} <= set(models)
        self._feature_set = feature_set if measured else None
        # Stated, as a batch may have no value of a column.
        columns = {"error": pyarrow.string(), "bounds": pyarrow.string()}
        for role, model in self._models.items():
            if role == "quality":
                columns |= {f"p{index}": pyarrow.float64() for index in range(1, len(model.names) + 1)}
            elif role == "fovea":
                columns |= {"x_fovea": pyarrow.float64(), "y_fovea": pyarrow.float64()}
            elif maps:
                columns[role] = pyarrow.binary()
        if self._feature_set is not None:
            columns |= {variable.name: pyarrow.float64() for variable in variables(self._feature_set)}
        self._schema = pyarrow.schema(columns)

    def __call__(self, photographs: pyarrow.Table) -> pyarrow.Table:
        given = photographs[self._column]
        rows = pyarrow.Table.from_pylist(self._rows(given.to_pylist()), self._schema)
        if pyarrow.types.is_binary(given.type) or pyarrow.types.is_large_binary(given.type):
            photographs = photographs.drop_columns(self._column)
        for name in rows.column_names:
            photographs = photographs.append_column(name, rows[name])
        return photographs

    def _rows(self, photographs: list[Any]) -> list[dict[str, Any]]:
        with ThreadPoolExecutor(self._threads) as pool:
            crops = list(pool.map(_crop, photographs))
            pixels = [crop.rgb for crop in crops if isinstance(crop, Square)]
            answers = {role: iter(on_crops(model, pixels)) for role, model in self._models.items()}
            eyes = [{role: next(answers[role]) for role in answers if isinstance(crop, Square)} for crop in crops]
            return list(pool.map(self._row, crops, eyes))

    def _row(self, crop: Square | str, answers: dict[str, Any]) -> dict[str, Any]:
        if isinstance(crop, str):
            return {"error": crop}
        row: dict[str, Any] = {"bounds": json.dumps(crop.bounds)}
        for role, answer in answers.items():
            if role == "quality":
                row |= {f"p{index}": float(share) for index, share in enumerate(answer.probabilities, 1)}
            elif role == "fovea":
                row["x_fovea"], row["y_fovea"] = map(float, answer.points[0])
            elif self._maps:
                row[role] = _png(map_of(answer))
        if self._feature_set is not None:
            row |= Retina._of_answers(crop, answers).biomarkers(self._feature_set)
        return row


def _crop(photograph: Union[str, bytes]) -> Square | str:
    """The crop of the field of view, or why there is none: one photograph's mishap is no reason to end the job."""
    try:
        if isinstance(photograph, str) and "://" in photograph:
            import fsspec  # type: ignore[import-untyped, import-not-found, unused-ignore]

            opened: Any = fsspec.open(photograph)
            with opened as file:
                photograph = file.read()
        return preprocess(photograph, contrast=False)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _png(pixels: Any) -> bytes:
    """A PNG file of grey levels `[H, W]`, uint8."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    # Each row begins with its filter, none.
    rows = np.pad(pixels, ((0, 0), (1, 0)))
    body = chunk(b"IDAT", zlib.compress(rows.tobytes(), 1))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")
