"""Drawn eyes, and what retinalysis-vascx 2.1.0 measures on them.

    python tools/reference/biomarkers.py OUT [--jobs 2] [--only ID ...] [--sets NAME ...]

Writes, into OUT, a folder in the layout of `vascx run-models` (`artery_vein/`, `vessels/`, `disc/`,
`preprocessed_rgb/` for a few, `fovea.csv`, `bounds.csv`), and into OUT/reference:
`<set>.csv`, the values of `vascx calc-biomarkers --naming canonical` (12 significant digits);
`names_<set>.csv`, both names and both display names of every value; and `refused.csv`, the eyes on
which the package ended with an error, and its last line. Seeds are fixed.

Maps are palette PNGs of 1 or 2 bits, which the package reads as the classes they are. Where
`vessels/` lacks an eye, its artery/vein map is its vessel map, too: all that is not 0. Eyes without
a photograph get a grey one while the package runs; what it measures on that is left out.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

SIDE = 1024
SETS = (
    "full_v3 full_v2 full bergmann sparsity macula_centered macula_centered_rs "
    "od_centered od_centered_rs od_centered_narrow od_centered_narrow_rs"
).split()
# Sets measured on every eye; the others, on every third and those with a photograph, share their
# definitions.
ON_ALL = ("full_v3", "full_v2", "full", "bergmann", "sparsity")
# Measured on the photograph instead of the maps.
ON_PHOTOGRAPHS = ("lapl", "luminance", "sharpness")
CIRCLE = {"hw": (2048, 2048), "center": (1023.5, 1024.25), "radius": 1000.0, "lines": {}}


@dataclass
class Eye:
    """The maps and landmarks of one eye; points are (x, y)."""

    seed: int
    disc_at: tuple[float, float] = (300.0, 505.0)
    disc_radius: float = 62.0
    fovea: tuple[float, float] | None = (610.0, 535.0)
    bounds: dict | str = field(default_factory=lambda: dict(CIRCLE))
    arteries: np.ndarray = field(default_factory=lambda: np.zeros((SIDE, SIDE), bool))
    veins: np.ndarray = field(default_factory=lambda: np.zeros((SIDE, SIDE), bool))
    vessels: np.ndarray | None = None
    disc: np.ndarray | None = None
    photograph: bool = False
    colours: bool = False

    def __post_init__(self):
        self.rng = np.random.default_rng(self.seed)
        if self.disc is None:
            self.disc = ellipse(self.disc_at, self.disc_radius, 1.08 * self.disc_radius)

    def axis(self) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors from the disc to the fovea and across."""
        fovea = self.fovea if self.fovea and np.isfinite(self.fovea).all() else (self.disc_at[0] + 310, self.disc_at[1] + 20)
        along = np.subtract(fovea, self.disc_at)
        along = along / (np.linalg.norm(along) or 1.0)
        return along, np.array((-along[1], along[0]))


def ellipse(centre, rx: float, ry: float) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    return ((x - centre[0]) / rx) ** 2 + ((y - centre[1]) / ry) ** 2 <= 1


def stamp(mask: np.ndarray, points: np.ndarray, radii) -> None:
    """Sets the pixels of discs along a path; radius 0 sets single pixels."""
    radii = np.broadcast_to(radii, len(points))
    for (x, y), radius in zip(points, radii):
        reach = int(radius) + 1
        x0, y0 = max(int(x) - reach, 0), max(int(y) - reach, 0)
        x1, y1 = min(int(x) + reach + 2, SIDE), min(int(y) + reach + 2, SIDE)
        if x1 <= x0 or y1 <= y0:
            continue
        if radius <= 0:
            column, row = round(x), round(y)
            if 0 <= column < SIDE and 0 <= row < SIDE:
                mask[row, column] = True
            continue
        across, down = np.arange(x0, x1) - x, np.arange(y0, y1) - y
        mask[y0:y1, x0:x1] |= np.add.outer(down * down, across * across) <= radius * radius


def line(a, b, step: float = 0.5) -> np.ndarray:
    count = max(int(math.dist(a, b) / step), 1) + 1
    return np.linspace(a, b, count)


