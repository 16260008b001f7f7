"""Synthetic colour fundus photographs with ground truth for four tasks.

`generate(seed)` is deterministic. Colours are linear factors on f32 images `[h, w, 3]` in [0, 1];
points are (x, y) in pixels with the centre of the first pixel at (0.5, 0.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from defects import add_sensor, degrade
from vessels import grow_trees, rasterise

HELD_OUT_SEED = 1_000_000  # training uses seeds below, held-out sets this and above

# Mean background colours (0–255) of cameras and fundi: orange, brown, red, pale, greenish, grey.
BASE_COLOURS = np.array([
    (210, 101, 55), (120, 61, 18), (198, 63, 38), (190, 128, 88), (150, 118, 62), (148, 110, 92),
    (172, 84, 34), (225, 120, 70), (105, 48, 22), (180, 90, 70), (235, 105, 45), (140, 62, 28),
], np.float32)


@dataclass
class Field:
    """The field of view: circle (pixels) and the visible rectangle x0, y0, x1, y1 (pixels)."""

    centre: tuple[float, float]
    radius: float
    rectangle: tuple[int, int, int, int]


@dataclass
class Photograph:
    """`image` u8 `[h, w, 3]`; maps u8 `[h, w]`; fovea in pixels; grade 0 good, 1 usable, 2 bad."""

    image: np.ndarray
    artery_vein: np.ndarray  # 0 background, 1 artery, 2 vein, 3 both
    disc: np.ndarray
    fovea: tuple[float, float]
    grade: int
    field: Field


def smooth_noise(rng, shape: tuple[int, int], cell: float) -> np.ndarray:
    """Noise of unit variance whose features are about `cell` pixels wide, f32 `[h, w]`."""
    h, w = shape
    coarse = rng.standard_normal((max(2, int(h / cell) + 2), max(2, int(w / cell) + 2)))
    coarse = Image.fromarray(coarse.astype(np.float32))
    return 1.35 * np.asarray(coarse.resize((w, h), Image.BICUBIC))


def _texture(rng, shape: tuple[int, int], radius: float) -> np.ndarray:
    """Relative brightness of pigment, choroid and nerve fibres, f32 `[h, w, 3]` around 1."""
    strength = rng.gamma(2.0, 0.006)
    fine = sum(smooth_noise(rng, shape, radius * cell) * share
               for cell, share in ((0.008, 0.7), (0.02, 0.8), (0.06, 1.0)))
    broad = smooth_noise(rng, shape, radius * 0.25) * rng.uniform(0.01, 0.07)
    texture = np.stack([strength * k * fine + broad for k in (0.7, 1.0, 1.1)], -1)
    texture += np.stack([smooth_noise(rng, shape, radius * 0.4) * 0.025 for _ in range(3)], -1)
    if rng.random() < 0.4:  # choroidal vessels: broad winding stripes
        warp = smooth_noise(rng, shape, radius * rng.uniform(0.07, 0.2))
        stripes = np.exp(-((warp / 0.5) ** 2)) - 0.5
        window = np.clip(smooth_noise(rng, shape, radius * 0.5) + 0.3, 0, 1)
        sign = rng.choice((-1, 1))
        texture += (sign * rng.uniform(0.03, 0.12) * stripes * window)[..., None] * np.array(
            (0.8, 1.0, 0.6), np.float32)
    return 1 + texture


def _lesions(rng, scene: np.ndarray, fovea, unit: float) -> None:
    """Paints drusen, exudates, haemorrhages and pigment spots into the scene (in place)."""
    h, w = scene.shape[:2]
    kinds = (  # probability, largest count, radius range (eye units), colour factor range
        (0.25, 40, (0.006, 0.025), (1.1, 1.35)),
        (0.12, 25, (0.005, 0.02), (1.4, 2.2)),
        (0.25, 20, (0.006, 0.04), (0.5, 0.8)),
        (0.20, 6, (0.02, 0.09), (0.75, 0.9)),
    )
    for probability, count, (small, large), (low, high) in kinds:
        if rng.random() > probability:
            continue
        spread = rng.uniform(0.3, 1.5) * unit
        for _ in range(rng.integers(1, count + 1)):
            x, y = rng.normal(0, spread, 2) + fovea
            a = unit * rng.uniform(small, large)
            b = a * rng.uniform(0.4, 1.0)
            reach = int(3 * a + 3)
            x0, x1, y0, y1 = int(x) - reach, int(x) + reach, int(y) - reach, int(y) + reach
            if x0 < 0 or y0 < 0 or x1 >= w or y1 >= h:
                continue
            gy, gx = np.mgrid[y0:y1, x0:x1]
            angle = rng.uniform(0, math.pi)
            u = ((gx - x) * math.cos(angle) + (gy - y) * math.sin(angle)) / a
            v = ((gy - y) * math.cos(angle) - (gx - x) * math.sin(angle)) / b
            blob = 1 / (1 + np.exp(np.clip(6 * (np.hypot(u, v) - 1), -30, 30)))
            factor = rng.uniform(low, high)
            tint = np.array((1 + (factor - 1) * 0.45, factor, 1 + (factor - 1) * 0.8))
            scene[y0:y1, x0:x1] *= 1 + blob[..., None] * (tint - 1)


def _streaks(rng, scene: np.ndarray, polar, unit: float) -> None:
    """Nerve-fibre sheen: bright stripes that radiate from the disc (in place)."""
    distance, angle = polar
    samples = 720
    waves = ndimage.gaussian_filter1d(rng.standard_normal(samples), rng.uniform(1.0, 3.0), mode="wrap")
    envelope = ndimage.gaussian_filter1d(rng.standard_normal(samples), 25, mode="wrap") * 9
    lobes = np.clip(envelope, 0, 1) * (1 + 2.2 * waves)
    index = ((angle / (2 * np.pi)) % 1 * samples).astype(np.int32) % samples
    sheen = lobes[index] * np.exp(-((distance / unit - 0.55) / 0.5) ** 2)
    sheen *= rng.uniform(0.02, 0.11)
    scene *= 1 + sheen[..., None].astype(np.float32) * np.array((0.6, 1.0, 0.9), np.float32)


def _field(rng, shape: tuple[int, int]) -> Field:
    """A circle that fits the photograph or is cut by its longer side's frame."""
    h, w = shape
    short, long = min(h, w), max(h, w)
    aspect = long / short
    if aspect > 1.12 and rng.random() < 0.6:  # cut on two sides
        radius = 0.5 * min(long * rng.uniform(0.88, 1.0), short * rng.uniform(1.1, 1.45))
    else:
        radius = 0.5 * short * rng.uniform(0.9, 1.06)
    centre = (w / 2 + rng.normal(0, 0.012 * short), h / 2 + rng.normal(0, 0.012 * short))
    margin = 0 if rng.random() < 0.7 else int(rng.uniform(0, 0.05) * short)
    horizontal = margin if 2 * radius > h else 0
    vertical = margin if 2 * radius > w else 0
    return Field(centre, radius, (vertical, horizontal, w - vertical, h - horizontal))


