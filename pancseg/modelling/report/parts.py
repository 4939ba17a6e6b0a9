"""The parts of a report, and how they are written as Markdown: sentences, tables, figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pancseg.modelling.validation.measures import Estimate
from pancseg.modelling.words import listed
from pancseg.system.text.number_text import DASH, decimals
from pancseg.tables.markdown_table import markdown_table


@dataclass(frozen=True)
class Picture:
    """A figure of the report.

    Attributes:
        file: name of its PNG file.
        caption: what it shows, with the definitions and numbers that a reader needs.
    """

    file: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A heading, sentences, perhaps a table and figures.

    Attributes:
        title: the heading.
        lines: paragraphs, as Markdown.
        header: names of the table's columns; empty: no table.
        rows: cells of the table.
        pictures: figures, below the table.
        caption: what the table shows; with it the table gets a number.
        notes: paragraphs below the table.
        level: of the heading, 2 or 3.
    """

    title: str
    lines: Sequence[str] = ()
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    pictures: Sequence[Picture] = ()
    caption: str = ""
    notes: Sequence[str] = ()
    level: int = 2


def markdown(title: str, parts: Sequence[Section]) -> str:
    """Return sections as Markdown; tables and figures are numbered, pictures are files beside it.

    >>> print(markdown("A", [Section("B", ["c"], ["d"], [["e"]], caption="f")]), end="")
    # A
    <BLANKLINE>
    ## B
    <BLANKLINE>
    c
    <BLANKLINE>
    **Table 1.** f
    <BLANKLINE>
    | d |
    | --- |
    | e |
    """
    out, tables, figures = [f"# {title}\n"], 0, 0
    for part in parts:
        out.append(f"{'#' * part.level} {part.title}\n")
        out += [f"{line}\n" for line in part.lines]
        if part.header:
            if part.caption:
                tables += 1
                out.append(f"**Table {tables}.** {part.caption}\n")
            out.append(markdown_table(part.header, part.rows))
        out += [f"{line}\n" for line in part.notes]
        for picture in part.pictures:
            figures += 1
            out.append(f"![Figure {figures}]({picture.file})\n")
            out.append(f"**Figure {figures}.** {picture.caption}\n")
    return "\n".join(out)


def columns_named(columns: Sequence[str]) -> str:
    """Return what the outcome is, by the columns that hold it.

    >>> columns_named(["grade"]), columns_named(["months", "died"])
    ('grade', 'the time to an event (columns months and died)')
    """
    if len(columns) == 1:
        return columns[0]
    return f"the time to an event (columns {listed(columns)})"


def pooled(repeats: int, most: int) -> str:
    """Return a sentence on the repeats of a cross-validation that are pooled, or nothing of one.

    >>> pooled(20, 10), pooled(1, 10)
    (' Predictions of 10 of 20 repeats are pooled.', '')
    """
    if repeats == 1:
        return ""
    which = f"the {repeats}" if repeats <= most else f"{most} of {repeats}"
    return f" Predictions of {which} repeats are pooled."


def number(value: float) -> str:
    """Return a number with three decimals, never a negative zero, or a dash for NaN."""
    return decimals(value, 3)


def digits(value: float, count: int = 4) -> str:
    """Return a number with so many significant digits, or a dash for NaN.

    >>> digits(-0.0123456), digits(123456.0)
    ('−0.01235', '123500')
    """
    if math.isnan(value):
        return DASH
    if value and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.{count - 1}e}".replace("-", "−")
    places = 0 if not value else count - 1 - math.floor(math.log10(abs(value)))
    return decimals(round(value, places), max(places, 0))


def with_interval(found: Estimate) -> str:
    """Return an estimate and its interval as text for a table."""
    if math.isnan(found.value):
        return DASH
    if math.isnan(found.low) and math.isnan(found.high):
        return number(found.value)
    return f"{number(found.value)} ({number(found.low)} to {number(found.high)})"


def in_most(repeats: int) -> str:
    """Return where something holds that holds in more than half of the repeats.

    >>> in_most(1), in_most(2), in_most(5)
    ('', ' in both repeats', ' in more than half of the 5 repeats')
    """
    if repeats == 1:
        return ""
    return " in both repeats" if repeats == 2 else f" in more than half of the {repeats} repeats"


def class_called(name: str) -> str:
    """Return how a class is called; its name alone would be read as a number or an answer.

    >>> class_called("1"), class_called("yes"), class_called("basal")
    ('class 1', 'class yes', 'basal')
    """
    bare = name[:1].isalpha() and name.casefold() not in {"yes", "no", "true", "false"}
    return name if bare else f"class {name}"


def of_class(count: int, name: str) -> str:
    """Return how many rows a class has.

    >>> of_class(46, "1"), of_class(3, "yes"), of_class(3, "basal")
    ('46 of class 1', '3 of class yes', '3 basal')
    """
    called = class_called(name)
    return f"{count} {name}" if called == name else f"{count} of {called}"
