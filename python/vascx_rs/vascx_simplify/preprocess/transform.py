"""From photographs to network inputs and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sampling import resize
from .._tensors import to_numpy, to_tensor
from .contrast import SimpleFundusEnhance, as_pixels

_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)


class VASCXTransform:
    """Brings photographs to `[6, size, size]`, or `[3, size, size]` without contrast, normalised."""

    def __init__(
        self,
        size: int = 1024,
        use_ce: bool = True,
        use_fp16: bool = True,
        device: Any = "cpu",
        Enhancer: Any = SimpleFundusEnhance,  # noqa: N803
    ) -> None:
        self.size = size
        self.use_ce = use_ce
        self.use_fp16 = use_fp16
        self.device = device
        self.contrast_enhancer = Enhancer(square_size=size, use_fp16=use_fp16) if use_ce else None

    @property
    def native_mode(self) -> str | None:
        """The preprocessing of vascx_rs that does the same; None where there is none. (Without contrast,
        vascx_simplify resizes to fractions of grey levels.)"""
        if type(self) is not VASCXTransform or type(self.contrast_enhancer) is not SimpleFundusEnhance:
            return None
        return "simple" if self.contrast_enhancer.is_default else None

    def __call__(self, image: Any) -> tuple[Any, dict[str, Any] | None]:
        """The network input of a Pillow image, a tensor or an array, and its bounds."""
        if self.contrast_enhancer is None:
            levels = resize(as_pixels(image).transpose(2, 0, 1), (self.size, self.size))
            squares, bounds = [levels.transpose(1, 2, 0)], None
        else:
            rgb, contrast, bounds = self.contrast_enhancer(to_tensor(as_pixels(image).transpose(2, 0, 1)))
            squares = [to_numpy(rgb).transpose(1, 2, 0), to_numpy(contrast).transpose(1, 2, 0)]
        normalised = [(square.astype(np.float32) / 255 - _MEAN) / _STD for square in squares]
        channels = np.concatenate(normalised, axis=2).transpose(2, 0, 1)
        return to_tensor(channels, device=self.device), bounds

    def undo_bounds(self, image: Any, bounds: dict[str, Any]) -> Any:
        """Maps `[..., size, size]` in the photograph's pixels."""
        return self._enhancer().undo_bounds(image, **bounds)

    def undo_bounds_points(self, points: Any, bounds: dict[str, Any]) -> Any:
        """Points (x, y) `[..., 2]` in the photograph's pixels."""
        return self._enhancer().undo_bounds_points(points, **bounds)

    def _enhancer(self) -> Any:
        if self.contrast_enhancer is None:
            raise AttributeError("without contrast (use_ce=False) there are no bounds to undo")
        return self.contrast_enhancer
