"""Format an evaluation's tables as Markdown: numbers are rounded, missing ones are a dash."""

from __future__ import annotations

import math

import pandas as pd

from pancseg.system.text.number_text import DASH, decimals
from pancseg.tables.html_page import escape_markdown
from pancseg.tables.markdown_table import markdown_table

TITLES = {
    "dice": "Dice",
    "hd95_mm": "HD95, mm",
    "surface_dice_2mm": "surface Dice, 2 mm",
    "volume_error_ml": "volume error, mL",
    "volume_error_percent": "volume error, %",
    "absolute_volume_error_percent": "absolute volume error, %",
}
_DIGITS = {"dice": 3, "surface_dice_2mm": 3}


def number(value: float, digits: int) -> str:
    """Return a rounded number, or a dash when it is missing."""
    return DASH if pd.isna(value) else decimals(value, digits)


def p_value(p: float) -> str:
    """Return a p-value with three decimals, ``< 0.001`` below that, a dash if it is missing."""
    if pd.isna(p):
        return DASH
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def mean_std(mean: float, std: float, digits: int) -> str:
    """Return "mean ± std", or only the mean when there is no deviation (one case)."""
    if math.isnan(std):
        return number(mean, digits)
    return f"{number(mean, digits)} ± {number(std, digits)}"


def summary(summary: pd.DataFrame) -> str:
    """Return the summary table as Markdown: one row per measure and model."""
    titles = ["measure", "model", "n", "without", "mean ± std", "median", "95 % interval of mean"]
    rows = []
    for row in summary.sort_values("measure", key=_order, kind="stable").to_dict("records"):
        digits = _DIGITS.get(row["measure"], 1)
        cells = [
            TITLES[row["measure"]],
            escape_markdown(row["model"]),
            str(row["n"]),
            str(row["n_missing"]),
        ]
        cells += [mean_std(row["mean"], row["std"], digits), number(row["median"], digits)]
        rows.append([*cells, _interval(row["ci_low"], row["ci_high"], digits)])
    return markdown_table(titles, rows, left=2)


def comparisons(comparisons: pd.DataFrame) -> str:
    """Return the comparisons as Markdown: difference, interval, p-values and Holm's corrections."""
    titles = ["measure", "models", "n", "difference", "95 % interval"]
    tests = {"t_test_p": "t-test", "paired_t_p": "paired t", "wilcoxon_p": "Wilcoxon"}
    titles += [title for name in tests.values() for title in (f"{name} p", "Holm")]
    rows = []
    for row in comparisons.to_dict("records"):
        digits = _DIGITS.get(row["measure"], 1)
        interval = _interval(row["difference_ci_low"], row["difference_ci_high"], digits)
        models = escape_markdown(f"{row['model_a']} − {row['model_b']}")
        cells = [TITLES[row["measure"]], models, str(row["n"])]
        cells += [number(row["difference"], digits), interval]
        cells += [p_value(row[name + end]) for name in tests for end in ("", "_holm")]
        rows.append(cells)
    return markdown_table(titles, rows, left=2)


def table_2(table_2: pd.DataFrame) -> str:
    """Return the paper's table as Markdown; what the paper reports appears only if there is any."""
    compared = [name for name in table_2["compared_with"].unique() if name]
    has_published = (
        "published_dice_mean" in table_2 and table_2["published_dice_mean"].notna().any()
    )
    has_parameters = "parameters" in table_2 and table_2["parameters"].notna().any()
    titles = ["network", *(["parameters"] if has_parameters else []), "n", "Dice, mean ± std"]
    titles += ["as published (MSD, n = 85)"] if has_published else []
    if compared:
        titles += [
            f"{test} p against {escape_markdown(compared[0])}"
            for test in ("t-test", "Wilcoxon–Holm")
        ]
    rows = []
    for row in table_2.to_dict("records"):
        cells = [escape_markdown(row["network"])]
        if has_parameters:
            cells += [DASH if pd.isna(row["parameters"]) else f"{row['parameters']:,}"]
        cells += [str(row["n"]), mean_std(row["dice_mean"], row["dice_std"], 2)]
        if has_published:
            cells += [mean_std(row["published_dice_mean"], row["published_dice_std"], 2)]
        if compared:
            cells += [p_value(row["t_test_p"]), p_value(row["wilcoxon_p_holm"])]
        rows.append(cells)
    return markdown_table(titles, rows, left=1)


def _interval(low: float, high: float, digits: int) -> str:
    return DASH if math.isnan(low) else f"{number(low, digits)} to {number(high, digits)}"


def _order(measures: pd.Series[str]) -> pd.Series[int]:
    """Return the position of each measure in ``TITLES``."""
    return measures.map({measure: position for position, measure in enumerate(TITLES)})
