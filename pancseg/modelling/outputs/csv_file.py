"""Write tables as CSV, with no text that a spreadsheet program would run as a formula."""

from __future__ import annotations

import io

import pandas as pd

from pancseg.cohort.formulas import refuse_formulas


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as CSV (UTF-8, LF); numbers read back bit for bit.

    Raises:
        ValueError: a name is a formula to spreadsheet programs; those of tables are refused sooner.
    """
    texts = [
        table[name] for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])
    ]
    for cells in (table.columns, *texts):
        refuse_formulas(map(str, cells), "the names in a table", "change them")
    text = io.StringIO()
    table.to_csv(text, index=False, lineterminator="\n")
    return text.getvalue().encode()
