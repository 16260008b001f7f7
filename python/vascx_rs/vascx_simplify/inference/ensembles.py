"""The ensembles: models of vascx_rs that take and give tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from ... import _ensembles as native
from ..._answers import Classification, Keypoints, Regression, Segmentation
from .._tensors import is_tensor, to_numpy, to_tensor
from ..preprocess.contrast import as_pixels
from ..preprocess.transform import VASCXTransform


class EnsembleBase:
    """A model that answers photographs with tensors.

    It is no `torch.nn.Module`: it has no parameters to train, and its answers no gradients. `fpath` is a released
    `.pt` file or a converted model.
    """

    _kind: type[native.Ensemble[Any]]

    def __init__(self, fpath: str, transforms: VASCXTransform, device: Any = "cpu") -> None:
        self.transforms = transforms
        self.device = device
        self._path = fpath
        self._model = self._kind.load(fpath, str(device))
        self.config = self._model.description
        inference = self.config["inference"]
        self.predict_batch_size = 1
        self.sw_batch_size = inference["window_batch_size"]
        self.tta = bool(inference["tta_flips"])
        self.training = False

    def predict(self, img: Any, batch_size: int | None = None) -> Any:
        """Answers for photographs, stacked along a new first axis: for one, `[1, ...]`; for a list, `[N, ...]`
        (a list, where photographs differ in size and maps cannot be stacked).

        Args:
            img: a Pillow image, a tensor or array `[3, H, W]`, or a list of these; tensors `[N, 3, H, W]`.
            batch_size: photographs computed together, 1 by default. Answers do not depend on it.
        """
        photographs = self._photographs(img)
        if not photographs:
            raise ValueError("no photographs were given; the list of inputs is empty")
        size = self.predict_batch_size if batch_size is None else batch_size
        answers = [self._value(answer) for answer in self._answers(photographs, size)]
        if len({answer.shape for answer in answers}) > 1:
            return [to_tensor(answer, device=self.device) for answer in answers]
        return to_tensor(np.stack(answers), device=self.device)

    def sliding_window_inference(
        self,
        img: Any,
        tracing_input_size: tuple[int, int] = (512, 512),
        overlap: float = 0.5,
        blend: str = "gaussian",
        **kwargs: Any,
    ) -> NoReturn:
        """Not here: `predict` slides the window natively, and the function `sliding_window_inference` does it
        with any predictor."""
        raise NotImplementedError(self.sliding_window_inference.__doc__)

    def forward(self, *_: Any) -> NoReturn:
        """Not here: bare members are run by `python -m vascx_rs forward`, or with torch by vascx_simplify."""
        raise NotImplementedError(self.forward.__doc__)

    def __call__(self, *inputs: Any) -> NoReturn:
        self.forward(*inputs)

    def parameters(self) -> NoReturn:
        """There are none: these models answer and are not trained."""
        raise NotImplementedError(self.parameters.__doc__)

    def train(self, mode: bool = True) -> EnsembleBase:
        """Only `train(False)` is possible: these models are not trained."""
        if mode:
            raise NotImplementedError(self.train.__doc__)
        return self

    def eval(self) -> EnsembleBase:
        return self

    def to(self, device: Any) -> EnsembleBase:
        """The model on another device, loaded anew."""
        if str(device) != str(self.device):
            self._model, self.device = self._kind.load(self._path, str(device)), device
        return self

    def cpu(self) -> EnsembleBase:
        return self.to("cpu")

    def cuda(self, index: int = 0) -> EnsembleBase:
        return self.to(f"cuda:{index}")

    def _photographs(self, img: Any) -> list[Any]:
        if isinstance(img, (list, tuple)):
            return list(img)
        if (is_tensor(img) or isinstance(img, np.ndarray)) and img.ndim == 4:
            return list(img)
        return [img]

    def _answers(self, photographs: list[Any], batch_size: int) -> Iterator[Any]:
        """Natively where the transform is what the model says, else through the transform."""
        given = self.config["preprocessing"]
        mode = self.transforms.native_mode
        sides = {given["square_size"], given["resize"] or given["square_size"], self.transforms.size}
        if mode and len(sides) == 1 and self.transforms.use_ce == given["contrast_enhance"]:
            pixels = map(as_pixels, photographs)
            return self._model.predict_iter(pixels, batch_size=batch_size, preprocess=mode)  # type: ignore[arg-type]
        return self._through_the_transform(photographs, batch_size)

    def _through_the_transform(self, photographs: list[Any], batch_size: int) -> Iterator[Any]:
        bounds: list[Any] = []

        def inputs() -> Iterator[Any]:
            for photograph in photographs:
                tensor, where = self.transforms(photograph)
                bounds.append(where)
                yield to_numpy(tensor)

        answers = self._model.predict_iter(
            inputs(), batch_size=batch_size, tensors=True, preprocess="simple", probabilities=True
        )
        for index, answer in enumerate(answers):
            yield self._undo(answer, bounds[index]) if bounds[index] is not None else answer

    def _undo(self, answer: Any, bounds: dict[str, Any]) -> Any:
        """An answer on the square as one in the photograph's pixels."""
        return answer

    def _value(self, answer: Any) -> np.ndarray:
        raise NotImplementedError


class EnsembleSegmentation(EnsembleBase):
    """Segments photographs: class indices `[N, H, W]`, int64."""

    _kind = native.SegmentationEnsemble

    def _undo(self, answer: Segmentation, bounds: dict[str, Any]) -> Segmentation:
        maps = to_numpy(self.transforms.undo_bounds(to_tensor(answer.probabilities), bounds))
        return Segmentation(maps.argmax(0).astype(np.uint8), answer.names)

    def _value(self, answer: Segmentation) -> np.ndarray:
        return answer.class_map.astype(np.int64)


class ClassificationEnsemble(EnsembleBase):
    """Classifies photographs: probabilities `[N, C]`, float32."""

    _kind = native.ClassificationEnsemble

    def _value(self, answer: Classification) -> np.ndarray:
        return answer.probabilities


class RegressionEnsemble(EnsembleBase):
    """Regresses values: every member's `[N, M, D]`, float32."""

    _kind = native.RegressionEnsemble

    def _value(self, answer: Regression) -> np.ndarray:
        return answer.members


class HeatmapRegressionEnsemble(EnsembleBase):
    """Locates keypoints: (x, y) in pixels of the photograph, `[N, K, 2]`, float32."""

    _kind = native.HeatmapEnsemble

    def _undo(self, answer: Keypoints, bounds: dict[str, Any]) -> Keypoints:
        points = to_numpy(self.transforms.undo_bounds_points(to_tensor(answer.points), bounds))
        return Keypoints(points, answer.names)

    def _value(self, answer: Keypoints) -> np.ndarray:
        return answer.points.astype(np.float32)