@dataclass
class Style:
    """How a vascular tree is drawn."""

    width: float = 9.0
    wiggle: float = 0.9
    side_branches: float = 0.009
    taper: float = 0.9978
    jitter: float = 0.0
    least: float = 2.3
    gap: float = 0.0
    depth: int = 2


def grow(eye: Eye, mask: np.ndarray, at, heading: float, width: float, style: Style, depth: int | None = None,
         pull: Callable | None = None) -> None:
    """A vessel with side branches, step by step, until it is thin or leaves the eye."""
    rng, depth = eye.rng, style.depth if depth is None else depth
    x, y = at
    bend = rng.normal(0, 0.004)
    phase, pace = rng.uniform(0, 2 * math.pi), rng.uniform(0.02, 0.05)
    skip = 0
    since = 0
    for step in range(900):
        turn = bend + style.wiggle * 0.012 * math.sin(phase + pace * step) + rng.normal(0, 0.01) * style.wiggle
        if pull is not None:
            turn += pull(x, y, heading, step)
        heading += turn
        x, y = x + math.cos(heading), y + math.sin(heading)
        width *= style.taper
        if width < style.least or math.dist((x, y), (512, 512)) > 508:
            return
        if skip > 0:
            skip -= 1
        elif style.gap and rng.random() < style.gap:
            skip = int(rng.integers(3, 14))
        else:
            wide = width * (1 + style.jitter * rng.normal())
            stamp(mask, np.array([(x, y)]), max(wide, 0.8) / 2)
        since += 1
        if depth > 0 and since > 14 and rng.random() < style.side_branches:
            side = rng.choice((-1, 1)) * rng.uniform(0.45, 1.2)
            share = rng.uniform(0.45, 0.85)
            grow(eye, mask, (x, y), heading + side, width * share, style, depth - 1)
            heading -= side * 0.3 * share
            width *= (1 - share**3) ** (1 / 3) if share < 0.8 else 0.85
            since = 0


def arcades(eye: Eye, style: Style = Style(), veins: Style | None = None, mains: int = 2) -> None:
    """Temporal arcades around the macula and nasal vessels, arteries and veins side by side."""
    along, across = eye.axis()
    origin = np.array(eye.disc_at)
    base = math.atan2(along[1], along[0])
    for mask, look, shift in ((eye.arteries, style, 0.0), (eye.veins, veins or style, 0.22)):
        for side in (-1, 1):
            for number in range(mains):
                spread = side * (1.15 - 0.45 * number + shift * (1 if number == 0 else -1))
                heading = base + spread
                start = origin + 0.55 * eye.disc_radius * np.array((math.cos(heading), math.sin(heading)))

                def pull(x, y, heading, step, side=side):
                    # Arcades bend back to the axis once they are off it.
                    away = (np.array((x, y)) - origin) @ across * side
                    return -side * 0.0052 if away > 110 and step < 420 else 0.0

                width = look.width * (1.15 if mask is eye.veins else 1.0) * eye.rng.uniform(0.85, 1.1)
                grow(eye, mask, start, heading, width * (0.75 if number else 1), look, pull=pull)
            heading = base + math.pi - side * (0.7 + shift)
            start = origin + 0.55 * eye.disc_radius * np.array((math.cos(heading), math.sin(heading)))
            grow(eye, mask, start, heading, look.width * 0.8, look)


def rays(eye: Eye, count: int, radius: float, length: float, offset: float = 0.0) -> None:
    """Straight vessels of equal length, alternately arteries and veins."""
    origin = np.array(eye.disc_at)
    for number in range(count):
        angle = offset + 2 * math.pi * number / count
        towards = np.array((math.cos(angle), math.sin(angle)))
        mask = eye.arteries if number % 2 == 0 else eye.veins
        path = line(origin + 0.6 * eye.disc_radius * towards, origin + length * towards)
        stamp(mask, path, radius)


def mirrored(eye: Eye) -> None:
    """Both halves equal, so that lengths and widths tie."""
    arcades(eye)
    for name in ("arteries", "veins"):
        half = getattr(eye, name)
        half[512:] = half[511::-1]


