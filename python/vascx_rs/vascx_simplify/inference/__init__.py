"""The ensembles, under the names of vascx_simplify 0.1.11."""

from .ensembles import (
    ClassificationEnsemble,
    EnsembleBase,
    EnsembleSegmentation,
    HeatmapRegressionEnsemble,
    RegressionEnsemble,
)
from .sliding_window import sliding_window_inference

__all__ = [
    "ClassificationEnsemble",
    "EnsembleBase",
    "EnsembleSegmentation",
    "HeatmapRegressionEnsemble",
    "RegressionEnsemble",
    "sliding_window_inference",
]
