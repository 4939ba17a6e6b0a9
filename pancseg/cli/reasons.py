"""README.md's table of reasons, with options where the registry names parameters.

``python -c "from pancseg.cli.reasons import markdown; print(markdown())"``
"""

from __future__ import annotations

from pancseg.cli.parameters import with_options
from pancseg.reasons import EXCEPTION, REASONS


def markdown() -> str:
    """Return README.md's table."""
    lines = ["| code | status | what happened | what to do |", "|---|---|---|---|"]
    reasons = {f"`{code}`": reason for code, reason in REASONS.items()}
    for code, reason in {**reasons, "`KeyError`, …": EXCEPTION}.items():
        cells = (with_options(cell, shown="`{}`") for cell in reason)
        lines.append(f"| {code} | {' | '.join(cells)} |")
    return "\n".join(lines)
