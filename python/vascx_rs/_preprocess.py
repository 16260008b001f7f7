"""Photographs as networks see them, and the way back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from . import _native

if TYPE_CHECKING:
    import numpy.typing as npt

    from ._typing import ByteMap, Photograph, Picture, Points


class Square:
    """A photograph brought to a square of S × S pixels."""

    def __init__(self, native: _native.Square) -> None:
        self._native = native

    @property
    def rgb(self) -> Picture:
        """`[S, S, 3]`, uint8."""
        return self._native.rgb

    @property
    def contrast(self) -> Picture | None:
        """`[S, S, 3]`, uint8: local contrast, when asked for."""
        return self._native.contrast

    @property
    def bounds(self) -> dict[str, Any]:
        """Where the square lies in the photograph, such as the field of view's `center` (x, y), `radius` and
        `lines` in pixels of the photograph and the `method` it was found by."""
        bounds: dict[str, Any] = json.loads(self._native.bounds())
        return bounds

    def map_to_photograph(self, class_map: npt.ArrayLike) -> ByteMap:
        """A map `[S', S']` of class indices on the square, of any size, in the photograph's pixels `[H, W]`
        (uint8): nearest neighbour, 0 outside."""
        import numpy as np

        return self._native.map_to_photograph(np.asarray(class_map, np.uint8))

    def points_to_photograph(self, points: npt.ArrayLike) -> Points:
        """Points `[K, 2]`, x and y in pixels of the square, in pixels of the photograph."""
        import numpy as np

        return self._native.points_to_photograph(np.asarray(points, np.float64))


def preprocess(
    photograph: Photograph,
    mode: Literal["full", "simple", "resize", "crop"] = "full",
    *,
    size: int = 1024,
    contrast: bool = True,
) -> Square:
    """Brings a photograph to a square as the released models were trained, without a model.

    Args:
        photograph: a path, bytes, Pillow image or array.
        mode: `full` finds the field of view and crops to it; `simple` pads and resizes, `resize` stretches;
            `crop` takes the photograph for a crop of the field of view.
        size: side of the square in pixels.
        contrast: whether local contrast is computed too.

    Raises:
        PhotographError: the photograph cannot be read.
        ValueError: there is no such mode or size.
    """
    return Square(_native.preprocess(photograph, mode, size, contrast))
