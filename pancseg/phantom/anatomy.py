"""Draw a patient: torso, skeleton and the organs around the pancreas.

Lengths are millimetres in the patient's frame.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pancseg.phantom.pancreas import draw_pancreas
from pancseg.phantom.shapes import ENDLESS_MM, Ellipsoid, Field, Layer, Part, Point, Sketch, Solid

_SPINE_Y = 49.0  # centre of the vertebral bodies in the canonical anatomy


class Patient(NamedTuple):
    """Everything that the seed decides, except the noise.

    Attributes:
        torso: Shapes painted before the lungs.
        cavity: Inside of the abdominal wall, endless along z.
        domes: Parts under the diaphragm.
        content: Shapes painted after the lungs.
        turn: Rotation matrix from the patient's frame to the scanner's.
        shift_mm: Position of the patient's origin in the scanner's frame.
        lattices: White noise and its step in mm, by the name of the random field made from it.
    """

    torso: list[Solid]
    cavity: Ellipsoid
    domes: list[Part]
    content: list[Solid]
    turn: Point
    shift_mm: Point
    lattices: dict[str, tuple[Field, float]]


def draw_patient(seed: np.random.SeedSequence, *, tumour: bool) -> Patient:
    """Draw the patient of a seed; ``tumour`` adds a lesion and changes nothing else."""
    anatomy, lesion_seed, fields = seed.spawn(3)
    s = Sketch(np.random.default_rng(anatomy))
    turn = _turn(s.rng.uniform(-1, 1, 3) * (2.5, 2.5, 5))
    shift_mm = s.rng.uniform(-1, 1, 3) * (6, 6, 9)
    torso, cavity = _torso(s)
    domes = _domes(s)
    content = [*_skeleton(s), *_solid_organs(s), *_hollow_organs(s)]
    content += draw_pancreas(s, np.random.default_rng(lesion_seed) if tumour else None)
    rng, lattices = np.random.default_rng(fields), {}
    for name, count, step_mm in (("grain", 64, 2.4), ("lobule", 48, 6.5), ("rough", 32, 16.0)):
        lattices[name] = (rng.standard_normal((count,) * 3, dtype=np.float32), step_mm)
    return Patient(torso, cavity, domes, content, turn, shift_mm, lattices)


def _turn(angles_deg: Point) -> Point:
    """Return the rotation about x, then y, then z."""
    a, b, c = np.deg2rad(angles_deg)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    turn: Point = about_z @ about_y @ about_x
    return turn


def _torso(s: Sketch) -> tuple[list[Solid], Ellipsoid]:
    """Return table, skin, fat and muscle wall, and the abdominal cavity inside them."""
    wall, back_fat = s.vary(10, 14), s.vary(5, 12)
    fat = s.vary(7, 27)
    rx, ry = 127 * s.scale[0], 84 * s.scale[1]
    cavity = Ellipsoid(np.array([0.0, -3.0, 0.0]), np.array([rx, ry, ENDLESS_MM]))
    outer = cavity._replace(radii_mm=cavity.radii_mm + np.array([wall, wall, 0]))
    front, back = -3 - ry - wall - fat, 101 * s.scale[1] + back_fat
    middle, half = (front + back) / 2, (back - front) / 2
    body = Ellipsoid(np.array([0, middle, 0]), np.array([rx + wall + fat, half, ENDLESS_MM]))
    board = Ellipsoid(np.array([0, back + 16, 0]), np.array([215, 12, ENDLESS_MM]))
    lard, flesh = s.hu["fat"], s.hu["muscle"]
    muscle_coats = [
        Layer("muscle", flesh),
        Layer("fat", -40, wall * 0.4),
        Layer("muscle", flesh, wall * 0.4 + 1.2),
        Layer("fat", lard, wall),
    ]
    shapes = [
        Solid([board], [Layer("table", -40), Layer("table", -930, 5)]),
        Solid([body], [Layer("skin", s.hu["skin"]), Layer("fat", lard, 2.0)]),
        Solid([outer], muscle_coats, 0.8),
    ]
    return shapes, cavity


def _domes(s: Sketch) -> list[Part]:
    """Return right, left and middle dome of the diaphragm, and the space before the spine."""
    return [
        s.ellipsoid((-62, -4, 5), (78, 88, 92), wobble=4),
        s.ellipsoid((66, -2, 5), (74, 86, 82), wobble=4),
        s.ellipsoid((2, -32, 5), (58, 62, 80), wobble=4),
        Ellipsoid(np.array([0.0, 26, 0]), np.array([36, 44, ENDLESS_MM])),
    ]


def _skeleton(s: Sketch) -> list[Solid]:
    """Return muscles along the spine, ribs, vertebrae, discs and the spinal canal."""
    bone = s.hu["bone"]
    marrow = bone * s.vary(0.38, 0.5)
    hard = [Layer("bone", bone), Layer("bone", marrow, 2.4)]
    thin = [Layer("bone", bone), Layer("bone", marrow, 3.0)]
    muscles = _spinal_muscles(s)
    levels = s.vary(-17, 17) + 34 * np.arange(-7, 8, dtype=np.float64)
    ribs = _ribs(s, levels[levels > -25])
    arches, discs = _vertebrae(s, levels)
    column = s.ellipsoid((0, _SPINE_Y, 0), (21, 17, ENDLESS_MM), wobble=0)
    canal = s.ellipsoid((0, 74, 0), (9.5, 8, ENDLESS_MM), wobble=0)
    return [
        Solid(muscles, [Layer("muscle", s.hu["muscle"])], 1.0),
        Solid(ribs, thin),
        Solid(arches, hard),
        Solid([column], hard, 0.7),
        Solid(discs, [Layer("disc", s.hu["disc"], 1.2)]),
        Solid([canal], [Layer("spinal_canal", s.hu["spinal_canal"])]),
    ]


def _spinal_muscles(s: Sketch) -> list[Part]:
    """Return back extensors, psoas and the crura of the diaphragm on both sides."""
    parts: list[Part] = []
    for side in (-1, 1):
        parts.append(s.ellipsoid((side * 29, 83, 0), (28, 17, ENDLESS_MM), wobble=1))
        parts += s.tube(
            [(side * 24, 48, 0), (side * 36, 47, -60), (side * 48, 40, -200)], [5, 16, 28], 1
        )
        parts += s.tube(
            [(side * 12, 31, 20), (side * 11, 24, 60), (side * 16, 22, 120)], [4, 5, 5], 1
        )
    return parts


def _ribs(s: Sketch, levels: Point) -> list[Part]:
    """Return two ribs at the z of each vertebra; those of the lower vertebrae are short."""
    parts: list[Part] = []
    around = np.linspace(0.42, 2.2, 9)  # angle from posterior to anterior, in radians
    for level in levels:
        reach = around[: 5 if level < 0 else 9]
        y, z = -3 + 89 * np.cos(reach), level + 14 - 34 * reach
        for side in (-1, 1):
            ring = np.stack([side * 131 * np.sin(reach), y, z], 1)
            knots = np.vstack([[side * 22, 66, level + 8], ring])
            parts += s.tube(knots, [4.5] * len(knots), 1)
    return parts


def _vertebrae(s: Sketch, levels: Point) -> tuple[list[Part], list[Part]]:
    """Return arches with their processes, and discs, at the z of each vertebra."""
    arches: list[Part] = []
    discs: list[Part] = []
    for level in levels:
        arches += s.tube([(0, 82, level), (0, 98, level - 10)], [3.5, 3.5], 1)
        arches.append(s.ellipsoid((0, 75, level), (15, 13, 12), wobble=1))
        for side in (-1, 1):
            arches += s.tube([(side * 12, 70, level), (side * 34, 74, level + 2)], [4.5, 3.5], 1)
        discs.append(s.ellipsoid((0, _SPINE_Y, level + 17), (22, 18, 5.5), wobble=0.5))
    return arches, discs


def _solid_organs(s: Sketch) -> list[Solid]:
    """Return heart, liver with gallbladder, spleen, and kidneys with the adrenals."""
    heart = Solid([s.ellipsoid((18, -38, 128), (60, 42, 42))], [Layer("heart", s.hu["heart"])])
    upper = [*_liver(s), _spleen(s)]
    return [heart, *upper, *_kidney(s, -1, -32), *_kidney(s, 1, -16)]


def _liver(s: Sketch) -> list[Solid]:
    """Return both lobes less porta, stomach bed, spine and kidney bed, and the gallbladder."""
    lobes = [
        s.ellipsoid((-76, 2, 40), (66, 88, 88), wobble=4),
        s.ellipsoid((-8, -46, 52), (74, 34, 44), -8, wobble=4),
    ]
    hollow = [
        s.ellipsoid((-18, 12, -34), (48, 60, 54)),
        s.ellipsoid((30, 12, 50), (52, 46, 70)),
        s.ellipsoid((2, 44, 0), (32, 30, ENDLESS_MM), wobble=1),
        s.ellipsoid((-60, 62, -28), (42, 48, 66)),
    ]
    bladder = s.tube([(-58, -48, 8), (-64, -62, -18), (-66, -66, -30)], [6, 14, 12])
    return [
        Solid(lobes, s.solid("liver"), 3, carved=hollow, in_cavity=True),
        Solid(bladder, s.solid("gallbladder", 1), 1, in_cavity=True),
    ]


def _spleen(s: Sketch) -> Solid:
    spleen = s.ellipsoid((101, 34, 36), (23, 48, 50), 14, wobble=4)
    hilum = s.ellipsoid((70, 16, 34), (20, 24, 24))
    return Solid([spleen], s.solid("spleen"), 2, carved=[hilum], in_cavity=True)


def _kidney(s: Sketch, side: int, z: float) -> list[Solid]:
    """Return the kidney at height ``z`` on the right (-1) or left (1) side, and its adrenal."""
    body = s.ellipsoid((side * 65, 46, z + s.vary(-6, 6)), (27, 24, 54), side * 25.0, wobble=2.5)
    sinus = Ellipsoid(body.centre_mm + np.array([side * -22.0, -7, 0]), np.array([19.0, 9, 24]))
    layers = [*s.solid("kidney", 4), Layer("kidney", s.hu["kidney"] - 28, 7.5)]
    adrenal = s.tube([(side * 24, 34, 44), (side * 30, 30, 30), (side * 36, 38, 18)], [2.4, 3.2, 2])
    adrenal += s.tube([(side * 30, 30, 30), (side * 27, 42, 18)], [3, 2])
    return [
        Solid([body], layers, 1.2, carved=[sinus], in_cavity=True),
        Solid(adrenal, s.solid("adrenal")),
    ]


def _hollow_organs(s: Sketch) -> list[Solid]:
    """Return bowel loops, colon, stomach, duodenum and small mesenteric vessels."""
    loops, twigs = _small_bowel(s)
    mesentery = Solid(twigs, [Layer("vein", s.hu["vein"] - 20)])
    return [*loops, *_colon(s), _stomach(s), _duodenum(s), mesentery]


def _small_bowel(s: Sketch) -> tuple[list[Solid], list[Part]]:
    """Return bowel loops in front of the spine, and a mesenteric vessel to each."""
    loops: list[Solid] = []
    twigs: list[Part] = []
    for z in np.linspace(-185, 8, 24):
        middle = np.array([s.vary(-75, 85) if z < -70 else s.vary(30, 90), s.vary(-62, -8), z])
        walk = np.cumsum(s.rng.normal(0, 1, (5, 3)), 0) * np.array([22, 13, 7])
        knots = np.clip(middle + walk - walk.mean(0), (-85, -76, -220), (98, 12, 16))
        radius = s.vary(8, 13)
        gas = s.vary(-6, 0) if s.vary(0, 1) < 0.3 else None
        loop, y_mm = s.tube(knots, [radius] * 5, 0), float(knots[:, 1].mean())
        layers = s.hollow("bowel", s.vary(2, 3.5), gas, y_mm)
        loops.append(Solid(loop, layers, 1.2, in_cavity=True))
        root = np.array([-6, -12, max(z - 8, -120)])
        bend = middle * (0.5, 0.5, 1) - (0, 8, 6)
        twigs += s.tube(np.stack([root, bend, middle]), [2.4, 1.8, 1.2], 4)
    return loops, twigs


def _colon(s: Sketch) -> list[Solid]:
    """Return ascending, transverse and descending colon."""
    shapes: list[Solid] = []
    for path in (
        [(-92, 22, -190), (-98, 24, -100), (-96, 8, -60), (-84, -30, -48)],
        [(-84, -34, -48), (-45, -68, -60), (10, -74, -66), (60, -68, -42), (92, -25, -2)],
        [(94, -20, 0), (107, 18, -40), (104, 26, -110), (98, 20, -190)],
    ):
        y_mm = float(np.mean([p[1] for p in path]))
        layers = s.hollow("bowel", 2, s.vary(-10, 2), y_mm)
        parts = s.tube(path, [s.vary(15, 20)] * len(path), 5)
        shapes.append(Solid(parts, layers, 3, in_cavity=True))
    return shapes


def _stomach(s: Sketch) -> Solid:
    fundus = s.ellipsoid((60, -6, 70), (36, 36, 32))
    body = s.ellipsoid((54, -40, 40), (34, 27, 42), -20)
    antrum = s.tube([(52, -46, 18), (22, -62, 2), (-14, -58, 2), (-32, -44, 8)], [22, 18, 14, 8])
    layers = s.hollow("stomach", s.vary(3, 5), s.vary(-12, 2), -44)
    return Solid([fundus, body, *antrum], layers, 1.5, in_cavity=True)


def _duodenum(s: Sketch) -> Solid:
    sweep = [(-32, -44, 8), (-50, -34, 6), (-62, -10, -6), (-66, 3, -34), (-52, 8, -66),
             (-18, 4, -76), (18, 2, -70), (36, -10, -48)]  # fmt: skip
    wall_mm = s.vary(2.5, 4)
    gas = s.vary(-8, -3) if s.vary(0, 1) < 0.3 else None
    layers = s.hollow("duodenum", wall_mm, gas, -30)
    return Solid(s.tube(sweep, [9, 11, 12, 12, 11, 10, 10, 10], 2), layers, 1)
