"""Decoded pixels and their speed: this program's against Pillow's or pydicom's.

    cargo build --release --example decode
    python tools/compare/pictures.py FILES [--decode target/release/examples/decode] [--repeat 3] [--each]
    python tools/compare/pictures.py --pydicom [--each]

The witness of an image file is `PIL.Image.open(file).convert("RGB")`, upright; that of a DICOM file
(`--pydicom`: all that pydicom brings for its own tests) is `pixel_array`, brought to 8-bit RGB where it
is not (grey inverted for MONOCHROME1, more than 8 bits through the modality table and the window or
the whole range, palettes applied). Needs Pillow, pydicom, pylibjpeg with its plugins.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parents[2]


def pillow(path: Path) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))


def dicom(path: Path) -> np.ndarray:
    import pydicom
    from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_windowing
    data = pydicom.dcmread(path, force=True)
    if data.file_meta.get("TransferSyntaxUID") == pydicom.uid.JPEGBaseline8Bit:
        # With libjpeg-turbo inside; the other decoders are off by a level or two.
        data.pixel_array_options(decoding_plugin="pillow")
    pixels = data.pixel_array
    kind = data.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        rgb = apply_color_lut(pixels, data)
        return (rgb >> 8 if rgb.dtype == np.uint16 else rgb)[..., :3].astype(np.uint8)
    if pixels.ndim == 3:
        if pixels.dtype == np.uint16:
            pixels = (pixels.astype(np.uint32) + 128) // 257
        return pixels.astype(np.uint8)
    if pixels.dtype != np.uint8 or data.BitsStored != 8:
        signed = data.PixelRepresentation == 1
        ends = (-(2 ** (data.BitsStored - 1)), 2 ** (data.BitsStored - 1) - 1) if signed else (0, 2**data.BitsStored - 1)
        slope, intercept = float(data.get("RescaleSlope", 1)), float(data.get("RescaleIntercept", 0))
        low, high = (end * slope + intercept for end in ends)
        values = apply_modality_lut(pixels, data)
        if "WindowCenter" in data:
            values = apply_windowing(values, data)
        pixels = np.clip(np.floor((values - low) / (high - low) * 255 + 0.5), 0, 255)
    grey = pixels.astype(np.uint8)
    grey = 255 - grey if kind == "MONOCHROME1" else grey
    return np.repeat(grey[..., None], 3, -1)


def pydicom_files() -> list[Path]:
    """Every file of pydicom's own tests that holds pixels."""
    import pydicom
    folder = Path(pydicom.__file__).parent / "data"
    files = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix in (".py", ".json", ".xml", ".txt", ".md", ".zip", ".npy"):
            continue
        try:
            if "PixelData" in pydicom.dcmread(path, force=True):
                files.append(path)
        except Exception:  # No DICOM file at all.
            continue
    return files


def decode(program: str, files: list[Path], out: Path) -> dict[Path, tuple[float, np.ndarray] | str]:
    """Seconds and pixels, or the reason, per file; each in a folder of its own, for names may repeat."""
    answers = {}
    for index, path in enumerate(files):
        folder = out / str(index)
        run = subprocess.run([program, folder, path], capture_output=True, text=True, check=True)
        fields = run.stdout.rstrip("\n").split("\t")
        if len(fields) == 4:
            answers[path] = (float(fields[3]), np.asarray(Image.open(folder / f"{path.name}.png")))
        else:
            answers[path] = fields[1].rsplit(f"{path.name}: ", 1)[-1]
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--pydicom", action="store_true")
    parser.add_argument("--decode", default=str(ROOT / "target/release/examples/decode"))
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--each", action="store_true", help="also print a row for every equal file")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    files = pydicom_files() if options.pydicom else options.files
    witness = dicom if options.pydicom else pillow
    results, seconds = Counter(), []
    print("| file | result | largest difference | values that differ |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as out:
        for path, answer in decode(options.decode, files, Path(out)).items():
            try:
                began = time.perf_counter()
                expected = witness(path)
                theirs = time.perf_counter() - began
            except Exception as error:  # The witness refuses the file, in whatever way.
                expected, theirs = f"{type(error).__name__}: {error}".splitlines()[0][:90], 0.0
            row = None
            if isinstance(answer, str):
                result = "refused by both" if isinstance(expected, str) else "refused here"
                row = f"{result}: {answer}"
            elif isinstance(expected, str):
                result = "refused by the witness"
                row = f"{result}: {expected}"
            elif answer[1].shape != expected.shape:
                result = row = f"of another size: {answer[1].shape} {expected.shape}"
            else:
                difference = np.abs(answer[1].astype(int) - expected)
                result = "equal" if difference.max() == 0 else "different"
                if result == "different" or options.each:
                    row = f"{result} | {difference.max()} | {100 * (difference > 0).mean():.3f} %"
                seconds.append((answer[0], theirs))
            results[result] += 1
            if row:
                print(f"| {path.name} | {row} |" + ("" if row.count("|") == 2 else " | |"))
    print("\n" + ", ".join(f"{count} {result}" for result, count in results.items()))
    if options.repeat > 1:
        print("\n| file | here, s | witness, s | ratio |\n|---|---|---|---|")
        for path in files:
            ours, theirs = [], []
            for _ in range(options.repeat):
                with tempfile.TemporaryDirectory() as out:
                    answer = decode(options.decode, [path], Path(out))[path]
                began = time.perf_counter()
                witness(path)
                theirs.append(time.perf_counter() - began)
                ours.append(answer[0])
            ours, theirs = statistics.median(ours), statistics.median(theirs)
            print(f"| {path.name} | {ours:.4f} | {theirs:.4f} | {ours / theirs:.2f} |")


if __name__ == "__main__":
    main()
