"""Choose the series of a study to measure: portal-venous, axial, thin, with a soft-tissue kernel.

The rules, in this order, for each study on its own:

1. A study's only volume is taken, whatever it is: the verdict judges it.
2. Otherwise a volume must be axial, and no projection, map or screenshot.
3. Its text names the portal-venous phase. Where no volume of the study names any phase, all pass
   that do not say that they are without contrast agent.
4. Its kernel is none for bone, lung or edges. A kernel that is missing or unknown passes.
5. Its slices are at most 5 mm thick and apart, where phases are named.
6. Of those that are left, the thinnest passes, where phases are named; slices up to a tenth thicker
   are a tie. Without phases, the thinner of two volumes may be the arterial one.

A tie is for a person to decide.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pancseg.scans.dicom.contrast_phase import PORTAL_VENOUS
from pancseg.scans.dicom.series_facts import SeriesFacts

THICKEST_MM = 5.0
_TIE = 1.1
"""Slices up to a tenth thicker than the thinnest count as equally thin."""
_SAME_MM = 0.05
_SOFTEST_SHARP = 50
"""Siemens numbers kernels by sharpness: B30f, Br40d are for soft tissue, B60f, Bl57 are not."""
_NUMBERED = re.compile(r"[A-Z][a-z]?(\d{2,3})[a-z]{0,2}(?:/\d)?")
_CANON = re.compile(r"F[CLS](\d{2})(?:-[A-Z0-9]{1,2})?")
_SHARP_WORDS = re.compile(r"lung|bone|edge|sharp|ultra|chest", re.IGNORECASE)
_SHARP_PHILIPS = frozenset(("D", "E", "L", "YB", "YC", "YD"))


@dataclass(frozen=True)
class Choice:
    """What the rules say about the series of a folder.

    Attributes:
        candidates: the series that pass; one per study, or several that tie.
        against: for every series in order, why it is not a candidate; empty if it is.
    """

    candidates: tuple[SeriesFacts, ...]
    against: tuple[str, ...]


def choose(series: Sequence[SeriesFacts]) -> Choice:
    """Return the series that the rules choose, study by study.

    Args:
        series: the series of one patient, as :func:`pancseg.scans.dicom.study.series_below` does.
    """
    against = {id(each): _no_volume(each) for each in series}
    for study in {each.first.study_uid for each in series}:
        inside = [each for each in series if each.first.study_uid == study]
        volumes = [each for each in inside if each.is_volume]
        if len(volumes) == 1:
            if lost := sum(continues(volumes[0], each) for each in inside):
                against[id(volumes[0])] = f"{lost} other series may hold slices of it"
        elif volumes:
            against |= _by_rules(volumes)
    reasons = tuple(against[id(each)] for each in series)
    passed = [each for each, reason in zip(series, reasons, strict=True) if not reason]
    return Choice(tuple(passed), reasons)


def _by_rules(volumes: Sequence[SeriesFacts]) -> dict[int, str]:
    """Return for each volume of a study why it is no candidate."""
    named = any(each.phase for each in volumes)
    against = {id(each): _unfit(each, named) for each in volumes}
    fit = [each for each in volumes if not against[id(each)]]
    thinnest_mm = min((each.slice_mm for each in fit), default=0.0)
    for each in fit if named else ():
        if each.slice_mm > _TIE * thinnest_mm:
            against[id(each)] = f"thicker than the thinnest that fits ({thinnest_mm:.3g} mm)"
    return against


def _no_volume(series: SeriesFacts) -> str:
    first = series.first
    if first.modality != "CT":
        return f"no CT but {first.modality}"
    if first.localizer:
        return "localizer"
    if not series.is_volume:
        count = len(series.places_mm)
        return f"no volume: {count} place{'s' if count != 1 else ''} of slices"
    return ""


def _unfit(series: SeriesFacts, phases_named: bool) -> str:
    if series.plane != "axial":
        return series.plane or "no orientation"
    if series.first.derived:
        return "projection, map or screenshot"
    if series.phase not in ("", PORTAL_VENOUS):
        return f"phase {series.phase}"
    if phases_named and not series.phase:
        return "names no phase, as others do"
    if not series.phase and series.first.contrast == "no":
        return "no contrast agent"
    if is_sharp(series.first.kernel):
        return f"sharp kernel {series.first.kernel}"
    if phases_named and series.slice_mm > THICKEST_MM:
        return f"slices of {series.slice_mm:.3g} mm"
    return ""


def is_sharp(kernel: str) -> bool:
    """Return whether a kernel is known to be one for bone, lung or edges.

    >>> [is_sharp(kernel) for kernel in ("Br40d/3", "B70f", "STANDARD", "LUNG", "FC52", "")]
    [False, True, False, True, True, False]
    """
    if found := _CANON.fullmatch(kernel):
        return int(found[1]) >= 30
    if found := _NUMBERED.fullmatch(kernel):
        return int(found[1]) >= _SOFTEST_SHARP
    return kernel in _SHARP_PHILIPS or _SHARP_WORDS.search(kernel) is not None


def continues(volume: SeriesFacts, other: SeriesFacts) -> bool:
    """Return whether slices of another series fit into a gap of a volume, or onto its end.

    Then they are likely slices of it under another UID, as a faulty export leaves them.
    """
    mine, theirs = volume.frames[0], other.frames[:1]
    if other is volume or not theirs or other.size != volume.size or other.first.localizer:
        return False
    pairs = zip((mine.axes, mine.spacing_mm), (theirs[0].axes, theirs[0].spacing_mm), strict=True)
    if not all(a and b and np.allclose(a, b, atol=1e-3) for a, b in pairs):
        return False
    known, step = np.array(volume.places_mm), volume.distance_mm
    for place in other.places_mm:
        off = abs((place - known[0]) / step - round((place - known[0]) / step)) * step
        near = known[0] - 1.5 * step < place < known[-1] + 1.5 * step
        if near and off < _SAME_MM and np.abs(known - place).min() > step / 2:
            return True
    return False
