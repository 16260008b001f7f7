"""Models of the Hugging Face hub."""

import os

from ... import _native


def from_huggingface(modelstr: str) -> str:
    """Path of a file of the hub, `owner/repository:path/to/file`, from the hub's cache or fetched into it."""
    return os.fspath(_native.locate(modelstr))
