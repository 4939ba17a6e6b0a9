"""README.md's table of reasons, with options where the registry names parameters.

``python -c "from pancseg.cli.reasons import markdown; print(markdown())"``
"""

from __future__ import annotations

from pancseg.cli.parameters import with_options
from pancseg.reasons import EXCEPTION, REASONS


def markdown() -> str:
    """Return README.md's table."""
    rows = [(f"`{code}`", *reason) for code, reason in REASONS.items()]
    rows.append(("`KeyError`, …", *EXCEPTION))
    lines = ["| code | status | what happened | what to do |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return with_options("\n".join(lines), shown="`{}`")