def loops(eye: Eye, count: int, radii=(8, 60), width: float = 2.2) -> None:
    """Rings laid over the vessels that are there: loops, parallel edges, crossings."""
    for _ in range(count):
        mask = eye.arteries if eye.rng.random() < 0.5 else eye.veins
        rows, columns = np.nonzero(mask)
        pick = eye.rng.integers(len(rows))
        radius, angle = eye.rng.uniform(*radii), np.arange(0, 2 * math.pi, 0.02)
        ring = np.stack((columns[pick] + radius * np.cos(angle), rows[pick] + radius * np.sin(angle)), 1)
        inside = np.hypot(ring[:, 0] - 512, ring[:, 1] - 512) < 500
        stamp(mask, ring[inside], width)


def lattice(eye: Eye, pitch: int, radius: float) -> None:
    for offset in range(112, 912, pitch):
        stamp(eye.arteries, line((112, offset), (912, offset)), radius)
        stamp(eye.arteries, line((offset, 112), (offset, 912)), radius)
        stamp(eye.veins, line((112, offset + pitch / 2), (912, offset + pitch / 2)), radius)
        stamp(eye.veins, line((offset + pitch / 2, 112), (offset + pitch / 2, 912)), radius)


def speckle(eye: Eye, share: float) -> None:
    for mask in (eye.arteries, eye.veins):
        mask ^= eye.rng.random(mask.shape) < share


def holes(eye: Eye) -> None:
    """Holes of 1…40 pixels, either side of the 25 that are filled."""
    for mask in (eye.arteries, eye.veins):
        rows, columns = np.nonzero(ndimage.distance_transform_edt(mask) > 2.5)
        for pick in eye.rng.integers(len(rows), size=60):
            mask[rows[pick] - 1 : rows[pick] + 2, columns[pick] - 1 : columns[pick] + 2] = False
        for pick in eye.rng.integers(len(rows), size=40):
            centre = (columns[pick], rows[pick])
            around = ellipse(centre, 6.5, 6.5)
            mask |= around & ~ellipse(centre, eye.rng.uniform(1.2, 3.6), 2.8)


def thin(mask: np.ndarray, rng, count: int, straight: bool, origin, reach: float) -> None:
    """Vessels of single pixels, along the axes or in any direction."""
    for number in range(count):
        angle = number * math.pi / 2 if straight else rng.uniform(0, 2 * math.pi)
        shift = rng.integers(-200, 200, size=2) if straight else (0, 0)
        a = np.round(np.add(origin, shift) + 70 * np.array((math.cos(angle), math.sin(angle))))
        b = np.round(a + reach * np.array((math.cos(angle), math.sin(angle))))
        path = line(a, b, 1.0)
        if not straight:
            path = path + 9 * np.sin(np.arange(len(path)) / 25)[:, None] * np.array((-math.sin(angle), math.cos(angle)))
        stamp(mask, path, 0)


def left(seed: int, **options) -> Eye:
    """A left eye: the disc is on the picture's left."""
    rng = np.random.default_rng(1000 + seed)
    disc = (rng.uniform(255, 340), rng.uniform(470, 540))
    distance = rng.uniform(280, 350)
    tilt = rng.uniform(0.02, 0.14)
    fovea = (disc[0] + distance * math.cos(tilt), disc[1] + distance * math.sin(tilt))
    return Eye(seed, **({"disc_at": disc, "fovea": fovea, "disc_radius": rng.uniform(50, 75)} | options))


def right(seed: int, **options) -> Eye:
    eye = left(seed)
    disc = (SIDE - 1 - eye.disc_at[0], eye.disc_at[1])
    fovea = (SIDE - 1 - eye.fovea[0], eye.fovea[1])
    return Eye(seed, **({"disc_at": disc, "fovea": fovea, "disc_radius": eye.disc_radius} | options))


EYES: dict[str, Callable[[], Eye]] = {}


def eye(make):
    EYES[make.__name__] = make
    return make


