"""Parse expressions for regions: ``1,2``, ``all without 3``, ``ring(1,2;5mm)``, ``Tumor|PDAC``.

::

    region  = labels | "ring(" labels ";" number "mm" [";" number ".." number "HU"] ")"
    labels  = ("all" | list) ["without" list]
    list    = label {"," label}          "+" and "|" may stand for ","
    label   = a whole number above 0 | the name of a segment, in quotes if need be

Blanks around labels and case are ignored. ``1-3`` is not allowed, because it could be read as a
range or as a difference. ``pancseg.features.regions`` makes the voxels of a region from its
expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral

from pancseg.cohort.roi_tokens import Token, as_name, quoted, split_at, tokens_of
from pancseg.system.text.excerpt import excerpt

EXAMPLES = "1,2 or all without 3 or ring(1,2;5mm) or ring(1,2;5mm;-200..300HU) or pancreas,tumour"
WIDEST_RING_MM = 100.0
"""Limits the box in which distances to a ring's labels are computed."""
LONGEST_EXPRESSION = 1000
"""Characters of an expression: enough for all labels of any segmentation that is known."""

Label = int | str
"""The number of a label, or the name of a segment in lower case."""


@dataclass(frozen=True)
class Labels:
    """A union of labels, without some others.

    Attributes:
        included: label values in rising order, then names of segments; None means all non-zero
            labels.
        without: those that are left out, in the same order.
    """

    included: tuple[Label, ...] | None
    without: tuple[Label, ...] = ()

    def among(self, present: Iterable[int]) -> tuple[int, ...]:
        """Return those of a map's labels that belong to the region by number, in the map's order.

        >>> Labels(None, without=(3,)).among([1, 2, 3])
        (1, 2)
        """
        wanted = [n for n in present if self.included is None or n in self.included]
        return tuple(n for n in wanted if n not in self.without)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of segments in the expression."""
        both = (*(self.included or ()), *self.without)
        return tuple(label for label in both if isinstance(label, str))

    def __str__(self) -> str:
        union = "all" if self.included is None else ",".join(map(_label_text, self.included))
        left_out = ",".join(map(_label_text, self.without))
        return f"{union} without {left_out}" if self.without else union


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

    @property
    def names(self) -> tuple[str, ...]:
        """The names of segments in the expression."""
        return self.around.names

    def __str__(self) -> str:
        clip = f";{_text(self.hu[0])}..{_text(self.hu[1])}HU" if self.hu else ""
        return f"ring({self.around};{_text(self.width_mm)}mm{clip})"


Roi = Labels | Ring

_VALUE = re.compile(r"[0-9]{1,9}")
_NUMBER = r"[0-9]{1,6}(?:\.[0-9]{1,6})?"
_WIDTH = re.compile(rf"({_NUMBER})\s*mm")
_CLIP = re.compile(rf"(-?{_NUMBER})\s*\.\.\s*(-?{_NUMBER})\s*hu")
_UNION = (",", "+", "|")
_RESERVED = ("all", "ring")


def as_roi(label: int | str | Roi | None) -> Roi | None:
    """Return a label, an expression or a parsed region as a region; None stays None.

    >>> print(as_roi(2), as_roi("1,2"), as_roi("Tumor"), as_roi(None))
    2 1,2 tumor None

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
    >>> print(parse_roi("Tumor|PDAC|mass"), "|", parse_roi("pancreas without 'head, neck'"))
    mass,pdac,tumor | pancreas without "head, neck"

    Raises:
        ValueError: the text is not an expression, or no voxel could be in the region. The message
            shows valid examples.
    """
    if len(text.strip()) > LONGEST_EXPRESSION:
        raise _refused(text, f"has {len(text.strip())} characters (at most {LONGEST_EXPRESSION})")
    tokens = tokens_of(text)
    if tokens is None:
        raise _no_expression(text)
    if tokens[:2] == [Token("word", "ring"), Token("mark", "(")]:
        if tokens[-1] != Token("mark", ")"):
            raise _no_expression(text)
        return _ring(text, tokens[2:-1])
    return _labels(text, tokens)


def _ring(text: str, inner: list[Token]) -> Ring:
    labels, *measures = split_at(inner, ";")
    if len(measures) not in (1, 2) or any(len(each) != 1 for each in measures):
        raise _no_expression(text)
    width = _WIDTH.fullmatch(measures[0][0].text)
    clip = _CLIP.fullmatch(measures[1][0].text) if len(measures) == 2 else None
    if not width or (len(measures) == 2 and not clip):
        raise _no_expression(text)
    around, width_mm = _labels(text, labels), float(width[1])
    if not 0 < width_mm <= WIDEST_RING_MM:
        raise _refused(
            text, f"is {width_mm:g} mm wide (expected above 0, at most {WIDEST_RING_MM:g} mm)"
        )
    hu = (float(clip[1]), float(clip[2])) if clip else None
    if hu and hu[0] > hu[1]:
        raise _refused(text, f"has its higher HU first ({hu[0]:g}..{hu[1]:g})")
    return Ring(around, width_mm, hu)


def _labels(text: str, tokens: list[Token]) -> Labels:
    union, *rest = split_at(tokens, "without")
    if len(rest) > 1:
        raise _no_expression(text)
    included = None if union == [Token("word", "all")] else _listed(text, union)
    left_out = _listed(text, rest[0]) if rest else ()
    if 0 in (*(included or ()), *left_out):
        raise _refused(text, "names label 0, which is the background")
    if included and set(included) <= set(left_out):
        raise _refused(text, "leaves out every label that it names")
    return Labels(included, left_out)


def _listed(text: str, tokens: list[Token]) -> tuple[Label, ...]:
    """Return the labels of a list in rising order: numbers, then names."""
    marks = tokens[1::2]
    if len(tokens) % 2 == 0 or any(t.kind != "mark" or t.text not in _UNION for t in marks):
        raise _no_expression(text)
    labels: set[Label] = set()
    for token in tokens[::2]:
        if token.kind == "word" and _VALUE.fullmatch(token.text):
            labels.add(int(token.text))
        elif token.kind == "mark" or not (name := as_name(token)) or _is_reserved(token):
            raise _no_expression(text)
        else:
            labels.add(name)
    numbers = sorted(label for label in labels if isinstance(label, int))
    return (*numbers, *sorted(label for label in labels if isinstance(label, str)))


def _is_reserved(token: Token) -> bool:
    return token.kind == "word" and token.text in _RESERVED


def _label_text(label: Label) -> str:
    return quoted(label, _RESERVED) if isinstance(label, str) else str(label)


def _text(value: float) -> str:
    """Return a number without exponent and trailing zeros."""
    digits = format(Decimal(repr(value)), "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _no_expression(text: str) -> ValueError:
    return _refused(text, "is not a region expression")


def _refused(text: str, problem: str) -> ValueError:
    return ValueError(f"{excerpt(repr(text))} {problem}; write for example {EXAMPLES}")