def _field_mask(rng, field: Field, shape: tuple[int, int]) -> np.ndarray:
    """1 inside the field of view, soft edge, sometimes with an orientation notch, `[h, w]` f32."""
    h, w = shape
    gy, gx = np.mgrid[0.5:h, 0.5:w].astype(np.float32)
    (cx, cy), r = field.centre, field.radius
    softness = rng.uniform(0.7, 4.0)
    mask = np.clip((r - np.hypot(gx - cx, gy - cy)) / softness, 0, 1)
    if rng.random() < 0.3:
        angle = rng.choice((-1, 1)) * math.radians(rng.uniform(40, 50))
        nx, ny = cx + r * math.cos(angle), cy - r * math.sin(angle)
        notch = np.clip((r * rng.uniform(0.04, 0.07) - np.hypot(gx - nx, gy - ny)) / softness, 0, 1)
        mask = np.maximum(mask, notch)
    x0, y0, x1, y1 = field.rectangle
    inside = np.zeros(shape, np.float32)
    inside[y0:y1, x0:x1] = 1
    return mask * inside


def _place_eye(rng, field: Field, disc_radius: float):
    """Chooses where the eye lies. Returns (unit in pixels, to_pixels, to_eye)."""
    (cx, cy), r = field.centre, field.radius
    unit = 2 * r / rng.uniform(2.1, 3.9)
    mirror = rng.choice((-1, 1))
    angle = math.radians(rng.normal(7, 5))  # the fovea lies a little below the disc
    kind = rng.random()
    along = 1.0 if kind < 0.6 else (0.0 if kind < 0.75 else rng.uniform(0.1, 0.9))
    centre = np.array((along, 0)) + rng.normal(0, 0.09, 2)
    # Fovea inside the visible part of the field: pull the centre towards it where it is not.
    x0, y0, x1, y1 = field.rectangle
    half_width = min(r, (x1 - x0) / 2) / unit
    centre[0] = max(centre[0], 1 - 0.88 * half_width)
    axes = np.array([
        (mirror * math.cos(angle), math.sin(angle)), (mirror * math.sin(angle), -math.cos(angle))])

    def to_pixels(points):
        return (np.asarray(points) - centre) @ axes * unit + (cx, cy)

    def to_eye(pixels):
        return (np.asarray(pixels) - (cx, cy)) @ axes.T / unit + centre

    return unit, to_pixels, to_eye


