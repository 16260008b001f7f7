"""The demonstration models and photographs of the repository."""

from pathlib import Path

import pytest

import vascx_rs

REPOSITORY = Path(__file__).parents[2]
PHOTOGRAPHS = REPOSITORY / "examples" / "images"


@pytest.fixture(scope="session")
def photographs() -> list[Path]:
    return sorted(PHOTOGRAPHS.iterdir())


@pytest.fixture(scope="session")
def right() -> Path:
    return PHOTOGRAPHS / "macula_centred_right.png"


def model(name: str) -> Path:
    return REPOSITORY / "weights" / "demo" / f"{name}.pt"


@pytest.fixture(scope="session")
def disc() -> vascx_rs.SegmentationEnsemble:
    return vascx_rs.SegmentationEnsemble.load(model("disc"))


@pytest.fixture(scope="session")
def fovea() -> vascx_rs.HeatmapEnsemble:
    return vascx_rs.HeatmapEnsemble.load(model("fovea"))


@pytest.fixture(scope="session")
def quality() -> vascx_rs.ClassificationEnsemble:
    return vascx_rs.ClassificationEnsemble.load(model("quality"))
