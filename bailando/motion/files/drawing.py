"""Pictures of the dancer: shaded capsules on a floor, drawn by Pillow at twice the size."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from bailando.motion.files.body_shape import Capsule, body_capsules
from bailando.motion.files.stage import Camera
from bailando.motion.rotations import FloatArray
from bailando.motion.skeleton import Skeleton

_OVERSAMPLING = 2
_SKY_TOP, _SKY_BOTTOM = np.array([24, 26, 38]), np.array([44, 48, 66])
_GRID = np.array([104, 112, 140])
_SHADOW = (22, 23, 32)
_LEFT, _RIGHT, _MIDDLE = np.array([240, 138, 93]), np.array([86, 180, 211]), np.array([222, 222, 232])
_GRID_STEP_M = 0.5
_GRID_REACH_M = 4.0
_FAINTEST = 0.02
# Radius and shift towards the light of each layer of a limb, of its radius; brightness.
_LAYERS = ((1.0, 0.0, 0.5), (0.86, 0.1, 0.85), (0.55, 0.28, 1.0), (0.22, 0.42, 1.15))
_LIGHT = np.array([-0.6, -0.8])


class Painter:
    """Draws frames of one body.

    Parameters
    ----------
    skeleton : Skeleton
        The body.
    width, height : int
        Size of the pictures, pixels.
    """

    def __init__(self, skeleton: Skeleton, width: int, height: int) -> None:
        self.capsules: list[Capsule] = body_capsules(skeleton)
        self._size = (width * _OVERSAMPLING, height * _OVERSAMPLING)
        self._radii = np.array([capsule.radius_m for capsule in self.capsules])
        colours = [_colour(skeleton.joint_names[capsule.joint]) for capsule in self.capsules]
        self._shades = [[_shade(colour, layer[2]) for layer in _LAYERS] for colour in colours]
        fade = np.linspace(0, 1, self._size[1])[:, None]
        column = (_SKY_TOP * (1 - fade) + _SKY_BOTTOM * fade).astype(np.uint8)
        self._background = Image.fromarray(np.repeat(column[:, None], self._size[0], axis=1))

    def paint(self, ends: FloatArray, centre: FloatArray) -> bytes:
        """Return one picture, rows of RGB bytes.

        Parameters
        ----------
        ends : ndarray, shape (C, 2, 3)
            Both ends of each capsule, metres.
        centre : ndarray, shape (2,)
            Place on the floor that the camera looks at, metres.
        """
        camera = Camera(*self._size, centre)
        picture = self._background.copy()
        draw = ImageDraw.Draw(picture)
        _draw_grid(draw, camera)
        self._draw_shadow(draw, camera, ends)
        pixels, scale = camera.project(ends)
        radii = self._radii[:, None] * scale
        for index in np.argsort(scale.mean(axis=1)):  # far ones first
            for (size, shift, _), colour in zip(_LAYERS, self._shades[index], strict=True):
                moved = pixels[index] + _LIGHT * shift * radii[index][:, None]
                _draw_limb(draw, moved, radii[index] * size, 1.0, colour)
        return picture.reduce(_OVERSAMPLING).tobytes()

    def _draw_shadow(self, draw: ImageDraw.ImageDraw, camera: Camera, ends: FloatArray) -> None:
        floor = ends * np.array([1.0, 0.0, 1.0])
        pixels, scale = camera.project(floor)
        nearer, _ = camera.project(floor + np.array([0.0, 0.0, 0.1]))
        flatness = float(np.abs(nearer[..., 1] - pixels[..., 1]).mean() / (0.1 * scale.mean()))
        for index, radius in enumerate(self._radii):
            _draw_limb(draw, pixels[index], radius * scale[index], flatness, _SHADOW)


def _colour(joint_name: str) -> FloatArray:
    side = joint_name.partition("_")[0]
    return {"left": _LEFT, "right": _RIGHT}.get(side, _MIDDLE)


def _shade(colour: FloatArray, brightness: float) -> tuple[int, ...]:
    return tuple(np.minimum(colour * brightness, 255).astype(int).tolist())


def _draw_limb(
    draw: ImageDraw.ImageDraw, ends: FloatArray, radii: FloatArray, flatness: float, colour: tuple[int, ...]
) -> None:
    """A line with round ends; flatness 1 is round, less is as if lying on the floor."""
    # Plain numbers: numpy takes several times as long for so few.
    (x0, y0), (x1, y1) = ends.tolist()
    r0, r1 = radii.tolist()
    along, down = x1 - x0, (y1 - y0) / flatness
    length = max(math.hypot(along, down), 1e-6)
    side, over = -down / length, along / length * flatness
    draw.polygon(
        (
            *(x0 + side * r0, y0 + over * r0, x1 + side * r1, y1 + over * r1),
            *(x1 - side * r1, y1 - over * r1, x0 - side * r0, y0 - over * r0),
        ),
        fill=colour,
    )
    for x, y, radius in ((x0, y0, r0), (x1, y1, r1)):
        draw.ellipse((x - radius, y - radius * flatness, x + radius, y + radius * flatness), fill=colour)


def _draw_grid(draw: ImageDraw.ImageDraw, camera: Camera) -> None:
    """Lines on the floor that fade with their distance from the dancer."""
    steps = np.arange(-_GRID_REACH_M, _GRID_REACH_M + _GRID_STEP_M / 2, _GRID_STEP_M)
    origin = np.round(camera.centre / _GRID_STEP_M) * _GRID_STEP_M
    x, z = np.meshgrid(origin[0] + steps, origin[1] + steps, indexing="ij")
    pixels, scale = camera.project(np.stack([x, np.zeros_like(x), z], axis=-1))
    near = np.clip(1 - np.hypot(x - camera.centre[0], z - camera.centre[1]) / _GRID_REACH_M, 0, 1)
    thickness = max(1, round(0.006 * float(scale.mean())))
    for a, b in ((np.s_[:-1, :], np.s_[1:, :]), (np.s_[:, :-1], np.s_[:, 1:])):
        starts, stops = pixels[a].reshape(-1, 2), pixels[b].reshape(-1, 2)
        strength = ((near[a] + near[b]) / 2).reshape(-1, 1)
        colours = (_SKY_BOTTOM * (1 - strength) + _GRID * strength).astype(int)
        shown = strength[:, 0] > _FAINTEST
        lines = np.concatenate([starts, stops], axis=1)[shown].tolist()
        for line, colour in zip(lines, colours[shown].tolist(), strict=True):
            draw.line(line, fill=tuple(colour), width=thickness)
