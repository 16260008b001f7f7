"""Models on devices, one class per task."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

from . import _native
from ._answers import (
    Answer,
    Classification,
    Embedding,
    Keypoints,
    Landmarks,
    Overlaps,
    Regression,
    Segmentation,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import Self

    from ._typing import Photograph

A = TypeVar("A", bound=Answer, covariant=True)

Preprocess = Literal["auto", "full", "simple", "resize", "crop"]
"""How photographs are brought to the network's square: as the model was trained (`auto`); the field of view found
and cropped (`full`); padded and resized as vascx_simplify does (`simple`), or stretched (`resize`); taken for crops
of the field of view (`crop`)."""


def load(
    model: str | os.PathLike[str],
    device: str = "cpu",
    *,
    dtype: Literal["f32", "f16", "bf16", "auto"] = "f32",
    task: str | None = None,
    names: Sequence[str] = (),
    key: str | None = None,
) -> Ensemble[Any]:
    """Loads a model onto a device.

    Args:
        model: a converted model's directory, a release (`.pt`, `.onnx`, state dict), or the name of one on the
            Hugging Face hub such as `Eyened/vascx:disc/disc_may26.pt`, which is fetched into the hub's cache.
        device: `cpu`, `cuda:0`, `cuda:0,cuda:1`, `wgpu`; see `devices`.
        dtype: what the network computes in; `auto` takes the fastest that changes no class map by more than
            a pixel in a thousand.
        task: for a release that does not tell: `segmentation`, `overlaps`, `classification`, `regression`,
            `heatmap`, `keypoints` or `embedding`.
        names: of classes, keypoints or values, for a release that does not tell.
        key: where the weights of a state dict lie among others.

    Returns:
        `SegmentationEnsemble`, `ClassificationEnsemble`, … by the model's task.

    Raises:
        ModelError: the model is missing, damaged or of no known network.
        DeviceError: this build or machine lacks the device.
    """
    native = _native.Ensemble(_native.locate(model), device, dtype, task, list(names), key)
    return _CLASSES[native.task](native)


class Ensemble(Generic[A]):
    """A model on a device; `load` makes one. Threads may share it."""

    _answer: type[Any]

    def __init__(self, native: _native.Ensemble) -> None:
        self._native = native
        self._names = tuple(native.names)

    @classmethod
    def load(cls, model: str | os.PathLike[str], device: str = "cpu", **options: Any) -> Self:
        """As the function `load`, for a model of this class.

        Raises:
            ModelError: also when the model is for another task.
        """
        ensemble = load(model, device, **options)
        if not isinstance(ensemble, cls):
            raise _native.ModelError(
                f"{os.fspath(model)} is for {ensemble.task} and makes a {type(ensemble).__name__}, "
                f"no {cls.__name__}"
            )
        return ensemble

    @property
    def task(self) -> str:
        """What the model does, such as `segmentation`."""
        return self._native.task

    @property
    def names(self) -> tuple[str, ...]:
        """Names of classes, keypoints or values; `c0`, `k0`, `y0`, … where the model has none."""
        return self._names

    @property
    def device(self) -> str:
        """Where it computes."""
        return self._native.device

    @property
    def dtype(self) -> str:
        """What it computes in."""
        return self._native.dtype

    @property
    def notes(self) -> list[str]:
        """What was assumed of the checkpoint where it is silent."""
        return self._native.notes

    @property
    def description(self) -> dict[str, Any]:
        """The model's `model.json`: network, members, preprocessing, window, source."""
        description: dict[str, Any] = json.loads(self._native.manifest())
        return description

    @overload
    def predict(self, photographs: Photograph, **options: Any) -> A: ...

    @overload
    def predict(self, photographs: Iterable[Photograph], **options: Any) -> list[A]: ...

    def predict(self, photographs: Photograph | Iterable[Photograph], **options: Any) -> A | list[A]:
        """Answers for photographs: one for one, a list for a list or another collection, in its order.

        Takes the options of `predict_iter`.

        Raises:
            PhotographError: a photograph cannot be read or answered, unless `errors="return"`.
            ValueError: there are no photographs.
        """
        tensors = options.get("tensors", False)
        if getattr(photographs, "ndim", 0) == 3 if tensors else _native.is_single(photographs):
            return next(self.predict_iter([cast("Photograph", photographs)], **options))
        answers = list(self.predict_iter(cast("Iterable[Photograph]", photographs), **options))
        if not answers:
            raise ValueError("no photographs were given; the list of inputs is empty")
        return answers

    def predict_iter(
        self,
        photographs: Iterable[Photograph],
        *,
        batch_size: int | Literal["auto"] | None = None,
        window_batch_size: int | None = None,
        tta: bool | None = None,
        preprocess: Preprocess = "auto",
        probabilities: bool = False,
        keypoints: Literal["argmax_of_sum", "mean_of_argmax"] = "argmax_of_sum",
        max_pixels: int | None = None,
        tensors: bool = False,
        errors: Literal["raise", "return"] = "raise",
    ) -> Iterator[A]:
        """Answers one by one in the order of the photographs, in memory that does not grow with their number.

        The next photographs are read and prepared, on other threads, while the device computes: an iterator is
        read ahead by two batches. `tqdm(model.predict_iter(paths), total=len(paths))` shows progress.

        Args:
            photographs: any iterable of `Photograph`.
            batch_size: photographs computed together; the model's by default, `auto` for as many as a GPU holds.
                Answers do not depend on it.
            window_batch_size: windows per forward pass.
            tta: averages over flips; by default what the model says.
            preprocess: how photographs are brought to the network's square.
            probabilities: keeps probability maps, or heat maps, with the answers.
            keypoints: the maximum of the members' summed heat maps, or the mean of their maxima.
            max_pixels: refuses files that declare more; 250 million by default.
            tensors: inputs are arrays `[C, H, W]` that are preprocessed and normalised already; answers are in
                their pixels. An array `[N, C, H, W]` is a collection of N.
            errors: `return` puts the exception in the place of an answer that cannot be had.

        Raises:
            PhotographError: in the iteration, unless `errors="return"`.
        """
        given = {
            "batch_size": batch_size,
            "window_batch_size": window_batch_size,
            "tta": tta,
            "preprocess": preprocess,
            "maps": probabilities,
            "keypoints": keypoints,
            "max_pixels": max_pixels,
            "tensors": tensors,
        }
        if errors not in ("raise", "return"):
            raise ValueError(f"errors is raise or return, not {errors!r}")
        given = {name: value for name, value in given.items() if value is not None}
        stream = self._native.stream(iter(photographs), given)
        return self._answers(stream, errors == "raise")

    def _answers(self, stream: _native.Stream, raises: bool) -> Iterator[A]:
        for found in stream:
            if not isinstance(found, BaseException):
                yield self._answer(**self._named(found))
            elif raises:
                stream.cancel()
                raise found
            else:
                yield found  # type: ignore[misc]

    def _named(self, found: dict[str, Any]) -> dict[str, Any]:
        found.pop("classes", None)
        found["names"] = self._names
        return found

    def logits(
        self, photographs: Iterable[Photograph], *, preprocess: Preprocess = "auto", tensors: bool = False
    ) -> list[npt.NDArray[Any]]:
        """What the members give together, before softmax, on the network input's grid: float32, the mean over
        members `[C, H, W]` of a segmentation, the sum `[K, H, W]` of heat maps, else each member's `[M, D]`.
        """
        options = {"preprocess": preprocess, "tensors": tensors}
        return self._native.logits(list(photographs), options)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(self._names[:6])} on {self.device}>"


