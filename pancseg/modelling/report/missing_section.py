"""The section of the report on missing values, and on columns that some folds could not use."""

from __future__ import annotations

import pandas as pd

from pancseg.modelling.report.parts import Section
from pancseg.system.text.number_text import share_of_some
from pancseg.tables.html_page import escape_markdown

_SHOWN = 20


def missing_section(table: pd.DataFrame) -> Section:
    """Return the section.

    Args:
        table: the result of :func:`pancseg.modelling.inputs.gaps.missing_values`.
    """
    rows = [
        [
            *(escape_markdown(name), kind, f"{missing} ({share_of_some(share)})"),
            *(f"{dropped} of {models}" if models else "all", filled),
        ]
        for name, kind, missing, share, dropped, models, filled in table.head(_SHOWN).to_numpy()
    ]
    more = f"; {len(table) - len(rows)} more in missing_values.csv" * (len(table) > len(rows))
    caption = (
        "Columns with missing values, and those that were nearly constant in the training rows of "
        f"some models (dropped){more}."
    )
    header = ["column", "kind", "missing", "dropped in", "filled with"]
    return Section("Missing values", (), header, rows, caption=caption)
