"""Draw the pancreas, its optional tumour, and the vessels and ducts along it.

Lengths are millimetres in the patient's frame.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pancseg.phantom.shapes import Ellipsoid, Layer, Part, Point, Sketch, Solid, chain


class _Vessels(NamedTuple):
    """Vessels on and around the pancreas, and the veins in the liver."""

    arteries: list[Part]
    veins: list[Part]
    cava: list[Part]
    hepatic: list[Part]


def draw_pancreas(s: Sketch, lesion_rng: np.random.Generator | None) -> list[Solid]:
    """Return fat bed, vessels, pancreas with its ducts, and tumour, in painting order.

    Args:
        s: Sketch of the patient.
        lesion_rng: Random numbers for the tumour, separate from the patient's; None: no tumour.

    Returns:
        The shapes to paint after all other organs.
    """
    knots, radii = _course(s)
    lesion = _lesion(lesion_rng, knots) if lesion_rng else None
    vessels = _Vessels(_arteries(s), _portal_veins(s, knots, radii), _cava(s), _hepatic_veins(s))
    return _shapes(s, knots, radii, lesion, vessels)


def _course(s: Sketch) -> tuple[Point, Point]:
    """Return knots (n, 3) and radii (n,) of the pancreas in mm, from head to tail."""
    knots = np.array([(-42, 0, -50), (-41, -2, -32), (-29, -11, -14), (-8, -25, -2), (16, -25, 7),
                      (43, -9, 18), (64, 8, 27), (77, 19, 33)], float)  # fmt: skip
    radii = np.array([10, 13.5, 12.5, 8.5, 9.8, 9.8, 9, 7.2])
    lift = np.array([0, 0, 0, 0, 0.3, 0.6, 0.9, 1.0])
    knots[:, 2] += lift * s.vary(-22, 6) + s.vary(-6, 6)
    knots[3:6, 2] += s.vary(-6, 12)
    knots[1:-1, 1] += s.vary(-3, 2)
    knots = knots * s.scale + s.rng.uniform(-3, 3, knots.shape)
    lengths = np.linalg.norm(np.diff(knots, axis=0), axis=1)
    estimate_ml = 1.25e-3 * np.pi * float((lengths * (radii[1:] ** 2 + radii[:-1] ** 2) / 2).sum())
    radii = radii * s.rng.uniform(0.94, 1.06, len(radii))
    return knots, radii * np.clip(np.sqrt(s.vary(54, 92) / estimate_ml), 0.85, 1.18)


def _lesion(rng: np.random.Generator, knots: Point) -> Ellipsoid:
    """Return a tumour of 20–35 mm in the head or the body."""
    knot = knots[[1, 2, 4, 5][int(rng.integers(4))]]
    centre = knot + rng.uniform(-4, 4, 3)
    return Ellipsoid(centre, np.full(3, rng.uniform(10.5, 16.5)) * rng.uniform(0.94, 1.06, 3))


def _arteries(s: Sketch) -> list[Part]:
    """Return aorta, superior mesenteric artery, and coeliac trunk with the hepatic artery."""
    aorta = s.tube([(6, 14, -230), (7, 18, -90), (9, 20, 0), (10, 20, 150)], [8, 9, 10, 11], 1)
    mesenteric = s.tube(
        [(8, 12, 12), (5, 0, 2), (3, -3, -25), (-2, -8, -150)], [3.6, 3.6, 3.4, 2.5], 1
    )
    coeliac = s.tube(
        [(8, 12, 22), (8, 0, 24), (-18, -4, 26), (-40, -14, 36)], [3.4, 3.2, 2.6, 2], 1
    )
    return [*aorta, *mesenteric, *coeliac]


def _portal_veins(s: Sketch, knots: Point, radii: Point) -> list[Part]:
    """Return the splenic vein behind body and tail, the portal and mesenteric vein at the neck."""
    behind = np.stack([0 * radii, radii + 4.5, 0 * radii + 1.5], 1)
    splenic = (knots + behind)[3:]
    hilum, meeting = splenic[-1] + np.array([12.0, 4, 2]), splenic[0]
    lower = np.array([(-14, -12, -190), (-14, -13, -90), (-12, -11, -40)]) * s.scale
    porta = np.array([(-28, -6, 22), (-46, -8, 42)]) * s.scale
    trunk = np.vstack([lower, meeting, porta])
    return [
        *chain(trunk, np.array([4, 5.5, 6, 6.8, 6.8, 6.5])),
        *chain(np.vstack([splenic, hilum]), np.full(len(splenic) + 1, 4.3)),
    ]


def _cava(s: Sketch) -> list[Part]:
    """Return the inferior vena cava with the left and right renal vein."""
    trunk = s.tube([(-18, 22, -230), (-20, 20, -60), (-22, 18, 10), (-24, 12, 90), (-18, 4, 140)],
                   [10, 10, 11, 12, 12], 1.5)  # fmt: skip
    left = s.tube([(44, 38, -12), (16, 6, -12), (-18, 16, -8)], [4, 4, 4], 1)
    right = s.tube([(-42, 40, -26), (-22, 22, -20)], [4.5, 4.5], 1)
    return [*trunk, *left, *right]


def _hepatic_veins(s: Sketch) -> list[Part]:
    """Return the branches of the portal and hepatic veins in the liver."""
    parts: list[Part] = []
    for path in (
        [(-46, -8, 42), (-75, 0, 44), (-105, 20, 40)], [(-75, 0, 44), (-95, -30, 60)],
        [(-46, -8, 42), (-30, -40, 58), (15, -52, 60)], [(-75, 0, 44), (-90, 5, 5)],
        [(-25, 10, 88), (-70, 15, 82), (-110, 0, 55)], [(-25, 8, 88), (-55, -35, 75)],
        [(-22, 5, 90), (-10, -40, 76)],
    ):  # fmt: skip
        parts += s.tube(path, np.linspace(5, 2.2, len(path)), 3)
    return parts


def _shapes(
    s: Sketch, knots: Point, radii: Point, lesion: Ellipsoid | None, vessels: _Vessels
) -> list[Solid]:
    """Return everything as shapes, in painting order; a tumour widens the duct."""
    uncinate = Ellipsoid(np.array([-22, 2.5, -38]) * s.scale, np.array([15.0, 9, 14]) * s.scale)
    gland: list[Part] = [*chain(knots, radii, 1.15), uncinate]
    bed: list[Part] = [*gland, lesion] if lesion else gland
    vein, lobule_mm = s.hu["vein"], s.vary(0.7, 1.3)
    width = 2.6 if lesion else s.vary(0.7, 1.2)
    ducts = chain(knots[1:], np.full(len(knots) - 1, width))
    bile = s.tube([(-42, -6, 6), (-40, 1, -14), (-46, 2, -38)], [3.2, 3, 2.2], 1)
    shapes = [
        Solid(vessels.hepatic, [Layer("vein", vein)], in_cavity=True),
        Solid(bed, [Layer("fat", s.hu["fat"], -s.vary(1.2, 3.0))], 1.3),
        Solid(bile, [Layer("fat", 5)]),
        Solid(vessels.cava, [Layer("vein", vein - 12)]),
        Solid(vessels.arteries, [Layer("artery", s.hu["artery"])]),
        Solid(vessels.veins, [Layer("vein", vein)]),
        Solid(gland, [Layer("pancreas", s.hu["pancreas"])], lobule_mm=lobule_mm),
        Solid(ducts, [Layer("pancreas", 25)]),
    ]
    if lesion:
        near = [*vessels.veins, *vessels.arteries, *vessels.cava]
        layers = [Layer("tumour", s.hu["tumour"])]
        shapes.append(Solid([lesion], layers, 1.0, lobule_mm, carved=near))
    return shapes