def plain(name: str, side: Callable, seed: int, style: Style | None = None, extra: Callable | None = None, **options) -> None:
    def make() -> Eye:
        drawn = side(seed, **options)
        arcades(drawn, style or Style())
        if extra:
            extra(drawn)
        return drawn

    EYES[name] = make


def straight_vessel(drawn: Eye) -> None:
    drawn.arteries[:] = drawn.veins[:] = False
    drawn.arteries[430:433, 500:700] = True


def two_pixels(drawn: Eye) -> None:
    drawn.arteries[:] = drawn.veins[:] = False
    drawn.arteries[400, 600:602] = True


def only(layer: str) -> Callable[[Eye], None]:
    def clear(drawn: Eye) -> None:
        getattr(drawn, "veins" if layer == "arteries" else "arteries")[:] = False

    return clear


def all_artery(drawn: Eye) -> None:
    drawn.arteries[:] = True
    drawn.veins[:] = False


def nothing(drawn: Eye) -> None:
    drawn.arteries[:] = drawn.veins[:] = False
    drawn.vessels = np.zeros((SIDE, SIDE), bool)


def other_vessels(drawn: Eye) -> None:
    thick = ndimage.binary_dilation(drawn.arteries | drawn.veins, iterations=2)
    drawn.vessels = thick & (drawn.rng.random(thick.shape) > 0.002)


def disc_debris(drawn: Eye) -> None:
    drawn.disc &= ~ellipse(drawn.disc_at, 14, 9)
    drawn.disc |= ellipse((700, 300), 25, 30) | ellipse((200, 800), 4, 4)


def no_disc(drawn: Eye) -> None:
    drawn.disc[:] = False


def disc_of(size: int) -> Callable[[Eye], None]:
    def draw(drawn: Eye) -> None:
        drawn.disc[:] = False
        x, y = map(int, drawn.disc_at)
        drawn.disc[y : y + size, x : x + size] = True

    return draw


def ragged_disc(drawn: Eye) -> None:
    noise = ndimage.gaussian_filter(drawn.rng.standard_normal((SIDE, SIDE)), 4)
    y, x = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(x - drawn.disc_at[0], y - drawn.disc_at[1])
    drawn.disc = distance < drawn.disc_radius + 90 * noise


plain("left_plain_1", left, 1, photograph=True)
plain("left_plain_2", left, 2)
plain("left_dense", left, 3, Style(side_branches=0.014, width=10, depth=3))
plain("left_sparse", left, 4, Style(side_branches=0.004, depth=1))
plain("right_plain_1", right, 5)
plain("right_plain_2", right, 6)
plain("right_dense", right, 7, Style(side_branches=0.013, depth=3))
plain("right_tortuous", right, 8, Style(wiggle=5.0))
plain("left_tortuous", left, 9, Style(wiggle=7.5, width=7))
plain("straight_trees", left, 10, Style(wiggle=0.1))
plain("narrow", right, 11, Style(width=3.4, least=1.2, taper=0.9985))
plain("wide", left, 12, Style(width=36, taper=0.997, side_branches=0.005, least=5))
plain("noisy_widths", right, 13, Style(jitter=0.25))
plain("very_noisy_widths", left, 14, Style(jitter=0.6, width=7))
plain("broken", left, 15, Style(gap=0.02))
plain("badly_broken", right, 16, Style(gap=0.06))
plain("loops_small", left, 17, extra=lambda e: loops(e, 14, (4, 18)))
plain("loops_large", right, 18, extra=lambda e: loops(e, 18, (20, 90)))
plain("parallel_edges", left, 19, extra=lambda e: loops(e, 40, (6, 12), 1.0))
plain("crossings", right, 20, Style(width=6), extra=lambda e: rays(e, 30, 2.0, 440))
plain("speckled", left, 21, extra=lambda e: speckle(e, 0.0004))
plain("holes", right, 22, extra=holes)
plain("other_vessel_map", left, 23, extra=other_vessels, photograph=True)
plain("three_mains", right, 24, Style(width=7), colours=True)
plain("tilted_up", left, 25, disc_at=(360, 640), fovea=(610, 430))
plain("tilted_down", right, 26, disc_at=(680, 330), fovea=(440, 560))
plain("fovea_below_disc", left, 27, disc_at=(512, 330), fovea=(512.4, 640))
plain("fovea_above_disc", left, 28, disc_at=(520, 700), fovea=(519.6, 395))
plain("disc_centred", left, 29, disc_at=(512, 512), fovea=(800, 530))
plain("macula_centred", right, 30, disc_at=(815, 500), fovea=(512, 515))
plain("disc_at_rim", right, 31, disc_at=(932, 500), fovea=(620, 520))
plain("disc_cut_by_rim", left, 32, disc_at=(35, 505), fovea=(350, 520))
plain("disc_near_rim", left, 33, disc_at=(100, 500), fovea=(400, 520), disc_radius=60)
plain("large_disc", right, 34, disc_radius=120)
plain("small_disc", left, 35, disc_radius=22)
plain("ragged_disc", right, 36, extra=ragged_disc)
plain("disc_with_hole_and_debris", left, 37, extra=disc_debris)
plain("close_fovea", right, 38, disc_at=(640, 500), fovea=(500, 510), disc_radius=40)
plain("lines_top_bottom", left, 39, bounds={
    "hw": (1536, 2048), "center": (1020.25, 770.5), "radius": 930.5,
    "lines": {"top": [[0.0, 3.5], [2047.0, 6.25]], "bottom": [[0.0, 1530.0], [2047.0, 1528.5]]}})
