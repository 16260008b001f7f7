"""Synthetic retinal vessel trees: growth in eye coordinates, drawing in pixels.

Eye coordinates: the centre of the optic disc is (0, 0), the fovea is (1, 0), +y is superior. One
unit is the distance from disc to fovea (about 4.5 mm). Radii are half calibres in the same unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

ARTERY, VEIN = 1, 2
FOVEAL_ZONE = 0.17  # avascular radius around the fovea
REACH = 3.2  # vessels farther than this from the disc are never in a photograph
STEP = 0.025  # spacing of centreline points
CELL = 0.035  # grid that keeps vessels of one kind apart
MAX_VESSELS = 300
# Narrower vessels (diameter in eye units, two pixels of a 768² crop) are drawn, but nobody would
# mark them: they are not in the truth.
NARROWEST_MARKED = 0.0075


@dataclass
class Vessel:
    """Centreline `points` `[n, 2]`, half calibres `radii` `[n]`, relative pigment density."""

    kind: int
    points: np.ndarray
    radii: np.ndarray
    density: float


@dataclass
class Layers:
    """Rasters of the vessels, each `[h, w]` f32 in [0, 1]."""

    artery_path: np.ndarray  # optical path through blood, 1 in the middle of a large artery
    vein_path: np.ndarray
    artery_cover: np.ndarray  # part of the pixel that lies inside an artery
    vein_cover: np.ndarray
    reflex: np.ndarray  # bright streak along the middle of the vessel


def _temporal_route(rng: np.random.Generator, height: float, end: float, inner: float) -> np.ndarray:
    """Control points of a superior temporal arcade, displaced by `inner`, `[8, 2]`."""
    route = np.array([
        (0, 0), (0, 0.16), (0.17, 0.45 + inner), (0.55, 0.7 + inner), (1.05, 0.8 + inner),
        (1.6, 0.76 + 0.4 * end), (2.2, 0.68 + end), (3.0, 0.7 + 2 * end),
    ])
    route[1:, 1] *= height
    route[2:] += rng.normal(0, 0.045, (6, 2))
    return route


def _radial_route(rng: np.random.Generator, degrees: float) -> np.ndarray:
    """Control points of a vessel that leaves the disc at an angle (90 is superior), `[7, 2]`."""
    distance = np.array([0, 0.15, 0.45, 0.9, 1.5, 2.2, 3.0])
    angle = math.radians(degrees) + np.linspace(-0.25, 0.15, 7) * rng.uniform(-1, 1)
    route = np.stack([distance * np.cos(angle), distance * np.sin(angle)], 1)
    route[2:] += rng.normal(0, 0.035, (5, 2))
    return route


def _trunks(rng: np.random.Generator) -> list[tuple[int, float, np.ndarray]]:
    """(kind, relative calibre, control points) of the vessels that leave the disc."""
    trunks = []
    for mirror in (1.0, -1.0):
        height, end = rng.uniform(0.8, 1.2), rng.uniform(-0.25, 0.45)
        nasal = rng.uniform(105, 155)
        half, side = [], rng.choice((-1, 1))
        for kind in (ARTERY, VEIN):
            side = -side  # artery and vein run beside each other
            route = _temporal_route(rng, height, end, side * rng.uniform(0.03, 0.13))
            half.append((kind, rng.uniform(0.8, 1.0), route))
            angle = nasal + side * rng.uniform(4, 16)
            half.append((kind, rng.uniform(0.45, 0.8), _radial_route(rng, angle)))
            if rng.random() < 0.5:
                half.append((kind, rng.uniform(0.4, 0.7), _radial_route(rng, rng.uniform(65, 110))))
        trunks += [(kind, calibre, route * (1, mirror)) for kind, calibre, route in half]
    for _ in range(rng.integers(1, 5)):
        kind = int(rng.integers(1, 3))
        trunks.append((kind, rng.uniform(0.25, 0.5), _radial_route(rng, rng.uniform(145, 215))))
    for _ in range(rng.integers(1, 5)):  # small vessels from the disc towards the macula
        kind, slope = int(rng.integers(1, 3)), rng.uniform(-0.6, 0.6)
        route = np.array([(0, 0), (0.2, 0.25 * slope), (0.45, 0.5 * slope), (0.78, 0.3 * slope)])
        trunks.append((kind, rng.uniform(0.2, 0.35), route + rng.normal(0, 0.02, route.shape)))
    return trunks


def _resample(route: np.ndarray) -> np.ndarray:
    """Smooth curve through control points (Catmull-Rom), points about `STEP` apart, `[n, 2]`."""
    p = np.concatenate([2 * route[:1] - route[1:2], route, 2 * route[-1:] - route[-2:-1]])
    t = np.linspace(0, 1, 12, endpoint=False)[:, None]
    pieces = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2
               + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:])
    ]
    curve = np.concatenate([*pieces, route[-1:]])
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    at = np.linspace(0, length[-1], max(4, int(length[-1] / STEP)))
    return np.stack([np.interp(at, length, curve[:, axis]) for axis in (0, 1)], 1)


def _wiggle(rng: np.random.Generator, points: np.ndarray, strength: float) -> np.ndarray:
    """Displaces a curve sideways by a few random waves; the start stays where it is."""
    tangent = np.gradient(points, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    normal /= np.maximum(np.hypot(*normal.T), 1e-9)[:, None]
    along = np.arange(len(points)) * STEP
    shift = np.zeros(len(points))
    for wavelength in rng.uniform(0.12, 0.7, 4):
        amplitude = strength * rng.normal(0, 1) * min(wavelength, 0.35)
        shift += amplitude * np.sin(2 * np.pi * along / wavelength + rng.uniform(0, 6.3))
    return points + normal * (shift * np.clip(along / 0.25, 0, 1))[:, None]


def _cells(points: np.ndarray) -> set[tuple[int, int]]:
    """Cells of a square grid that a curve passes through."""
    return set(map(tuple, np.floor(points / CELL).astype(int).tolist()))


def _grow(rng, start: np.ndarray, angle: float, length: float, taken: set) -> np.ndarray:
    """Random walk with inertia that turns to the fovea inside the arcades, outwards elsewhere.

    It ends before the avascular zone and before cells taken by vessels of its own kind.
    """
    x, y = start
    inside = 0.25 < x < 2.1 and abs(y) < 0.95
    points, curl = [(x, y)], rng.normal(0, 0.03)
    for _ in range(int(length / STEP)):
        dx, dy = 1 - x, -y
        distance = math.hypot(dx, dy)
        if (distance < FOVEAL_ZONE and inside) or math.hypot(x, y) > REACH:
            break
        goal = math.atan2(dy, dx) if inside else math.atan2(y, x)
        turn = math.remainder(goal - angle, 2 * math.pi)
        angle += 0.045 * turn + curl + rng.normal(0, 0.07)
        x, y = x + STEP * math.cos(angle), y + STEP * math.sin(angle)
        if len(points) > 3 and (math.floor(x / CELL), math.floor(y / CELL)) in taken:
            break
        points.append((x, y))
    return np.array(points)


def grow_trees(rng: np.random.Generator, disc_radius: float) -> list[Vessel]:
    """All vessels of one eye; `disc_radius` in eye units sets the calibres."""
    largest = {VEIN: disc_radius * rng.uniform(0.062, 0.098)}
    largest[ARTERY] = largest[VEIN] * rng.uniform(0.68, 0.9)
    smallest = 0.0028
    tortuosity = {kind: rng.gamma(2.0, 0.007) for kind in (ARTERY, VEIN)}
    tilt = math.radians(rng.uniform(-8, 8))
    spin = np.array([[math.cos(tilt), math.sin(tilt)], [-math.sin(tilt), math.cos(tilt)]])
    branching = rng.uniform(0.13, 0.26)
    taken: dict[int, set] = {ARTERY: set(), VEIN: set()}

    vessels: list[Vessel] = []
    queue = []
    for kind, calibre, route in _trunks(rng):
        exit_point = rng.normal(0, 0.25 * disc_radius, 2) * (0.5, 1)
        points = _resample(route @ spin)
        points = points + exit_point * np.exp(-np.hypot(*points.T) / 0.25)[:, None]
        queue.append((kind, points, largest[kind] * calibre, 0))
    while queue and len(vessels) < MAX_VESSELS:
        kind, points, radius, depth = queue.pop(0)
        strength = tortuosity[kind] * (1 + 0.5 * depth) * (3 if rng.random() < 0.06 else 1)
        points = _wiggle(rng, points, strength)
        taken[kind] |= _cells(points)
        radii = np.empty(len(points))
        next_branch = (0.25 if depth == 0 else 0.07) + rng.exponential(branching * 0.7)
        side = rng.choice((-1, 1))
        for index, point in enumerate(points):
            radii[index] = radius
            radius *= 0.9985 if depth == 0 else 0.994
            if index * STEP < next_branch or index + 2 >= len(points):
                continue
            next_branch = index * STEP + rng.exponential(branching) + 0.04
            share = rng.uniform(0.25, 0.62) if rng.random() < 0.75 else rng.uniform(0.6, 0.85)
            child = max(radius * share, smallest * rng.uniform(0.7, 1.3))
            if child > 0.93 * radius or depth >= 5:
                continue
            heading = math.atan2(*(points[index + 1] - point)[::-1])
            side = -side if rng.random() < 0.65 else side
            angle = heading + side * math.radians(rng.uniform(30, 80) * (1.25 - 0.6 * share))
            length = rng.uniform(0.4, 1.6) * (child / largest[VEIN]) ** 0.55
            radius = max((radius**3 - child**3) ** (1 / 3), smallest)  # Murray's law
            grown = _grow(rng, point, angle, max(length, 0.1), taken[kind])
            if len(grown) > 3:
                queue.append((kind, grown, child, depth + 1))
        vessels.append(Vessel(kind, points, radii, rng.uniform(0.8, 1.1)))
    return vessels


def rasterise(vessels, to_pixels, unit: float, shape: tuple[int, int], density_radius: float):
    """Draws the vessels super-sampled.

    `to_pixels` maps eye points `[n, 2]` to pixels (x, y); `unit` is pixels per eye unit;
    `density_radius` (eye units) is the half calibre at which the blood column looks dark.
    """
    h, w = shape
    factor = 3 if max(h, w) <= 900 else 2
    size = (w * factor, h * factor)
    ordered = sorted(vessels, key=lambda v: float(v.radii[0]))
    canvases = {name: Image.new("L", size) for name in ("path1", "path2", "cover1", "cover2", "reflex")}
    pens = {name: ImageDraw.Draw(canvas) for name, canvas in canvases.items()}
    strokes = []
    for vessel in ordered:
        pixels = to_pixels(vessel.points) * factor
        for first in range(0, len(pixels) - 1, 3):
            piece = pixels[first : first + 4]
            x, y = piece.T
            if x.max() < 0 or y.max() < 0 or x.min() > size[0] or y.min() > size[1]:
                continue
            radius = float(vessel.radii[first : first + 4].mean())
            blood = (1 - math.exp(-1.2 * radius / density_radius)) * vessel.density / 0.9
            # Narrower than 1.4 px a vessel only gets fainter, not thinner.
            diameter = 2 * radius * unit
            fade = min(1.0, diameter / 1.4)
            flat = [tuple(p) for p in piece.tolist()]
            strokes.append((vessel.kind, flat, max(diameter, 1.4) * factor, blood * fade, diameter))
    for share, level in ((1.0, 0.55), (0.78, 0.85), (0.5, 1.0)):
        for kind, flat, width, blood, _ in strokes:
            pens[f"path{kind}"].line(
                flat, fill=int(min(255, 255 * blood * level)), width=max(1, round(width * share)))
    for kind, flat, width, _, diameter in strokes:
        if diameter > 0.9 and diameter > NARROWEST_MARKED * unit:
            pens[f"cover{kind}"].line(flat, fill=255, width=max(1, round(width)))
        if diameter > 2.5:
            fill = 255 if kind == ARTERY else 110
            pens["reflex"].line(flat, fill=fill, width=max(1, round(0.28 * width)))
    layers = {
        name: np.asarray(canvas.reduce(factor), np.float32) / 255 for name, canvas in canvases.items()
    }
    return Layers(layers["path1"], layers["path2"], layers["cover1"], layers["cover2"], layers["reflex"])
