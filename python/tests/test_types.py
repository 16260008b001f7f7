"""The package's types hold, for those who write programs with it."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

USER = """
from pathlib import Path
import numpy as np
import vascx_rs

model = vascx_rs.SegmentationEnsemble.load("av.pt", "cpu", dtype="bf16")
answer: vascx_rs.Segmentation = model.predict(Path("a.png"))
answers: list[vascx_rs.Segmentation] = model.predict([b"", "b.png"], batch_size=2)
pixels: np.ndarray[tuple[int, int], np.dtype[np.uint8]] = answer.class_map
for each in vascx_rs.HeatmapEnsemble.load("fovea.pt").predict_iter(np.zeros((2, 8, 8, 3), np.uint8)):
    x: float = each.points[0, 0]
"""


@pytest.mark.parametrize("checker", [["mypy", "--strict"], ["pyright", "--pythonpath", sys.executable]])
def test_a_users_program_is_typed(checker, tmp_path):
    if find_spec(checker[0]) is None:
        pytest.skip(f"{checker[0]} is not installed")
    program = tmp_path / "user.py"
    program.write_text(USER)
    package = Path(__import__("vascx_rs").__file__).parent
    for what in (program, package):
        done = subprocess.run(
            [sys.executable, "-m", *checker, str(what)], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout + done.stderr
    program.write_text(USER.replace("points[0, 0]", "class_map"))
    done = subprocess.run([sys.executable, "-m", *checker, str(program)], capture_output=True, text=True)
    assert done.returncode != 0