def _disc(rng, scene: np.ndarray, eye, disc_radius: float) -> np.ndarray:
    """Paints disc, cup, halo and atrophy (in place). Returns the disc mask u8 `[h, w]`."""
    ex, ey = eye
    stretch = rng.uniform(0.84, 1.0)
    angle = np.arctan2(ey, ex)
    outline = 1 + sum(rng.normal(0, 0.025) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in (2, 3, 4))
    rho = np.hypot(ex / stretch, ey) / (disc_radius * outline)  # 1 on the margin
    edge = rng.uniform(0.03, 0.16)
    rim = 1 / (1 + np.exp(np.clip((rho - 1) / edge * 3, -30, 30)))
    if rng.random() < 0.6:  # dark or bright ring around the disc
        ring = np.exp(-((rho - rng.uniform(1.1, 1.3)) / rng.uniform(0.12, 0.35)) ** 2)
        scene *= 1 + (ring * rng.uniform(-0.2, 0.22))[..., None]
    if rng.random() < 0.3:  # peripapillary atrophy, usually temporal
        away = np.cos(angle - rng.normal(0, 0.7))
        crescent = np.exp(-((rho - 1.12) / 0.14) ** 2) * np.clip(away, 0, 1) ** 0.7
        scene *= 1 + crescent[..., None] * rng.uniform((0.1, 0.2, 0.2), (0.3, 0.8, 0.9))
    glow = rng.uniform((1.05, 1.35, 1.0), (1.4, 2.2, 1.0))
    glow[2] = glow[1] * rng.uniform(0.8, 1.3)
    cup_x, cup_y = rng.normal((0.12, 0), (0.12, 0.1)) * disc_radius
    cup_size = disc_radius * rng.uniform(0.25, 0.65)
    cup = 1 / (1 + np.exp(np.clip((np.hypot(ex - cup_x, ey - cup_y) / cup_size - 1) * rng.uniform(3, 12), -30, 30)))
    shade = 1 + rng.uniform(-0.15, 0.75) * np.clip(ex / disc_radius, -1, 1)  # temporal rim is paler
    paint = (glow - 1) * shade[..., None] * rng.uniform(0.75, 1.0)
    paint = paint + cup[..., None] * rng.uniform((0.0, 0.1, 0.1), (0.2, 0.7, 1.0))
    scene *= 1 + rim[..., None] * np.maximum(paint, (-0.1, 0.12, 0.0))
    return (rho <= 1).astype(np.uint8)


def _macula(rng, scene: np.ndarray, eye) -> None:
    """Darkens the macula and the foveal pit, sometimes with a reflex (in place)."""
    distance = np.hypot(eye[0] - 1, eye[1] * rng.uniform(0.9, 1.2))
    broad = np.exp(-((distance / rng.uniform(0.22, 0.45)) ** 2))
    pit = np.exp(-((distance / rng.uniform(0.06, 0.15)) ** 2))
    dark_broad, dark_pit = rng.uniform(0.08, 0.4), rng.uniform(0.05, 0.28)
    red = rng.uniform(0.2, 0.9)
    for channel, share in enumerate((red, 1.0, 0.9)):
        scene[..., channel] *= (1 - share * dark_broad * broad) * (1 - share * dark_pit * pit)
    if rng.random() < 0.3:
        scene *= 1 + rng.uniform(0.1, 0.4) * np.exp(-((distance / 0.018) ** 2))[..., None]
    if rng.random() < 0.15:
        ring = np.exp(-(((distance - rng.uniform(0.14, 0.25)) / 0.03) ** 2))
        scene *= 1 + rng.uniform(0.03, 0.12) * ring[..., None]


def _illumination(rng, shape, field: Field) -> np.ndarray:
    """Vignetting, a tilt and sometimes a coloured rim, f32 `[h, w, 3]` around 1."""
    h, w = shape
    gy, gx = np.mgrid[0.5:h, 0.5:w].astype(np.float32)
    x, y = (gx - field.centre[0]) / field.radius, (gy - field.centre[1]) / field.radius
    ox, oy = rng.normal(0, 0.25, 2)
    falloff = rng.uniform(0.05, 0.5) * ((x - ox) ** 2 + (y - oy) ** 2)
    light = (1.1 - falloff + rng.normal(0, 0.07) * x + rng.normal(0, 0.07) * y)[..., None]
    light = np.repeat(np.maximum(light, 0.2), 3, axis=2)
    if rng.random() < 0.3:  # pale crescent at the edge of the field
        angle = rng.uniform(0, 2 * math.pi)
        lean = np.clip(x * math.cos(angle) + y * math.sin(angle), 0, 1)
        rim = np.exp(-((np.hypot(x, y) - 1) / rng.uniform(0.05, 0.15)) ** 2) * lean
        light += rim[..., None] * rng.uniform((-0.3, 0.0, 0.0), (0.1, 0.7, 0.9))
    return light


