"""What the page needs is imported before it is made."""

from __future__ import annotations

import subprocess
import sys

from pancseg.system.processes.python_child import child_environment

CODE = """
import sys
from pathlib import Path
from pancseg.cli.commands import report
report._import()
before = set(sys.modules)
assert {"pandas", "jinja2"} <= before
from pancseg.report.ibsi_score import ibsi_score
ibsi_score(Path("no folder"))
print(sorted(name for name in set(sys.modules) - before if name.startswith(("scipy", "pandas"))))
"""


def test_nothing_large_is_imported_when_the_page_is_made() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
