"""From a flat plate to a detector's crop: view, light, weather, lens, sensor and file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from glyphyard.data.synth.dice import Dice
from glyphyard.data.synth.style import sheet_of

Span = tuple[float, float]


@dataclass(frozen=True)
class Camera:
    """The conditions that one family is seen under; ranges are drawn evenly, chances are 0..1."""

    width_px: Span = (90, 220)
    aspect: Span = (1.9, 2.15)
    margin: Span = (-0.02, 0.03)
    """Distance from the crop's edge to the plate's, as a share of the crop; negative cuts the plate."""
    tight: float = 0.06
    """Chance of a crop that cuts off what is above and below the text."""
    tilt_deg: float = 2.5
    """Standard deviation of the rotation."""
    shear: float = 0.03
    keystone: float = 0.015
    """Standard deviation of each corner's own shift, as a share of the crop."""
    lights: tuple[tuple[str, float], ...] = (("day", 0.9), ("night", 0.07), ("ir", 0.03))
    weathers: tuple[tuple[str, float], ...] = (("clear", 0.7), ("dirt", 0.12), ("shade", 0.12), ("rain", 0.06))
    focus_blur: Span = (0.0, 0.011)
    """Sigma as a share of the crop's width."""
    motion: float = 0.08
    glare: float = 0.06
    sensor_width_px: Span = (80, 200)
    """Width of the plate on the sensor; smaller than the crop means that it was enlarged."""
    noise: Span = (0.0, 6.0)
    """Standard deviation in grey levels."""
    jpeg: Span = (45, 95)
    cast: float = 0.06
    """Standard deviation of each channel's own gain."""

    def at(self, difficulty: float) -> Camera:
        """Return this camera with a share `difficulty` (0..1) of its trouble: light, weather, view, lens, sensor, file."""
        if difficulty == 1:
            return self
        (sensor_low, sensor_high), (jpeg_low, jpeg_high) = self.sensor_width_px, self.jpeg
        return replace(
            self,
            tight=self.tight * difficulty,
            tilt_deg=self.tilt_deg * difficulty,
            shear=self.shear * difficulty,
            keystone=self.keystone * difficulty,
            lights=_rarer(self.lights, difficulty),
            weathers=_rarer(self.weathers, difficulty),
            focus_blur=(0.0, self.focus_blur[1] * difficulty),
            motion=self.motion * difficulty,
            glare=self.glare * difficulty,
            sensor_width_px=(sensor_high - (sensor_high - sensor_low) * difficulty, sensor_high),
            noise=(0.0, self.noise[1] * difficulty),
            jpeg=(jpeg_high - (jpeg_high - jpeg_low) * difficulty, jpeg_high),
        )


def _rarer(weighted: tuple[tuple[str, float], ...], difficulty: float) -> tuple[tuple[str, float], ...]:
    """Scale the weights of all but the first, which is the easy one."""
    (easy, _), *hard = weighted
    scaled = tuple((name, weight * difficulty) for name, weight in hard)
    return ((easy, 1 - sum(weight for _, weight in scaled)), *scaled)


def shoot(plate: np.ndarray, camera: Camera, dice: Dice) -> tuple[np.ndarray, dict[str, str]]:
    """Return the crop (H, W, 3) BGR uint8 that `camera` makes of a flat plate, and the conditions."""
    light, weather = dice.weighted(camera.lights), dice.weighted(camera.weathers)
    if weather == "dirt":
        plate = _dirty(plate, dice)
    width = int(dice.between(*camera.width_px))
    height = int(width / dice.between(*camera.aspect))
    sensor_w = int(min(dice.between(*camera.sensor_width_px), width))
    seen = (sensor_w, max(int(height * sensor_w / width), 12))
    crop = _view(plate, camera, seen, dice)
    if weather in ("shade", "rain"):
        crop = _uneven(crop, dice, weather)
    if dice.chance(camera.glare * (2.0 if light == "night" else 1.0)):
        crop = _glare(crop, dice)
    crop = _expose(crop, light, camera, dice)
    crop, blur = _lens(crop, camera, dice)
    crop = _sensor(crop, light, camera, dice)
    if seen[0] < width:
        crop = cv2.resize(crop, (width, height), interpolation=dice.pick((cv2.INTER_LINEAR, cv2.INTER_CUBIC)))
    if dice.chance(0.5):
        crop = _filed(crop, int(dice.between(*camera.jpeg)))
    resolution = "low" if sensor_w < 80 else "medium" if sensor_w < 140 else "high"
    return crop, {"light": light, "weather": weather, "blur": blur, "resolution": resolution}


