"""The public names of vascx_simplify 0.1.11 on vascx_rs: its arguments, shapes and defaults.

>>> import sys
>>> import vascx_rs.vascx_simplify
>>> sys.modules["vascx_simplify"] = vascx_rs.vascx_simplify

Tensors of torch go in and come out where torch is installed; without it, NumPy arrays that answer to the methods
of tensors which programs call on answers (`.cpu()`, `.numpy()`, `.item()`, …).
"""

from . import _alias, inference, preprocess, utils
from .inference import (
    ClassificationEnsemble,
    EnsembleBase,
    EnsembleSegmentation,
    HeatmapRegressionEnsemble,
    RegressionEnsemble,
    sliding_window_inference,
)
from .preprocess import FundusContrastEnhance, VASCXTransform
from .utils import from_huggingface

__version__ = "0.1.11"

__all__ = [
    "ClassificationEnsemble",
    "EnsembleBase",
    "EnsembleSegmentation",
    "FundusContrastEnhance",
    "HeatmapRegressionEnsemble",
    "RegressionEnsemble",
    "VASCXTransform",
    "from_huggingface",
    "inference",
    "preprocess",
    "sliding_window_inference",
    "utils",
]


_alias.install()
