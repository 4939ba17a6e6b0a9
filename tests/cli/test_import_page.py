"""What the page needs is imported before it is made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pancseg import RunOptions, extract_cohort
from pancseg.system.processes.python_child import child_environment

CODE = """
import sys
from pathlib import Path
from pancseg.cli.commands import report
report.import_page()
before = set(sys.modules)
report.tell_page(Path(sys.argv[1]), quiet=True)
later = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(later - set(sys.stdlib_module_names) - before))
"""


def test_no_library_is_imported_when_the_page_is_made(cohort: Path, tmp_path: Path) -> None:
    extract_cohort(cohort, tmp_path / "out", options=RunOptions(workers=0))
    done = subprocess.run(
        [sys.executable, "-c", CODE, tmp_path / "out"],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
