"""The closing lines of a command over a cohort: counts, reasons, time, files and the next step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pancseg.system.text.number_text import percent

if TYPE_CHECKING:
    from pancseg.processing.row import CaseResult

_MOST_REASONS = 12
_SLOW_S = 1.0
_PAGE = "report/index.html"
_VIEW = "pancseg view OUT"


class Written(NamedTuple):
    """What a run has written into its output folder.

    Attributes:
        folder: the output folder.
        tables: names of its tables.
        masks: whether it holds masks that the run made.
        page: whether the run made its page.
    """

    folder: Path
    tables: tuple[str, ...]
    masks: bool = False
    page: bool = False


def summary(
    results: Sequence[CaseResult], table: str = "", log: Path | None = None, where: str = ""
) -> str:
    """Return the closing lines: how many rows there are, are usable and ask for a look, and why.

    Args:
        results: one per row.
        table: name of the table; empty if none was written.
        log: log of the run, for the number of unchanged rows, the slowest scans and the stages.
        where: further lines.
    """
    from pancseg.review.look import counted

    reasons = Counter(code for result in results for code in result.reason.split(";") if code)
    usable = sum(result.usable for result in results)
    look = sum(result.to_look_at for result in results) if log else 0
    accepted = sum(result.accepted for result in results)
    rows = "1 row" if len(results) == 1 else f"{len(results)} rows"
    in_table = f" in {table}" if table else ""
    lines = [f"{rows}{in_table}: {counted(usable, look, accepted, len(results) - usable)}"]
    lines += [f"  {reason}: {count}" for reason, count in reasons.most_common(_MOST_REASONS)]
    if len(reasons) > _MOST_REASONS:
        lines.append(f"  and {len(reasons) - _MOST_REASONS} other reasons")
    return "\n".join([*lines, *(_account(log) if log else []), *([where] if where else [])])


def summary_of_run(results: Sequence[CaseResult], written: Written) -> str:
    """Return the closing lines of a run, with its files and the next step.

    Files are named within the output folder, as the folder may be named after a patient.
    """
    files = [f"table: {' and '.join(written.tables)}"]
    files += ["masks: masks/"] if written.masks else []
    files += [f"page: {_PAGE}"] if written.page else []
    taken = _corrections(results)
    where = f"{taken}in the output folder: {'; '.join(files)}\nnext: {_next(results, written)}"
    return summary(results, written.tables[0], written.folder / "run.jsonl", where)


def _corrections(results: Sequence[CaseResult]) -> str:
    """Return the lines that say which masks of persons were measured; empty if none were."""
    from pancseg.cohort.choosing import listed
    from pancseg.review.look import CORRECTED, DRAWN

    lines = ""
    for source in (CORRECTED, DRAWN):
        theirs = (r for r in results if r.values.get("qc_mask_source") == source)
        if names := list(dict.fromkeys(result.case.scan_name for result in theirs)):
            lines += f"{source} masks taken: {listed(names)}\n"
    return lines


def _next(results: Sequence[CaseResult], written: Written) -> str:
    """Return the next step, in one line."""
    look = sum(result.to_look_at for result in results)
    unusable = sum(not result.usable for result in results)
    waiting = sum(result.usable and not result.accepted for result in results)
    how = f"open {_PAGE}, or run {_VIEW}" if written.page else f"run {_VIEW}"
    if "masks.csv" in written.tables:
        return (
            f"look at the masks ({_VIEW}); pancseg run with the same COHORT and OUT measures them"
        )
    if look:
        return f"look at {'the one' if look == 1 else f'these {look}'}: {how}"
    if unusable:
        which = "1 of the rows is" if unusable == 1 else f"{unusable} of the rows are"
        return f"see why {which} not usable, and the remedies: {how}"
    if not waiting:
        return "every mask has been accepted; pancseg model analyses the table"
    which = "every mask" + ("" if waiting == len(results) else " that nobody has accepted")
    return f"look at {which} before you use the table: {how}"


def _account(log: Path) -> list[str]:
    from pancseg.running.run_log import account_of

    reused, kept, slowest, shares = account_of(log)
    lines = [f"rows unchanged since an earlier run: {reused}"] if reused else []
    if kept:
        lines.append(f"rows kept from an earlier run, without a look at their scans: {kept}")
    if slowest and slowest[0][0] >= _SLOW_S:
        lines.append("slowest: " + ", ".join(f"{name} {spent:.1f} s" for spent, name in slowest))
    if shares:
        parts = ", ".join(f"{stage} {percent(share)}" for stage, share in shares if share >= 0.05)
        lines.append(f"share of the time: {parts}")
    return lines
