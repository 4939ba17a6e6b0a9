"""Choose segments of a mask that names them: by name, by number, or those that mean pancreas."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pancseg.cohort.roi import Label, Labels
from pancseg.cohort.roi_tokens import name_key, quoted
from pancseg.errors import UnusableCase
from pancseg.scans.segment_names import Meaning, meaning_of_segment
from pancseg.scans.segments import Segment
from pancseg.system.text.excerpt import excerpt

_MOST_LISTED = 10
_LONGEST_SHOWN = 40
_OTHERS = {Meaning.NOTHING, Meaning.OTHER}
_SEPARATORS = re.compile(r"[\s_-]+")
NAME_ONE = "name one by mask_label, `label` or `roi`"


class Chosen(NamedTuple):
    """Segments that form a region, or that it surrounds.

    Attributes:
        values: of the label map's voxels, in rising order.
        made_of: the segments: their names, or their numbers where they have none.
        without: those that took voxels away from them.
        note: what is said of names to leave out that the file does not describe; empty if it
            describes all.
    """

    values: tuple[int, ...]
    made_of: tuple[str, ...]
    without: tuple[str, ...] = ()
    note: str = ""

    def joined(self, mark: str = "+") -> str:
        """Return the choice as an expression.

        >>> Chosen((1,), ("pancreas",), ("duct", "tumour")).joined()
        'pancreas without duct+tumour'
        """
        difference = f" without {mark.join(self.without)}" if self.without else ""
        return f"{mark.join(self.made_of)}{difference}"


def chosen(
    segments: Sequence[Segment],
    present: Iterable[int],
    wanted: Labels | None,
    remedy: str = NAME_ONE,
) -> Chosen:
    """Return the segments that a choice means, of those that have voxels.

    Args:
        segments: all segments that the mask's file describes.
        present: values of the label map that have voxels.
        wanted: names or numbers; None for the pancreas and its tumour.
        remedy: what the message of names that do not tell the pancreas tells to do.

    Raises:
        UnusableCase: ``no_label`` where none of the segments has voxels or is in the file;
            ``several_labels`` where a choice could mean several, or none was made and the names
            do not tell; a segment's own problem where it is chosen.
    """
    present = set(present)
    covered = {value for each in segments for value in each.inside}
    loose = (Segment("", (n,), 0, (n,)) for n in sorted(present - covered))
    every = [*segments, *loose]
    there = [each for each in every if present & set(each.inside) or _would_be_missed(each)]
    if wanted is None:
        return _as_chosen(_meaning_pancreas(there, remedy), present, ())
    every += _parts(segments)
    usable = [each for each in every if present & set(each.inside) or each.problem]
    included = there if wanted.included is None else _named(wanted.included, every)
    left_out = _named(wanted.without, every)
    taken = [each for each in usable if each in included and each not in left_out]
    found = _as_chosen(taken, present, left_out)
    if not found.values:
        missing = "other segment" if wanted.included is None else f"segment {wanted}"
        raise UnusableCase("no_label", f"the mask has no {missing}; it has {listed(there)}")
    return found._replace(note=_not_left_out(wanted.without, every, there))


def listed(segments: Sequence[Segment]) -> str:
    """Return the segments as a message lists them: ``pancreas (2), tumour (3)``."""
    shown = ", ".join(f"{label_of(each)} ({_numbers(each)})" for each in segments[:_MOST_LISTED])
    more = len(segments) - _MOST_LISTED
    return f"{shown} and {more} more" if more > 0 else shown


def label_of(segment: Segment) -> str:
    """Return a segment's name as an expression writes it, shortened; its number without a name.

    The number stands also for a name that is not to be shown.
    """
    name = name_key(segment.name) if segment.shown else ""
    return quoted(excerpt(name, _LONGEST_SHOWN)) if name else _numbers(segment)


def check_assumed(segments: Sequence[Segment], number: int) -> None:
    """Refuse a label of the settings that a mask's file names otherwise than as pancreas or tumour.

    Parameter files name a label by habit (``label: 1``), without a look at the masks.

    Raises:
        UnusableCase: ``several_labels``.
    """
    for each in segments:
        if number in each.values and meaning_of_segment(each) is Meaning.OTHER:
            raise UnusableCase(
                "several_labels",
                f"the settings ask for label {number}, which the mask names {label_of(each)} (of "
                f"{listed(segments)}); {NAME_ONE}",
            )


def _would_be_missed(segment: Segment) -> bool:
    """Return whether a segment that cannot be used is one that a region may not lack unnoticed."""
    return bool(segment.problem) and meaning_of_segment(segment) not in _OTHERS


def _as_chosen(taken: Sequence[Segment], present: set[int], left_out: Sequence[Segment]) -> Chosen:
    """Return segments as a choice.

    Raises:
        UnusableCase: the problem of one of them that cannot be used.
    """
    for each in (*taken, *left_out):
        if each.problem:
            raise UnusableCase(each.problem.code, f"segment {label_of(each)}: {each.problem.fact}")
    values = {value for each in taken for value in each.inside} & present
    values -= {value for each in left_out for value in each.inside}
    shown = [each for each in taken if values & set(each.inside)]
    shared = {value for each in shown for value in each.inside} & present
    without = [each for each in left_out if shared & set(each.inside)]
    return Chosen(tuple(sorted(values)), _labels_of(shown), _labels_of(without))


def _labels_of(segments: Sequence[Segment]) -> tuple[str, ...]:
    return tuple(map(label_of, segments))


def _parts(segments: Sequence[Segment]) -> list[Segment]:
    """Return the values that only segments of several values have, to be chosen by number.

    nnU-Net's regions overlap so: pancreas 1 and 2, tumour 2. In a map of layers, whose values are
    not those of the file, there are none.
    """
    if any(each.layer or each.inside != each.values for each in segments):
        return []
    alone = {each.values[0] for each in segments if len(each.values) == 1}
    shared = {value for each in segments for value in each.values} - alone
    return [Segment("", (value,), 0, (value,)) for value in sorted(shared)]


def _meaning_pancreas(there: Sequence[Segment], remedy: str) -> list[Segment]:
    """Return the segments that are taken without a choice.

    A tumour whose organ its name does not tell is the pancreas's, if nothing else is there.
    """
    means = [meaning_of_segment(each) for each in there]
    if len(there) == 1 and means[0] is Meaning.NOTHING:
        return [*there]
    certain = {Meaning.PANCREAS, Meaning.ITS_TUMOUR}
    if Meaning.TUMOUR in means and set(means) <= certain | {Meaning.TUMOUR}:
        return [*there]
    if Meaning.TUMOUR not in means and certain & set(means):
        return [each for each, meaning in zip(there, means, strict=True) if meaning in certain]
    which = "several organs and a tumour" if Meaning.TUMOUR in means else "no segment pancreas"
    if all(meaning is Meaning.NOTHING for meaning in means):
        which = "several segments without names"
    raise UnusableCase("several_labels", f"the mask has {which}, but {listed(there)}; {remedy}")


def _named(labels: Sequence[Label], every: Sequence[Segment]) -> list[Segment]:
    """Return the segments of some names and numbers, of those that are in the file.

    A name means the segments that have it, or where none has, those whose code means it.

    Raises:
        UnusableCase: ``several_labels``, where one name or number fits two segments.
    """
    found: list[Segment] = []
    for label in labels:
        fitting = [each for each in every if _fits(label, each)]
        if not fitting and isinstance(label, str):
            fitting = [each for each in every if is_named(label, each.coded)]
        if len(fitting) > 1:
            what = f"number {label}" if isinstance(label, int) else f"name {quoted(label)}"
            other = "name" if isinstance(label, int) else "number"
            raise UnusableCase(
                "several_labels",
                f"the {what} fits {len(fitting)} segments of the mask ({listed(fitting)}); give "
                f"the {other}, or rename one",
            )
        found += [each for each in fitting if each not in found]
    return found


def _not_left_out(
    without: Sequence[Label], every: Sequence[Segment], there: Sequence[Segment]
) -> str:
    """Return what is said of names to leave out that are not in the file; empty if all are.

    A patient may have no such segment, or the name is misspelt.
    """
    absent = [quoted(n) for n in without if isinstance(n, str) and not _named([n], every)]
    if not absent:
        return ""
    return (
        f"the mask describes no segment {' or '.join(absent)} to leave out (it has "
        f"{listed(there)}); correct the name, unless this patient has none"
    )


def _fits(label: Label, segment: Segment) -> bool:
    if isinstance(label, int):
        return segment.values == (label,)
    return is_named(label, segment.name)


def is_named(label: str, name: str) -> bool:
    """Return whether a name in an expression means a name in a file."""
    return bool(name) and _plain(label) == _plain(name_key(name))


def _plain(name: str) -> str:
    """Return a name with blanks for underscores and hyphens."""
    return _SEPARATORS.sub(" ", name).strip()


def _numbers(segment: Segment) -> str:
    numbers = "+".join(map(str, segment.values))
    return f"{numbers} in layer {segment.layer}" if segment.layer else numbers