plain("lines_left_right", right, 40, bounds={
    "hw": (2000, 1600), "center": (801.5, 1003.0), "radius": 960.75,
    "lines": {"left": [[20.0, 0.0], [24.5, 1999.0]], "right": [[1580.5, 0.0], [1577.0, 1999.0]]}})
plain("lines_inside", left, 41, bounds=(
    "{'hw': (700, 900), 'center': (np.float64(455.5), np.float64(340.25)), 'radius': np.float64(402.125), "
    "'lines': {'top': [[np.float64(0.0), 55.5], [899.0, np.float64(50.5)]], 'bottom': None} }"
    .replace(", 'bottom': None", "")))
plain("full_frame", right, 42, bounds={"hw": (800, 1000), "center": (500.0, 400.0), "radius": 641.3, "lines": {}})
plain("small_photograph", left, 43, bounds={"hw": (300, 320), "center": (158.0, 149.5), "radius": 141.0, "lines": {}})
plain("fovea_nan", left, 44, fovea=(math.nan, math.nan))
plain("fovea_in_disc", left, 45, fovea=(310.0, 520.0), disc_at=(300, 505))
plain("fovea_outside", left, 46, fovea=(1100.0, 540.0), disc_at=(700, 505))
plain("no_disc", right, 47, extra=no_disc)
plain("disc_of_one_pixel", left, 48, extra=disc_of(1))
plain("disc_of_nine_pixels", left, 49, extra=disc_of(3))
plain("no_veins", left, 50, extra=only("arteries"))
plain("no_arteries", right, 51, extra=only("veins"))
plain("no_vessels", left, 52, extra=nothing)
plain("all_artery", right, 53, extra=all_artery)
plain("straight_vessel", left, 54, extra=straight_vessel)
plain("two_pixels", left, 55, extra=two_pixels)


@eye
def ties_mirrored() -> Eye:
    drawn = Eye(60, disc_at=(300, 511.5), fovea=(620, 511.5))
    mirrored(drawn)
    return drawn


@eye
def ties_rays() -> Eye:
    drawn = Eye(61, disc_at=(400, 500), fovea=(700, 510))
    rays(drawn, 24, 3.0, 300)
    return drawn


@eye
def lattice_wide() -> Eye:
    drawn = Eye(62)
    lattice(drawn, 100, 2.5)
    return drawn


@eye
def lattice_one_pixel() -> Eye:
    drawn = Eye(63)
    lattice(drawn, 64, 0)
    return drawn


@eye
def one_pixel_axes() -> Eye:
    drawn = Eye(64)
    for mask in (drawn.arteries, drawn.veins):
        thin(mask, drawn.rng, 40, True, drawn.disc_at, 180)
    return drawn


