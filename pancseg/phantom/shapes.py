"""The building blocks of anatomy: tissues, parts with signed distances, layers, and sketches.

Lengths are millimetres in the patient's frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

Field = NDArray[np.float32]
Point = NDArray[np.float64]

# Tissue: (mean HU, standard deviation between patients, standard deviation of the texture).
TISSUES: dict[str, tuple[float, float, float]] = {
    "air": (-1000, 0, 0), "table": (-300, 0, 0), "skin": (10, 8, 8), "fat": (-103, 4, 7),
    "muscle": (57, 5, 9), "bone": (390, 35, 25), "spinal_canal": (35, 4, 3), "disc": (85, 8, 5),
    "lung": (-850, 25, 40), "heart": (150, 10, 5), "liver": (110, 9, 6), "spleen": (121, 8, 5),
    "kidney": (182, 14, 8), "stomach": (78, 8, 10), "bowel": (88, 8, 11), "duodenum": (80, 8, 10),
    "gallbladder": (8, 4, 3), "adrenal": (72, 6, 5), "artery": (158, 9, 4), "vein": (164, 9, 4),
    "pancreas": (106, 4, 9), "tumour": (60, 5, 7),
}  # fmt: skip
ORGANS: dict[str, int] = {name: label for label, name in enumerate(TISSUES)}
"""Value of each tissue in ``Phantom.organs``; gas and content count as the organ around them."""

ENDLESS_MM = 1e4
"""Half-length of a part that runs through the whole scan."""


class Ellipsoid(NamedTuple):
    """Ellipsoid, rotated about z; an endless radius makes it a cylinder."""

    centre_mm: Point
    radii_mm: Point
    yaw_rad: float = 0.0

    def bounds_mm(self) -> tuple[Point, Point]:
        """Return the corners of a box around the part."""
        reach = self.radii_mm.copy()
        if self.yaw_rad:
            reach[:2] = reach[:2].max()
        return self.centre_mm - reach, self.centre_mm + reach

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        """Return the approximate signed distance in mm, negative inside."""
        cx, cy, cz = map(np.float32, self.centre_mm)
        x, y, z = x - cx, y - cy, z - cz
        if self.yaw_rad:
            cos, sin = np.float32(np.cos(self.yaw_rad)), np.float32(np.sin(self.yaw_rad))
            x, y = cos * x + sin * y, cos * y - sin * x
        rx, ry, rz = map(np.float32, self.radii_mm)
        x, y = x / rx, y / ry
        scaled, gradient = x * x + y * y, (x / rx) ** 2 + (y / ry) ** 2
        if rz < ENDLESS_MM:
            z = z / rz
            scaled, gradient = scaled + z * z, gradient + (z / rz) ** 2
        radius = np.sqrt(np.maximum(scaled, np.float32(1e-6)))
        smallest = np.float32(1e-3) / max(rx, ry, rz)
        signed = (radius - 1) * radius / np.maximum(np.sqrt(gradient), smallest)
        return np.asarray(signed, np.float32)


class Capsule(NamedTuple):
    """Segment of a tube between two points, with a radius at each."""

    start_mm: Point
    end_mm: Point
    start_radius_mm: float
    end_radius_mm: float
    stretch_z: float = 1.0

    def bounds_mm(self) -> tuple[Point, Point]:
        """Return the corners of a box around the part."""
        reach = max(self.start_radius_mm, self.end_radius_mm) * np.array([1, 1, self.stretch_z])
        ends = np.stack([self.start_mm, self.end_mm])
        return ends.min(0) - reach, ends.max(0) + reach

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        """Return the signed distance in mm, negative inside."""
        squash = np.array([1, 1, 1 / self.stretch_z])
        ax, ay, az = map(np.float32, self.start_mm)
        bx, by, bz = map(np.float32, (self.end_mm - self.start_mm) * squash)
        x, y, z = x - ax, y - ay, (z - az) * np.float32(squash[2])
        length2 = max(bx * bx + by * by + bz * bz, np.float32(1e-6))
        along = np.clip((x * bx + y * by + z * bz) / length2, 0, 1)
        gap = np.sqrt((x - along * bx) ** 2 + (y - along * by) ** 2 + (z - along * bz) ** 2)
        widening = np.float32(self.end_radius_mm - self.start_radius_mm)
        return np.asarray(gap - along * widening - np.float32(self.start_radius_mm), np.float32)


Part = Ellipsoid | Capsule


class Layer(NamedTuple):
    """A filling of a shape, from ``inset_mm`` below its surface (negative: above it) inwards."""

    tissue: str
    hu: float
    inset_mm: float = 0.0
    anterior_of_mm: float | None = None  # gas fills only what is in front of this y


class Solid(NamedTuple):
    """Union of parts minus the carved ones, painted layer by layer."""

    parts: Sequence[Part]
    layers: Sequence[Layer]
    roughness_mm: float = 0.0  # standard deviation of the surface's displacement
    lobule_mm: float = 0.0  # the same at the scale of pancreatic lobules
    carved: Sequence[Part] = ()
    in_cavity: bool = False  # stays inside the abdominal wall and under the diaphragm


def chain(knots_mm: Point, radii_mm: Point, stretch_z: float = 1.0) -> list[Part]:
    """Join knots (n, 3) with radii (n,) to a smooth tube, made of short capsules."""
    steps = np.linalg.norm(np.diff(knots_mm, axis=0), axis=1)
    at = np.concatenate([[0.0], np.cumsum(steps)])
    fine = np.linspace(0, at[-1], int(np.ceil(at[-1] / 7)) + 1)
    path, width = PchipInterpolator(at, knots_mm)(fine), np.interp(fine, at, radii_mm)
    return [
        Capsule(path[i], path[i + 1], width[i], width[i + 1], stretch_z)
        for i in range(len(fine) - 1)
    ]


class Sketch:
    """Places canonical anatomy in one patient: scaled to the patient's size, and jittered.

    Every call draws from ``rng``, so the order of the calls is part of the patient.

    Attributes:
        rng: Random numbers that make this patient differ from the next.
        scale: Size of the patient along x, y, z relative to the canonical one.
        hu: HU of each tissue in this patient.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        """Draw the size and the tissues of the patient."""
        self.rng = rng
        size = rng.uniform(0.92, 1.08)
        self.scale = np.clip(size * rng.uniform(0.97, 1.03, 3), 0.9, 1.1)
        self.hu = {
            name: mean + sd * float(np.clip(rng.normal(), -2, 2))
            for name, (mean, sd, _) in TISSUES.items()
        }

    def vary(self, low: float, high: float) -> float:
        """Draw a number between ``low`` and ``high``."""
        return float(self.rng.uniform(low, high))

    def ellipsoid(
        self, centre: Sequence[float], radii: Sequence[float], yaw_deg: float = 0, wobble: float = 3
    ) -> Ellipsoid:
        """Place an ellipsoid; ``wobble`` is the jitter in mm, which also varies size and yaw."""
        middle = np.array(centre) * self.scale + self.rng.uniform(-wobble, wobble, 3)
        swell = 1 + 0.02 * wobble * self.rng.uniform(-1, 1, 3)
        yaw = np.deg2rad(yaw_deg + self.vary(-2, 2) * wobble) if yaw_deg else 0.0
        return Ellipsoid(middle, np.array(radii, float) * self.scale * swell, yaw)

    def tube(
        self,
        points: Sequence[Sequence[float]] | Point,
        radii: Sequence[float] | Point,
        wobble: float = 2.5,
        stretch_z: float = 1.0,
    ) -> list[Part]:
        """Place a smooth tube through canonical ``points`` with ``radii``, as short capsules."""
        knots = np.array(points, float) * self.scale
        knots += self.rng.uniform(-wobble, wobble, knots.shape)
        widths = np.asarray(radii, float) * self.scale.mean() * self.vary(0.93, 1.07)
        return chain(knots, widths, stretch_z)

    def hollow(self, tissue: str, wall_mm: float, gas: float | None, y_mm: float) -> list[Layer]:
        """Return the layers of a hollow organ at ``y_mm``; its gas reaches ``gas`` mm behind it."""
        content = self.vary(10, 60) if self.vary(0, 1) < 0.65 else self.vary(65, 100)  # collapsed
        layers = [*self.solid(tissue), Layer(tissue, content, wall_mm)]
        if gas is not None:
            layers.append(Layer(tissue, -900, wall_mm, y_mm * self.scale[1] + gas))
        return layers

    def solid(self, tissue: str, rim_mm: float = 1.5) -> list[Layer]:
        """Return the layers of a solid organ in a rim of fat."""
        return [Layer("fat", self.hu["fat"], -rim_mm), Layer(tissue, self.hu[tissue])]
