"""Make README.md's table of reasons, with options where the registry names parameters.

``python -c "from pancseg.cli.reasons import markdown; print(markdown())"``
"""

from __future__ import annotations

from pancseg.cli.parameters import with_options
from pancseg.reasons import EXCEPTION, REASONS
from pancseg.tables.markdown_table import markdown_table


def markdown() -> str:
    """Return README.md's table."""
    reasons = {f"`{code}`": reason for code, reason in REASONS.items()}
    rows = [
        (code, *(with_options(cell, shown="`{}`") for cell in reason))
        for code, reason in {**reasons, "`KeyError`, …": EXCEPTION}.items()
    ]
    return markdown_table(["code", "status", "what happened", "what to do"], rows)
