"""Preprocessing, under the names of vascx_simplify 0.1.11."""

from .contrast import FundusContrastEnhance, SimpleFundusEnhance, simple_fundus_enhance
from .transform import VASCXTransform

__all__ = ["FundusContrastEnhance", "SimpleFundusEnhance", "VASCXTransform", "simple_fundus_enhance"]