class SegmentationEnsemble(Ensemble[Segmentation]):
    """Segments photographs: artery/vein, vessels, disc."""

    _answer = Segmentation


class OverlapsEnsemble(Ensemble[Overlaps]):
    """Segments photographs into classes that may overlap."""

    _answer = Overlaps


class ClassificationEnsemble(Ensemble[Classification]):
    """Classifies photographs, for example by quality."""

    _answer = Classification


class RegressionEnsemble(Ensemble[Regression]):
    """Regresses values from photographs."""

    _answer = Regression


class HeatmapEnsemble(Ensemble[Keypoints]):
    """Locates keypoints such as the fovea by heat maps."""

    _answer = Keypoints


class KeypointsEnsemble(Ensemble[Landmarks]):
    """Locates keypoints by numbers."""

    _answer = Landmarks


class EmbeddingEnsemble(Ensemble[Embedding]):
    """Turns photographs into vectors."""

    _answer = Embedding

    def _named(self, found: dict[str, Any]) -> dict[str, Any]:
        return found


_CLASSES: dict[str, type[Ensemble[Any]]] = {
    "segmentation": SegmentationEnsemble,
    "overlaps": OverlapsEnsemble,
    "classification": ClassificationEnsemble,
    "regression": RegressionEnsemble,
    "heatmap": HeatmapEnsemble,
    "keypoints": KeypointsEnsemble,
    "embedding": EmbeddingEnsemble,
}
