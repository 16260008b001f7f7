"""Names the normalisation in the demo models' configurations; weights and programs keep their bytes.

    python tools/demo/name_normalisation.py weights/demo/*.pt

The models were first saved with `"normalize": true`, which retinalysis-inference refuses: it wants
the name of one. `train.py` writes the name by itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from reference.release import rewrite_config  # noqa: E402


def named(config: dict) -> dict:
    transform = config["datamodule"]["test_transform"]
    if transform.get("normalize") is True:
        transform["normalize"] = "imagenet"
    return config


if __name__ == "__main__":
    for path in sys.argv[1:]:
        rewrite_config(Path(path), named)