VISIBLE = 0.07  # optical density in green below which nobody would mark a vessel


def _absorb(rng, scene: np.ndarray, layers) -> tuple[np.ndarray, np.ndarray]:
    """Beer-Lambert absorption of the vessels and their reflexes (in place).

    Returns where arteries and where veins can be seen, boolean `[h, w]`.
    """
    vein = rng.uniform(0.3, 0.55)  # optical density of a large vein in green
    artery = vein * rng.uniform(0.65, 0.85)
    # Density in red relative to green: oxygenated blood absorbs little red, so arteries look brighter.
    redness = rng.uniform(0.3, 0.55)
    vein_red, artery_red = vein * redness, artery * redness * rng.uniform(0.1, 0.4)
    blue = rng.uniform(0.05, 1.2) if rng.random() < 0.8 else -0.05
    reflex = layers.reflex * rng.uniform(0.05, 0.45)
    path_v = layers.vein_path * (1 - reflex)
    path_a = layers.artery_path * (1 - reflex)
    for channel, (a, v) in enumerate(((artery_red, vein_red), (artery, vein), (artery * blue, vein * blue))):
        scene[..., channel] *= np.exp(-a * path_a - v * path_v)
    if rng.random() < 0.4:  # bright sheaths beside vessels
        halo = ndimage.gaussian_filter(layers.vein_path + layers.artery_path, rng.uniform(2, 5))
        scene *= 1 + (rng.uniform(0.0, 0.12) * halo)[..., None]
    return ((layers.artery_cover >= 0.45) & (layers.artery_path * artery >= VISIBLE),
            (layers.vein_cover >= 0.45) & (layers.vein_path * vein >= VISIBLE))


def generate(seed: int, size: tuple[int, int] | None = None, grade: int | None = None) -> Photograph:
    """One photograph; `size` is (h, w). Size and grade are drawn from the seed where not given."""
    return generate_grades(seed, [grade], size)[0]


def generate_grades(seed: int, grades, size: tuple[int, int] | None = None) -> list[Photograph]:
    """The same eye and camera once per grade (None: drawn from the seed)."""
    rng = np.random.default_rng(seed)
    if size is None:
        long = rng.uniform(600, 1050)
        aspect = rng.choice((1.0, rng.uniform(1.0, 1.12), rng.uniform(1.12, 1.55)))
        size = (int(long / aspect), int(long)) if rng.random() < 0.8 else (int(long), int(long / aspect))
    drawn_grade = int(rng.choice(3, p=(0.55, 0.35, 0.1)))
    field = _field(rng, size)
    disc_radius = 0.5 / rng.uniform(1.95, 2.9)
    unit, to_pixels, to_eye = _place_eye(rng, field, disc_radius)
    h, w = size
    gy, gx = np.mgrid[0.5:h, 0.5:w]
    eye_points = to_eye(np.stack([gx, gy], -1)).astype(np.float32)
    eye = eye_points[..., 0], eye_points[..., 1]

    base = BASE_COLOURS[rng.integers(len(BASE_COLOURS))] * rng.uniform(0.82, 1.18, 3) * rng.uniform(0.85, 1.1)
    base *= max(1.0, 60 / base.mean())
    scene = (base / 255).astype(np.float32) * _illumination(rng, size, field)
    scene *= _texture(rng, size, field.radius)
    polar = unit * np.hypot(*eye), np.arctan2(eye[1], eye[0])
    if rng.random() < 0.6:
        _streaks(rng, scene, polar, unit)
    _macula(rng, scene, eye)
    fovea = to_pixels(np.array((1.0, 0.0)))
    _lesions(rng, scene, fovea, unit)
    disc = _disc(rng, scene, eye, disc_radius)

    trees = grow_trees(rng, disc_radius)
    layers = rasterise(trees, to_pixels, unit, size, disc_radius * 0.035)
    artery, vein = _absorb(rng, scene, layers)
    mask = _field_mask(rng, field, size)
    visible = mask > 0.5
    classes = (artery + 2 * vein).astype(np.uint8) * visible

    photographs = []
    for grade in grades:
        noise = np.random.default_rng([seed, 7 if grade is None else grade])
        chosen = drawn_grade if grade is None else grade
        damaged = degrade(noise, scene.copy(), chosen, field.radius)
        image = add_sensor(noise, damaged, mask)
        photographs.append(Photograph(
            image, classes, disc * visible, (float(fovea[0]), float(fovea[1])), chosen, field))
    return photographs
