"""What the ensembles answer for one photograph."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    from ._typing import ByteMap, FloatMaps, PointSets, Points, Row, Rows


class _ToDict:
    """What all answers share."""

    def to_dict(self) -> dict[str, Any]:
        """The fields by name; arrays are not copied."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Segmentation(_ToDict):
    """A class for every pixel of the photograph."""

    class_map: ByteMap
    """`[H, W]`, uint8: index of the most probable class, in the photograph's own pixels; 0 outside its field of
    view."""
    names: tuple[str, ...]
    """Names of the classes."""
    probabilities: FloatMaps | None = None
    """`[C, H, W]`, float32, from 0 to 1, when asked for."""


@dataclass(frozen=True, eq=False)
class Overlaps(_ToDict):
    """Classes that may overlap, for every pixel of the photograph."""

    bits: ByteMap
    """`[H, W]`, uint8: class k sets bit k, 1 << k, where it is more probable than not; in the photograph's own
    pixels."""
    names: tuple[str, ...]
    """Names of the classes."""
    probabilities: FloatMaps | None = None
    """`[C, H, W]`, float32, from 0 to 1 each, when asked for."""


@dataclass(frozen=True, eq=False)
class Classification(_ToDict):
    """Probabilities of classes for the photograph."""

    probabilities: Row
    """`[C]`, float32, of sum 1: mean over the members."""
    members: Rows
    """`[M, C]`, float32: of each member."""
    names: tuple[str, ...]
    """Names of the classes."""


@dataclass(frozen=True, eq=False)
class Regression(_ToDict):
    """Values for the photograph."""

    values: Row
    """`[D]`, float32: mean over the members, in the units the model was trained in."""
    members: Rows
    """`[M, D]`, float32: of each member."""
    names: tuple[str, ...]
    """Names of the values."""


@dataclass(frozen=True, eq=False)
class Keypoints(_ToDict):
    """Points of the photograph, found as maxima of heat maps."""

    points: Points
    """`[K, 2]`, float64: x and y in pixels of the photograph."""
    names: tuple[str, ...]
    """Names of the keypoints."""
    heatmaps: FloatMaps | None = None
    """`[K, S, S]`, float32: sum over the members on the network input's grid, when asked for."""


@dataclass(frozen=True, eq=False)
class Landmarks(_ToDict):
    """Points of the photograph, of networks that give them as numbers."""

    points: Points
    """`[K, 2]`, float64: x and y in pixels of the photograph, mean over the members."""
    members: PointSets
    """`[M, K, 2]`, float64: of each member."""
    names: tuple[str, ...]
    """Names of the keypoints."""


@dataclass(frozen=True, eq=False)
class Embedding(_ToDict):
    """A vector for the photograph that other programs go on with."""

    vector: Row
    """`[D]`, float32: mean over the members."""
    members: Rows
    """`[M, D]`, float32: of each member."""


Answer = Union[Segmentation, Overlaps, Classification, Regression, Keypoints, Landmarks, Embedding]
"""What an ensemble of any task answers."""
