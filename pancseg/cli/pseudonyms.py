"""Read the cohort of a command, under its real ids or under pseudonyms."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pancseg.cli.console import say
from pancseg.cli.options import Privacy

if TYPE_CHECKING:
    from pancseg.cohort.case import Case

NOTHING_HIDDEN = Privacy()


def read_cases(
    cohort: Path,
    out: Path | None,
    masks: Path | None = None,
    privacy: Privacy = NOTHING_HIDDEN,
) -> list[Case]:
    """Read a cohort; with a key, its cases have pseudonyms and no message shows an id.

    A manifest's cases keep their order. Other cohorts are sorted by pseudonym: if they were sorted
    by name, a row's position would reveal between which letters the hidden name is.

    Args:
        cohort: the manifest, folder or scan.
        out: output folder, which is not part of the cohort.
        masks: folder of masks, or one mask.
        privacy: the options about pseudonyms.

    Raises:
        CohortError, ValueError, OSError: the cohort, the key or the id map cannot be used.
    """
    from pancseg.cohort import pseudonyms
    from pancseg.cohort.discovery import read_cohort
    from pancseg.cohort.manifest import is_manifest

    key_file, id_map = privacy.pseudonymise, privacy.id_map
    leave_out = [path for path in (out, key_file, id_map) if path]
    if key_file is None:
        if id_map:
            raise ValueError("--id-map needs --pseudonymise; give both or neither")
        cases = read_cohort(cohort, masks, leave_out=leave_out, note=_tell)
        pseudonyms.check_output(out, pseudonyms=False)
        return cases
    hide = partial(pseudonyms.pseudonymised, key=pseudonyms.read_key(key_file, out))
    if pseudonyms.is_open_to_all(key_file):
        say(
            "pancseg: every user of this machine can read the key file; protect it by chmod 600",
            sys.stderr,
        )
    pseudonyms.check_output(out, pseudonyms=True)
    if id_map:
        pseudonyms.check_map_path(id_map, out)
    cases = read_cohort(cohort, masks, leave_out=leave_out, pseudonymise=hide, note=_tell)
    hidden = hide(cases)
    if id_map:
        pseudonyms.write_map(id_map, cases, hidden)
    return hidden if is_manifest(cohort) else sorted(hidden, key=lambda case: case.name)


def tell_of_names(cohort: Path, out: Path | None, privacy: Privacy, quiet: bool) -> None:
    """Warn if the names of files and folders become ids, as they may name patients.

    It is said once per output folder: not where an earlier run has written ids already.
    """
    from pancseg.cohort.pseudonyms import holds_ids

    if not cohort.is_dir() or quiet or privacy.pseudonymise or (out and holds_ids(out)):
        return
    say(
        "pancseg: patient ids are the names of files and folders; --pseudonymise hides them",
        sys.stderr,
    )


def _tell(line: str) -> None:
    say(f"pancseg: {line}", sys.stderr)