@eye
def one_pixel_curves() -> Eye:
    drawn = Eye(65)
    for mask in (drawn.arteries, drawn.veins):
        thin(mask, drawn.rng, 26, False, drawn.disc_at, 420)
    return drawn


@eye
def rings_only() -> Eye:
    """Closed rings that touch nothing: components without an end."""
    drawn = Eye(66)
    for number in range(12):
        mask = drawn.arteries if number % 2 else drawn.veins
        angle = np.arange(0, 2 * math.pi, 0.02)
        centre = (200 + 60 * number, 300 + 150 * (number % 4))
        stamp(mask, np.stack((centre[0] + 40 * np.cos(angle), centre[1] + 40 * np.sin(angle)), 1), 2)
    return drawn


@eye
def wrong_size() -> Eye:
    """Maps of 512² beside a disc of 1024²."""
    drawn = left(67)
    arcades(drawn)
    for name in ("arteries", "veins"):
        setattr(drawn, name, getattr(drawn, name)[::2, ::2])
    return drawn


@eye
def bounds_failed() -> Eye:
    drawn = left(68)
    arcades(drawn)
    drawn.bounds = "{}"
    return drawn


def photograph(drawn: Eye) -> np.ndarray:
    """A plain fundus in few colours: blurred vessels on a gradient, a bright disc."""
    strength = 70 * ndimage.gaussian_filter((drawn.arteries | drawn.veins).astype(np.float32), 1.3)
    strength += 25 * ndimage.gaussian_filter(drawn.veins.astype(np.float32), 1.0)
    y, x = np.mgrid[:SIDE, :SIDE]
    light = 12 * np.cos((x - 512) / 300)
    green = 105 + light + 60 * ndimage.gaussian_filter(drawn.disc.astype(np.float32), 4) - strength
    green = (green // 9 * 9).clip(0, 255)
    return np.stack((np.minimum(1.6 * green + 20, 255), green, green // 2), 2).astype(np.uint8)


def save(drawn: Eye, name: str, out: Path) -> None:
    # Palette images keep the classes as they are; grey ones of 2 bits would be scaled to 0…255.
    both = drawn.arteries.astype(np.uint8) + 2 * drawn.veins.astype(np.uint8)
    colours = [0, 0, 0, 255, 0, 0, 0, 0, 255, 0, 255, 0]
    if drawn.colours:
        planes = (both == 1, both == 3, both == 2)
        Image.fromarray(np.stack(planes, 2).astype(np.uint8) * 255).save(out / "artery_vein" / f"{name}.png", optimize=True)
    else:
        picture = Image.frombytes("P", both.shape[::-1], both.tobytes())
        picture.putpalette(colours)
        picture.save(out / "artery_vein" / f"{name}.png", bits=2, optimize=True)
    if drawn.vessels is not None or drawn.colours:
        vessels = drawn.arteries | drawn.veins if drawn.vessels is None else drawn.vessels
        Image.fromarray(vessels).save(out / "vessels" / f"{name}.png", optimize=True)
    Image.fromarray(drawn.disc).save(out / "disc" / f"{name}.png", optimize=True)
    if drawn.photograph:
        Image.fromarray(photograph(drawn)).save(out / "preprocessed_rgb" / f"{name}.png", optimize=True)


def draw(out: Path, names: list[str]) -> set[str]:
    """Writes the folder; returns the eyes that have a photograph."""
    for folder in ("artery_vein", "vessels", "disc", "preprocessed_rgb"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    seen = set()
    with (out / "fovea.csv").open("w", newline="") as fovea, (out / "bounds.csv").open("w", newline="") as bounds:
        fovea, bounds = csv.writer(fovea, lineterminator="\n"), csv.writer(bounds, lineterminator="\n")
        fovea.writerow(("", "x_fovea", "y_fovea"))
        bounds.writerow(("id", "success", "bounds"))
        for name in names:
            drawn = EYES[name]()
            save(drawn, name, out)
            point = ("" if math.isnan(value) else repr(float(value)) for value in drawn.fovea)
            fovea.writerow((name, *point))
            bounds.writerow((name, drawn.bounds != "{}", drawn.bounds))
            if drawn.photograph:
                seen.add(name)
    return seen


def package(arguments: list[str], folder: Path) -> subprocess.CompletedProcess:
    program = Path(sys.executable).with_name("vascx")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    return subprocess.run([program, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def subset(folder: Path, work: Path, names: list[str]) -> Path:
    """A copy of the folder with these eyes alone, grey photographs where there are none."""
    part = Path(tempfile.mkdtemp(dir=work))
    grey = Image.new("RGB", (SIDE, SIDE), (128, 128, 128))
    for kind in ("artery_vein", "vessels", "disc", "preprocessed_rgb"):
        (part / kind).mkdir()
        for name in names:
            source = folder / kind / f"{name}.png"
            if source.exists():
                shutil.copy(source, part / kind)
            elif kind == "vessels":
                shutil.copy(folder / "artery_vein" / f"{name}.png", part / kind)
            else:
                grey.save(part / kind / f"{name}.png")
    for table in ("fovea.csv", "bounds.csv"):
        shutil.copy(folder / table, part)
    return part


def measure(folder: Path, work: Path, name: str, eyes: list[str]) -> tuple[list[dict], dict[str, str]]:
    """A set's rows, and the eyes that end the package, found by halving."""
    part = subset(folder, work, eyes)
    arguments = ["calc-biomarkers", str(part), str(part / "report"), "--feature-set", name,
                 "--n-jobs", "1", "--no-report", "--naming", "canonical"]
    done = package(arguments, part)
    if done.returncode == 0:
        with (part / "report" / "biomarkers.csv").open(newline="") as table:
            return list(csv.DictReader(table)), {}
    if len(eyes) == 1:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        return [], {eyes[0]: lines[-1] if lines else f"exit {done.returncode}"}
    half = len(eyes) // 2
    rows, refused = [], {}
    for share in (eyes[:half], eyes[half:]):
        more, bad = measure(folder, work, name, share)
        rows += more
        refused |= bad
    return rows, refused


def shortened(column: str, value: str, seen: bool) -> str:
    if not value or (not seen and any(token in column for token in ON_PHOTOGRAPHS)):
        return ""
    return f"{float(value):.12g}"


def names_table(work: Path, name: str) -> list[tuple[str, ...]]:
    tables = {}
    for naming in ("resolved", "canonical"):
        file = work / f"{name}_{naming}.csv"
        package(["write-mapping", str(file), "--feature-set", name, "--naming", naming], work)
        with file.open(newline="") as table:
            tables[naming] = [(row["variable"], row["display_name"]) for row in csv.DictReader(table)]
    return [(a[0], b[0], a[1], b[1]) for a, b in zip(tables["resolved"], tables["canonical"])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=sorted(EYES))
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--draw-only", action="store_true")
    options = parser.parse_args()
    seen = draw(options.out, options.only)
    if options.draw_only:
        return
    reference = options.out / "reference"
    reference.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        # What ends the package ends it for every set, before anything is measured.
        _, refused = measure(options.out, work, "bergmann", options.only)
        with (reference / "refused.csv").open("w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(("id", "error"))
            table.writerows(sorted(refused.items()))
        eyes = [name for name in options.only if name not in refused]
        some = [name for number, name in enumerate(eyes) if number % 3 == 0 or name in seen]

        def one(name: str) -> None:
            rows, more = measure(options.out, work, name, eyes if name in ON_ALL else some)
            assert not more, more
            columns = list(rows[0])
            with (reference / f"{name}.csv").open("w", newline="") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerow(columns)
                for row in rows:
                    table.writerow([row["id"], *(shortened(c, row[c], row["id"] in seen) for c in columns[1:])])
            with (reference / f"names_{name}.csv").open("w", newline="") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerow(("resolved", "canonical", "display_resolved", "display_canonical"))
                table.writerows(names_table(work, name))
            print(f"{name}: {len(rows)} eyes, {len(columns) - 1} values", flush=True)

        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(one, options.sets))


if __name__ == "__main__":
    main()
