"""The section of the report on the validation that leaves one site out at a time."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pancseg.modelling.analysis.measure_names import main_measure
from pancseg.modelling.internal_external import (
    FEWEST_OF_EACH,
    SiteResult,
    pooled_over,
)
from pancseg.modelling.report.parts import Picture, Section, number, with_interval
from pancseg.modelling.report.picture_files import COLOURS, picture_files, wrapped
from pancseg.modelling.study import RADIOMICS, SHOWN
from pancseg.modelling.validation.measures import Estimate
from pancseg.system.text.number_text import DASH
from pancseg.tables.html_page import escape_markdown

NAME = "sites"


def sites_section(results: list[SiteResult], kind: str, column: str) -> Section:
    """Return the section.

    Args:
        results: of each site.
        kind: ``subtype`` or ``survival``.
        column: whose values are the sites.
    """
    main = main_measure(kind)
    names = [name for name in SHOWN if any(name in site.measures for site in results)]
    rows = [
        [
            escape_markdown(site.site),
            str(site.rows),
            str(site.positive),
            *(
                with_interval(site.measures[name]) if name in site.measures else DASH
                for name in names
            ),
        ]
        for site in results
    ]
    found = {name: pooled_over(results, name) for name in names}
    mean, new, spread = [], [], []
    for name in names:
        each = found[name]
        mean.append(DASH if each is None else with_interval(each.value))
        nothing = each is None or np.isnan(each.new_site[0])
        new.append(
            DASH
            if nothing or each is None
            else f"{number(each.new_site[0])} to {number(each.new_site[1])}"
        )
        spread.append(DASH if each is None else number(each.heterogeneity))
    rows += [["pooled", "", "", *mean], ["in a new site", "", "", *new]]
    rows.append(["SD between sites (logit)", "", "", *spread])
    header = ["site", "n", "events" if kind == "survival" else "positive", *names]
    who = "with the event" if kind == "survival" else "of either class"
    lines = [
        f"Each value of {escape_markdown(column)} in turn was left out, the models were fitted to "
        f"the others, tuning included, and judged in it. {main} is pooled by random effects "
        "(logit scale, DerSimonian–Laird, Hartung–Knapp); the last interval is where that of a new "
        "site is expected (95 % prediction interval; three sites or more). On that scale a value "
        "counts as no nearer to 0 or 1 than half a patient of its site, so that sites in perfect "
        "order have an interval too; the pooled value is within the range of the sites'. A site "
        "with fewer than "
        f"{FEWEST_OF_EACH} patients {who} has no value.",
    ]
    few = sum(bool(site.measures) for site in results)
    if few < 5:
        lines.append(f"{few} sites say little about the spread between sites.")
    picture = Picture(
        f"{NAME}.png",
        f"{main} of radiomics in each site, by a model fitted to the other sites, with 95 % "
        "intervals; below, pooled, and where a new site is expected.",
    )
    caption = f"Internal–external validation: {main} with 95 % intervals."
    return Section("Sites left out", lines, header, rows, [picture], caption)


def sites_files(results: list[SiteResult], kind: str) -> dict[str, bytes]:
    """Return the files of the forest plot."""
    height = 1.6 + 0.32 * (len(results) + 2)
    return picture_files(NAME, lambda figure: _draw(figure, results, kind), (6.3, height))


def _draw(figure: Figure, results: list[SiteResult], kind: str) -> None:
    axes, labels = figure.add_subplot(), []
    for place, site in enumerate(results):
        labels.append(wrapped(f"{site.site} ({site.positive} of {site.rows})"))
        if RADIOMICS in site.measures:
            _bar(axes, -place, site.measures[RADIOMICS], COLOURS[0])
    found = pooled_over(results, RADIOMICS)
    if found is not None:
        place = len(results)
        labels.append("pooled")
        _bar(axes, -place, found.value, COLOURS[1])
        if not np.isnan(found.new_site[0]):
            labels.append("new site")
            axes.plot(found.new_site, [-place - 1] * 2, color=COLOURS[1], linewidth=4, alpha=0.5)
    axes.axvline(0.5, color="0.7", linewidth=1)
    axes.set_yticks([-k for k in range(len(labels))], labels)
    axes.set(xlabel=f"{main_measure(kind)} (95 % interval)", title="Sites left out: radiomics")
    axes.tick_params(axis="y", labelsize=8)


def _bar(axes: Axes, y: float, found: Estimate, colour: str) -> None:
    axes.errorbar(
        found.value,
        y,
        xerr=[[found.value - found.low], [found.high - found.value]],
        fmt="o",
        color=colour,
        capsize=3,
    )
