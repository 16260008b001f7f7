"""One eye: its maps, vessels and biomarkers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from . import _native
from ._ensembles import Ensemble
from ._preprocess import Square, preprocess

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ._typing import Photograph, Picture

Layer = Literal["arteries", "veins", "vessels"]
Table = dict[str, Any]


@dataclass(frozen=True)
class Variable:
    """What a biomarker is called and means."""

    name: str
    """As in the tables of retinalysis-vascx 2.1.0."""
    display_name: str
    description: str
    """What is measured and how."""
    unit: str
    """Empty for ratios and counts."""


def _tuple(value: Any) -> Any:
    """A pair from JSON as one."""
    return tuple(value) if isinstance(value, list) else value


def on_crops(model: Ensemble[Any], crops: list[Picture]) -> list[Any]:
    """Answers for crops of the field of view, as `vascx run` asks for them: a model for whole photographs sees the crop
    as one, and a keypoint is the mean of the members' maxima."""
    fundus = model.description["preprocessing"]["transform"] == "fundus"
    return list(model.predict_iter(crops, preprocess="crop" if fundus else "auto", keypoints="mean_of_argmax"))


def map_of(answer: Any) -> Any:
    """The map `[S, S]` of a segmentation, whichever its kind."""
    return getattr(answer, "class_map", getattr(answer, "bits", None))


def feature_sets() -> list[str]:
    """Names of the sets of biomarkers."""
    return _native.feature_sets()


def variables(feature_set: str = "full_v3", *, canonical: bool = False) -> list[Variable]:
    """The biomarkers of a set, in order.

    Args:
        feature_set: one of `feature_sets`: retinalysis-vascx's, or `vascx_rs`, our own.
        canonical: whether names keep the parts that are the same throughout the set.
    """
    return [Variable(*described) for described in _native.variables(feature_set, canonical)]


class Retina:
    """Maps of one eye on the square crop of its field of view, and what is measured on them.

    The numbers of retinalysis-vascx 2.1.0 are those of crops of 1024 × 1024 pixels.
    """

    def __init__(
        self,
        artery_vein: npt.ArrayLike,
        *,
        vessels: npt.ArrayLike | None = None,
        disc: npt.ArrayLike | None = None,
        fovea: tuple[float, float] | None = None,
        photograph: npt.ArrayLike | None = None,
        bounds: Mapping[str, Any] | None = None,
        mm_per_pixel: float | None = None,
    ) -> None:
        """
        Args:
            artery_vein: `[S, S]`: 0 background, 1 artery, 2 vein, 3 both.
            vessels: `[S, S]`, not 0 where there is a vessel; for sparsity and sharpness.
            disc: `[S, S]`, not 0 in the optic disc; most biomarkers need it.
            fovea: (x, y) in pixels of the crop.
            photograph: `[S, S, 3]`, uint8: the crop itself; for sharpness and brightness.
            bounds: of the field of view, as `Square.bounds` has them; by default the circle that touches all sides.
            mm_per_pixel: of the crop, if known; by default reckoned from the distance between disc and fovea.

        Raises:
            ValueError: the maps do not fit together.
        """

        import numpy as np

        def map_(values: npt.ArrayLike | None) -> Any:
            return None if values is None else np.ascontiguousarray(values, np.uint8)

        given = None if bounds is None else {key: _tuple(value) for key, value in bounds.items()}
        self._native = _native.Maps(
            map_(artery_vein), map_(vessels), map_(disc), map_(photograph), fovea, given, mm_per_pixel
        )

    @classmethod
    def of(
        cls,
        photograph: Photograph,
        models: Mapping[str, Ensemble[Any]],
        *,
        size: int = 1024,
        mm_per_pixel: float | None = None,
    ) -> Retina:
        """An eye by models: `artery_vein` and, where there are such, `vessels`, `disc` and `fovea`.

        Args:
            photograph: in any form.
            models: loaded, by these names.
            size: side of the crop in pixels.
        """
        unknown = set(models) - {"artery_vein", "vessels", "disc", "fovea"}
        if unknown or "artery_vein" not in models:
            raise ValueError(f"models are artery_vein, vessels, disc and fovea, not {', '.join(sorted(models))}")
        square = preprocess(photograph, "full", size=size, contrast=False)
        answers = {name: on_crops(model, [square.rgb])[0] for name, model in models.items()}
        return cls._of_answers(square, answers, mm_per_pixel)

    @classmethod
    def _of_answers(cls, square: Square, answers: Mapping[str, Any], mm_per_pixel: float | None = None) -> Retina:
        """An eye by what models said of its crop."""
        fovea = answers["fovea"].points[0] if "fovea" in answers else None
        return cls(
            map_of(answers["artery_vein"]),
            vessels=map_of(answers.get("vessels")),
            disc=map_of(answers.get("disc")),
            fovea=None if fovea is None else (float(fovea[0]), float(fovea[1])),
            photograph=square.rgb,
            bounds=square.bounds,
            mm_per_pixel=mm_per_pixel,
        )

    def biomarkers(self, feature_set: str = "full_v3") -> dict[str, float | None]:
        """The values of a set by name; None where one cannot be measured (`reasons` says why)."""
        values, _ = self._native.measure(feature_set)
        return {variable.name: value for variable, value in zip(variables(feature_set), values)}

    def reasons(self, feature_set: str = "full_v3") -> dict[str, str]:
        """Why the values that are missing are, by name."""
        _, reasons = self._native.measure(feature_set)
        named = zip(variables(feature_set), reasons)
        return {variable.name: reason for variable, reason in named if reason is not None}

    def landmarks(self, *, feature_set: str = "full_v3") -> dict[str, Any]:
        """`disc_center` and `fovea` (x, y), `disc_radius`, `disc_fovea_distance` in pixels of the crop and
        `mm_per_pixel`; None for what is not there.

        Raises:
            VascxError: there is no disc.
        """
        return self._native.landmarks(feature_set)

    def masks(self, layer: Layer, *, feature_set: str = "full_v3") -> dict[str, npt.NDArray[np.bool_]]:
        """`mask`, `filled` (without holes) and `skeleton` of a layer in the visible retina, `[S, S]` each."""
        return self._native.masks(feature_set, layer)

    def segments(self, layer: Layer, *, feature_set: str = "full_v3") -> Table:
        """The vessels of a layer between their nodes, columns by name: lengths, diameters and positions in pixels of
        the crop. `pandas.DataFrame` and `pyarrow.table` take it."""
        return self._native.segments(feature_set, layer)

    def bifurcations(self, layer: Layer, *, feature_set: str = "full_v3") -> Table:
        """The bifurcations of a layer, columns by name: angles in degrees, the rest in pixels of the crop."""
        return self._native.bifurcations(feature_set, layer)


def biomarkers(
    artery_vein: npt.ArrayLike, *, feature_set: str = "full_v3", **maps: Any
) -> dict[str, float | None]:
    """The biomarkers of an eye's maps by name; takes what `Retina` takes."""
    return Retina(artery_vein, **maps).biomarkers(feature_set)
