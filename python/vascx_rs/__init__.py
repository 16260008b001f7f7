"""VascX retinal models without torch: photographs in, vessels, disc, fovea, quality out.

>>> import vascx_rs
>>> model = vascx_rs.load("weights/demo/artery_vein.pt")
>>> model.predict("examples/images/macula_centred_right.png").class_map.shape  # doctest: +SKIP
(512, 512)

A model is loaded once (`load`) and asked as often as there are photographs (`Ensemble.predict`,
`Ensemble.predict_iter`). Several threads may share one: computing does not hold Python's lock.
"""

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
from ._ensembles import (
    ClassificationEnsemble,
    EmbeddingEnsemble,
    Ensemble,
    HeatmapEnsemble,
    KeypointsEnsemble,
    OverlapsEnsemble,
    RegressionEnsemble,
    SegmentationEnsemble,
    load,
)
from ._native import (
    DeviceError,
    InternalError,
    ModelError,
    OutOfMemoryError,
    PhotographError,
    VascxError,
    VascxWarning,
    __version__,
    devices,
    set_threads,
)
from ._preprocess import Square, preprocess
from ._retina import Retina, Variable, biomarkers, feature_sets, variables
from ._run import Cohort, run
from ._typing import Photograph

__all__ = [
    "Answer",
    "Classification",
    "ClassificationEnsemble",
    "Cohort",
    "DeviceError",
    "Embedding",
    "EmbeddingEnsemble",
    "Ensemble",
    "HeatmapEnsemble",
    "InternalError",
    "Keypoints",
    "KeypointsEnsemble",
    "Landmarks",
    "ModelError",
    "OutOfMemoryError",
    "Overlaps",
    "OverlapsEnsemble",
    "Photograph",
    "PhotographError",
    "Regression",
    "RegressionEnsemble",
    "Segmentation",
    "SegmentationEnsemble",
    "Retina",
    "Square",
    "Variable",
    "VascxError",
    "VascxWarning",
    "__version__",
    "biomarkers",
    "devices",
    "feature_sets",
    "load",
    "preprocess",
    "run",
    "set_threads",
    "variables",
]
