"""Parse expressions for regions: ``1,2``, ``all without 3``, ``ring(1,2;5mm)``.

::

    region  = labels | "ring(" labels ";" number "mm" [";" number ".." number "HU"] ")"
    labels  = ("all" | list) ["without" list]
    list    = label {"," label}          "+" may stand for ","; a label is a whole number above 0

Blanks and case are ignored. ``1-3`` is not allowed, because it could be read as a range or as a
difference. ``pancseg.features.regions`` makes the voxels of a region from its expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral

EXAMPLES = "1,2 or all without 3 or ring(1,2;5mm) or ring(1,2;5mm;-200..300HU)"
WIDEST_RING_MM = 100.0
"""Limits the box in which distances to a ring's labels are computed."""


@dataclass(frozen=True)
class Labels:
    """A union of labels, without some others.

    Attributes:
        included: label values in rising order; None means all non-zero labels.
        without: label values that are left out, in rising order.
    """

    included: tuple[int, ...] | None
    without: tuple[int, ...] = ()

    def among(self, present: Iterable[int]) -> tuple[int, ...]:
        """Return those of a map's labels that belong to the region, in the map's order.

        >>> Labels(None, without=(3,)).among([1, 2, 3])
        (1, 2)
        """
        wanted = [n for n in present if self.included is None or n in self.included]
        return tuple(n for n in wanted if n not in self.without)

    def __str__(self) -> str:
        union = "all" if self.included is None else ",".join(map(str, self.included))
        return f"{union} without {','.join(map(str, self.without))}" if self.without else union


@dataclass(frozen=True)
class Ring:
    """The voxels around labels, up to a distance.

    Attributes:
        around: the labels.
        width_mm: width of the ring, above 0 and at most ``WIDEST_RING_MM``.
        hu: lowest and highest HU of the ring's voxels; None takes all.
    """

    around: Labels
    width_mm: float
    hu: tuple[float, float] | None = None

    def __str__(self) -> str:
        clip = f";{_text(self.hu[0])}..{_text(self.hu[1])}HU" if self.hu else ""
        return f"ring({self.around};{_text(self.width_mm)}mm{clip})"


Roi = Labels | Ring

_LIST = r"[0-9]{1,9}(?:\s*[,+]\s*[0-9]{1,9})*"
_LABELS = rf"(?P<union>all|{_LIST})(?:\s+without\s+(?P<without>{_LIST}))?"
_NUMBER = r"[0-9]{1,6}(?:\.[0-9]{1,6})?"
_CLIP = rf"(?P<low>-?{_NUMBER})\s*\.\.\s*(?P<high>-?{_NUMBER})\s*hu"
_UNION = re.compile(_LABELS)
_RING = re.compile(
    rf"ring\s*\(\s*{_LABELS}\s*;\s*(?P<width>{_NUMBER})\s*mm\s*(?:;\s*{_CLIP}\s*)?\)"
)


def as_roi(label: int | str | Roi | None) -> Roi | None:
    """Return a label, an expression or a parsed region as a region; None stays None.

    >>> print(as_roi(2), as_roi("1,2"), as_roi(None))
    2 1,2 None

    Raises:
        TypeError: another type, such as 2.0 or a list.
        ValueError: the text is not an expression; or a label below 1.
    """
    if label is None or isinstance(label, Labels | Ring):
        return label
    if isinstance(label, str):
        return parse_roi(label)
    if isinstance(label, bool) or not isinstance(label, Integral):
        raise TypeError(f"label {label!r} is neither a whole number nor an expression: {EXAMPLES}")
    return parse_roi(str(int(label)))


def parse_roi(text: str) -> Roi:
    """Parse an expression; ``parse_roi(str(roi))`` returns an equal region.

    >>> print(parse_roi("2+1"), "|", parse_roi("Ring( 1, 2 ; 5.0 mm )"))
    1,2 | ring(1,2;5mm)

    Raises:
        ValueError: the text is not an expression, or no voxel could be in the region. The message
            shows valid examples.
    """
    plain = text.strip().lower()
    found = _UNION.fullmatch(plain) or _RING.fullmatch(plain)
    if not found:
        raise _refused(text, "is not a region expression")
    labels = _labels(text, found["union"], found["without"])
    if found.re is _UNION:
        return labels
    width_mm = float(found["width"])
    if not 0 < width_mm <= WIDEST_RING_MM:
        raise _refused(
            text, f"is {width_mm:g} mm wide (expected above 0, at most {WIDEST_RING_MM:g} mm)"
        )
    hu = (float(found["low"]), float(found["high"])) if found["low"] else None
    if hu and hu[0] > hu[1]:
        raise _refused(text, f"has its higher HU first ({hu[0]:g}..{hu[1]:g})")
    return Ring(labels, width_mm, hu)


def _labels(text: str, union: str, without: str | None) -> Labels:
    included = _label_values(union) if union != "all" else None
    left_out = _label_values(without or "")
    if 0 in (*(included or ()), *left_out):
        raise _refused(text, "names label 0, which is the background")
    if included and set(included) <= set(left_out):
        raise _refused(text, "leaves out every label that it names")
    return Labels(included, left_out)


def _label_values(listed: str) -> tuple[int, ...]:
    return tuple(sorted({int(n) for n in re.findall("[0-9]+", listed)}))


def _text(value: float) -> str:
    """Return a number without exponent and trailing zeros."""
    digits = format(Decimal(repr(value)), "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _refused(text: str, problem: str) -> ValueError:
    return ValueError(f"{text!r} {problem}; write for example {EXAMPLES}")
