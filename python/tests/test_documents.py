"""The examples in the documents run as they are written, one after the other."""

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from conftest import PHOTOGRAPHS, REPOSITORY, model


@pytest.mark.parametrize("document", ["README.md", "python/README.md", "docs/python.md"])
def test_examples_run(document, tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", (REPOSITORY / document).read_text("utf-8"), re.M | re.S)
    assert blocks
    program = "\n".join(blocks)
    for package in ("pandas", "pyarrow"):
        if package in program and find_spec(package) is None:
            pytest.skip(f"{document} uses {package}, which is not installed")
    # Where the reader is: in the repository, with photographs and models of their own.
    for name in ("weights", "examples"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    (tmp_path / "photographs").mkdir()
    for photograph in sorted(PHOTOGRAPHS.iterdir())[-2:]:
        (tmp_path / "photographs" / photograph.name).symlink_to(photograph)
    for name, role in (("av", "artery_vein"), ("disc", "disc"), ("fovea", "fovea"), ("quality", "quality")):
        (tmp_path / f"{name}.pt").symlink_to(model(role))
    given = "paths = ['examples/images/macula_centred_right.png', 'nowhere.png']\n"
    run = [sys.executable, "-W", "error", "-c", given + program]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_notebook_runs(tmp_path):
    for package in ("nbclient", "ipykernel", "matplotlib"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    notebook = REPOSITORY / "python" / "examples" / "photographs_to_plot.ipynb"
    # A process of its own, as Jupyter's packages have warnings of their own.
    program = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, resources={"metadata": {"path": sys.argv[2]}}).execute()
pictures = [output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]
assert len(pictures) == 2, pictures
"""
    # Its paths are the repository's; what it writes stays here.
    for name in ("weights", "examples"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    run = [sys.executable, "-c", program, str(notebook), str(tmp_path)]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
