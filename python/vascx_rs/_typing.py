"""What may be given for a photograph."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol, Union

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class SupportsArray(Protocol):
    """Anything that becomes a NumPy array: torch tensors on the CPU, Pillow images, …"""

    def __array__(self, /) -> npt.NDArray[Any]: ...


class SupportsArrayInterface(Protocol):
    """Anything that describes its memory as NumPy does, such as Pillow images."""

    @property
    def __array_interface__(self) -> dict[str, Any]: ...


class SupportsDLPack(Protocol):
    """Anything that hands out its memory by DLPack."""

    def __dlpack__(self) -> Any: ...


class SupportsRead(Protocol):
    """A file that is open for reading bytes."""

    def read(self) -> bytes: ...


Photograph = Union[
    str,
    "os.PathLike[str]",
    bytes,
    bytearray,
    memoryview,
    SupportsRead,
    SupportsArrayInterface,
    SupportsArray,
    SupportsDLPack,
]
"""A path, the bytes of an image file, a file open for reading, a Pillow image, or an array `[H, W]`, `[H, W, C]`
or `[C, H, W]` of 1 (grey), 3 (RGB) or 4 (RGBA) channels, uint8, uint16 or floats from 0 to 1."""

# Importing NumPy takes longer than all of this package, which does it when it computes.
if TYPE_CHECKING:
    ByteMap = np.ndarray[tuple[int, int], np.dtype[np.uint8]]
    FloatMaps = np.ndarray[tuple[int, int, int], np.dtype[np.float32]]
    Picture = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
    Rows = np.ndarray[tuple[int, int], np.dtype[np.float32]]
    Row = np.ndarray[tuple[int], np.dtype[np.float32]]
    Points = np.ndarray[tuple[int, int], np.dtype[np.float64]]
    PointSets = np.ndarray[tuple[int, int, int], np.dtype[np.float64]]