def _view(plate: np.ndarray, camera: Camera, size: tuple[int, int], dice: Dice) -> np.ndarray:
    """Project the plate into a crop of `size` (W, H) in front of a blurred surround."""
    width, height = size
    margins = [dice.between(*camera.margin) for _ in range(4)]
    if dice.chance(camera.tight):
        margins[2], margins[3] = dice.between(-0.18, 0.0), dice.between(-0.16, 0.0)
    left, right = margins[0] * width, width - margins[1] * width
    top, bottom = margins[2] * height, height - margins[3] * height
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)
    centre = np.add.reduce(corners) / 4  # the mean, without numpy's checks
    angle = np.deg2rad(dice.gauss(0, camera.tilt_deg))
    sine, cosine, shear = np.sin(angle), np.cos(angle), dice.gauss(0, camera.shear)
    turn = np.array([[cosine, -sine + shear], [sine, cosine]], np.float32)
    corners = (corners - centre) @ turn.T + centre
    corners += np.array([[dice.gauss(0, camera.keystone) * side for side in size] for _ in range(4)])
    h, w = plate.shape[:2]
    source = np.array([(0, 0), (w, 0), (w, h), (0, h)], np.float32)
    if w > 1.6 * width:
        factor = 0.5 if w > 2.2 * width else 0.7
        plate = cv2.resize(plate, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        source *= factor
    matrix = cv2.getPerspectiveTransform(source, corners.astype(np.float32))
    surround = _surround(size, dice)
    cv2.warpPerspective(plate, matrix, size, surround, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
    return surround


def _surround(size: tuple[int, int], dice: Dice) -> np.ndarray:
    """Return what is behind the plate: a car's paint in vague patches."""
    clouds = _cloud_bank()[dice.whole(0, _BANK - 1)]
    tint = [dice.between(0.15, 0.9)] * 3 if dice.chance(0.7) else [dice.between(0.1, 0.9) for _ in range(3)]
    paint = cv2.transform(cv2.cvtColor(clouds, cv2.COLOR_GRAY2BGR), np.diag(tint).astype(np.float32))
    return cv2.resize(paint, size, interpolation=cv2.INTER_LINEAR)


def _gain_table(gains: list[float], lift: float, gamma: float) -> np.ndarray:
    """Return a lookup table (1, 256, 3): gain * 255 * (v / 255) ** gamma + lift per channel."""
    curve = 255.0 * _RAMP**gamma
    table = np.clip(curve[:, None] * np.array(gains, np.float32) + lift, 0, 255)
    return table.astype(np.uint8)[None]


_RAMP = np.linspace(0, 1, 256, dtype=np.float32)


def _expose(crop: np.ndarray, light: str, camera: Camera, dice: Dice) -> np.ndarray:
    """Apply the light's brightness, contrast and colour."""
    if light == "ir":
        grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
        crop = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
        return cv2.LUT(crop, _gain_table([dice.between(0.6, 1.4)] * 3, dice.between(-25, 40), dice.between(0.7, 1.6)))
    low, high = (0.28, 0.7) if light == "night" else (0.68, 1.15)
    gain = dice.between(low, high)
    gains = [gain * (1 + dice.gauss(0, camera.cast)) for _ in range(3)]
    if light == "night":
        gains[0] *= dice.between(0.6, 1.0)
    lift = dice.between(-12, 50) if dice.chance(0.4) else 0.0
    return cv2.LUT(crop, _gain_table(gains, lift, dice.between(0.75, 1.35)))


def _lens(crop: np.ndarray, camera: Camera, dice: Dice) -> tuple[np.ndarray, str]:
    """Blur by focus, and sometimes by motion."""
    width = crop.shape[1]
    sigma = dice.between(*camera.focus_blur) * dice.random() * width
    named = "focus" if sigma > 0.006 * width else "none"
    if sigma > 0.35:
        crop = cv2.GaussianBlur(crop, (0, 0), sigma)
    if dice.chance(camera.motion):
        reach = max(int(dice.between(0.01, 0.04) * width), 2)
        kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
        angle = dice.gauss(0, 0.35) + (1.57 if dice.chance(0.25) else 0.0)
        dx, dy = reach * np.cos(angle) / 2, reach * np.sin(angle) / 2
        cv2.line(kernel, _pixel(reach - dx, reach - dy), _pixel(reach + dx, reach + dy), 1.0, 1)
        crop, named = cv2.filter2D(crop, -1, kernel / kernel.sum()), "motion"
    return crop, named


def _pixel(x: float, y: float) -> tuple[int, int]:
    return round(x), round(y)


def _sensor(crop: np.ndarray, light: str, camera: Camera, dice: Dice) -> np.ndarray:
    """Add noise, stronger in the dark and often the same in the three channels."""
    level = dice.between(*camera.noise) * dice.random() * (2.0 if light != "day" else 1.0)
    if level < 0.7:
        return crop
    bank = _noise_bank()
    height, width = crop.shape[:2]
    y, x = dice.whole(0, bank.shape[0] - height), dice.whole(0, bank.shape[1] - width)
    tile = bank[y : y + height, x : x + width]
    return cv2.addWeighted(crop, 1.0, tile, level / 32.0, -128.0 * level / 32.0, dtype=cv2.CV_8U)


def _filed(crop: np.ndarray, quality: int) -> np.ndarray:
    """Return the crop as it comes back from a JPEG file of `quality` percent."""
    data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    back = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert back is not None, "OpenCV could not read the JPEG that it wrote"
    return back


def _dirty(plate: np.ndarray, dice: Dice) -> np.ndarray:
    """Let patches of mud and worn paint show through."""
    height, width = plate.shape[:2]
    bank = _dirt_bank()[dice.whole(0, _BANK - 1)]
    y, x = dice.whole(0, bank.shape[0] - height), dice.whole(0, bank.shape[1] - width)
    weight = bank[y : y + height, x : x + width] * dice.between(0.3, 0.85)
    mud = sheet_of(height, width, (dice.whole(40, 190), dice.whole(60, 195), dice.whole(70, 200)))
    return cv2.blendLinear(plate, mud, 1.0 - weight, weight)


def _uneven(crop: np.ndarray, dice: Dice, weather: str) -> np.ndarray:
    """Throw the shade of a car or a tree over part of the plate, or the veil of rain."""
    size = (crop.shape[1], crop.shape[0])
    if weather == "rain":
        clouds = cv2.resize(_cloud_bank()[dice.whole(0, _BANK - 1)], size)
        veil = cv2.cvtColor(clouds, cv2.COLOR_GRAY2BGR)
        amount = dice.between(0.15, 0.45)
        return cv2.addWeighted(crop, 1 - amount, veil, amount, dice.between(-10, 20))
    shade = sheet_of(size[1], size[0], (255, 255, 255))
    depth = dice.whole(90, 210)
    edge_a, edge_b = dice.between(-0.2, 1.2) * size[0], dice.between(-0.2, 1.2) * size[0]
    if dice.chance(0.4):
        level_a, level_b = dice.between(0.1, 0.9) * size[1], dice.between(0.1, 0.9) * size[1]
        points = [(0, 0), (size[0], 0), (size[0], level_a), (0, level_b)]
    else:
        points = [(0, 0), (edge_a, 0), (edge_b, size[1]), (0, size[1])]
    cv2.fillPoly(shade, [np.array(points, np.int32)], (depth, depth, depth))
    spread = dice.pick((3, 5, 9, 15))
    shade = cv2.blur(shade, (spread, spread))
    return cv2.multiply(crop, shade, scale=1 / 255)


def _glare(crop: np.ndarray, dice: Dice) -> np.ndarray:
    """Add a lamp's or the sun's reflection."""
    height, width = crop.shape[:2]
    spot = np.zeros((max(height // 4, 2), max(width // 4, 2)), np.uint8)
    centre = (dice.whole(0, spot.shape[1] - 1), dice.whole(0, spot.shape[0] - 1))
    axes = (max(int(dice.between(0.06, 0.3) * spot.shape[1]), 1), max(int(dice.between(0.1, 0.4) * spot.shape[0]), 1))
    cv2.ellipse(spot, centre, axes, dice.between(0, 180), 0, 360, dice.whole(40, 170), -1)
    spot = cv2.resize(cv2.blur(spot, (5, 5)), (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.add(crop, cv2.cvtColor(spot, cv2.COLOR_GRAY2BGR))


_BANK = 16


def _random(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@lru_cache(maxsize=1)
def _noise_bank() -> np.ndarray:
    """Return (400, 700, 3) uint8 around 128 with a standard deviation of 32, half of it shared by the channels."""
    random = _random(1)
    shared, own = random.normal(size=(400, 700, 1)), random.normal(size=(400, 700, 3))
    return np.clip(128 + 32 * (0.8 * shared + 0.6 * own), 0, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def _cloud_bank() -> tuple[np.ndarray, ...]:
    """Return _BANK coarse random pictures (2..11, 2..23) uint8."""
    random = _random(2)
    sizes = [(random.integers(2, 12), random.integers(2, 24)) for _ in range(_BANK)]
    return tuple(random.integers(20, 240, size, np.uint8) for size in sizes)


@lru_cache(maxsize=1)
def _dirt_bank() -> tuple[np.ndarray, ...]:
    """Return _BANK opacity maps (160, 320) float32 in 0..1: spots, streaks and patches."""
    random, maps = _random(3), []
    for k in range(_BANK):
        coarse = cv2.resize(random.random((5 + k, 8 + k), np.float32), (320, 160), interpolation=cv2.INTER_CUBIC)
        fine = cv2.GaussianBlur(random.random((160, 320), np.float32), (0, 0), 1.0 + k % 3)
        fine = (fine - fine.mean()) / fine.std()
        level = (coarse - 0.5) * 4 + fine * (0.5 if k % 2 else 1.2)
        maps.append(np.clip(level - 0.6, 0, 1).astype(np.float32))
    return tuple(maps)
