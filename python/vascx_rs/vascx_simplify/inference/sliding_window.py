"""Windows over images, through any predictor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._tensors import to_numpy, to_tensor


def _starts(length: int, window: int, stride: int) -> list[int]:
    starts = list(range(0, length - window + 1, stride))
    if starts[-1] + window < length:
        starts.append(length - window)
    return starts


def _importance(window: tuple[int, int], mode: str) -> np.ndarray:
    if mode == "constant":
        return np.ones(window, np.float32)
    if mode != "gaussian":
        raise ValueError(f"mode is gaussian or constant, not {mode!r}")

    def bell(size: int) -> np.ndarray:
        return np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / (0.125 * size)) ** 2)

    return np.outer(bell(window[0]), bell(window[1])).astype(np.float32)


def sliding_window_inference(
    inputs: Any,
    roi_size: tuple[int, int],
    sw_batch_size: int,
    predictor: Callable[[Any], Any],
    overlap: float = 0.5,
    mode: str = "gaussian",
) -> Any:
    """A predictor's answers for images larger than it takes, blended where windows overlap.

    Args:
        inputs: `[N, C, H, W]`.
        roi_size: height and width of the windows.
        sw_batch_size: windows at once.
        predictor: from `[n, C, h, w]` to `[n, K, h, w]`, or `[M, n, K, h, w]` of M members.
        overlap: of neighbouring windows, as a share of their sides.
        mode: `gaussian` weights the middle of windows most, `constant` all alike.

    Returns:
        `[N, K, H, W]`, or `[M, N, K, H, W]`.
    """
    images = to_numpy(inputs)
    count, _, height, width = images.shape
    pad = [max(0, window - side) for window, side in zip(roi_size, (height, width))]
    before = [amount // 2 for amount in pad]
    around = [(0, 0), (0, 0)] + [(first, all_ - first) for first, all_ in zip(before, pad)]
    padded = np.pad(images, around)
    strides = [max(1, int(window * (1 - overlap))) for window in roi_size]
    rows = _starts(padded.shape[2], roi_size[0], strides[0])
    columns = _starts(padded.shape[3], roi_size[1], strides[1])
    places = [(image, y, x) for image in range(count) for y in rows for x in columns]
    weights = _importance(roi_size, mode)
    total = np.zeros(padded.shape[2:], np.float32)
    for y in rows:
        for x in columns:
            total[y : y + roi_size[0], x : x + roi_size[1]] += weights
    blended: np.ndarray | None = None
    for begin in range(0, len(places), sw_batch_size):
        batch = places[begin : begin + sw_batch_size]
        windows = [padded[i, :, y : y + roi_size[0], x : x + roi_size[1]] for i, y, x in batch]
        answer = to_numpy(predictor(to_tensor(np.stack(windows), like=inputs)))
        if blended is None:
            shape = (*answer.shape[:-4], count, answer.shape[-3], *padded.shape[2:])
            blended = np.zeros(shape, np.float32)
        for index, (image, y, x) in enumerate(batch):
            part = blended[..., image, :, y : y + roi_size[0], x : x + roi_size[1]]
            part += answer[..., index, :, :, :] * weights
    assert blended is not None
    blended /= total
    top, left = before
    return to_tensor(blended[..., top : top + height, left : left + width], like=inputs)
