"""Sum up a cohort: verdicts, reasons, scanners, missing features, time, and what made the table."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pancseg.report.output_folder import OutputFolder
from pancseg.report.rows import STATUSES, USABLE, ReportRow, meaning, words_of
from pancseg.review.look import counted

_MOST_MISSING = 10
_MOST_VALUES = 8
_SCANNER = (
    "manufacturer",
    "manufacturer_model_name",
    "convolution_kernel",
    "slice_thickness_mm",
    "kvp",
    "contrast_bolus_agent",
)


class ReasonCount(NamedTuple):
    """How often a reason occurs.

    Attributes:
        code: the reason code.
        counts: status → number of rows.
        happened: what is wrong.
        remedy: what to do about it.
    """

    code: str
    counts: Mapping[str, int]
    happened: str
    remedy: str

    @property
    def total(self) -> int:
        """Number of rows with the reason."""
        return sum(self.counts.values())


class Missing(NamedTuple):
    """A feature without a value in usable rows."""

    name: str
    rows: int


class Stage(NamedTuple):
    """A stage of the last run.

    Attributes:
        name: name of the stage.
        seconds: its time in all scans together.
        share: share of the time of all stages, 0–1.
        median: median seconds a scan, of the scans in which it occurs.
    """

    name: str
    seconds: float
    share: float
    median: float


def status_counts(rows: Sequence[ReportRow]) -> dict[str, int]:
    """Return status → number of rows, of all statuses."""
    counts = Counter(row.status for row in rows)
    return {status: counts[status] for status in STATUSES}


def headline(rows: Sequence[ReportRow]) -> str:
    """Return the sentence that sums up a table.

    >>> headline([])
    'no rows'
    """
    if not rows:
        return "no rows"
    patients = len({row.patient_id for row in rows})
    usable = sum(row.usable for row in rows)
    look = sum(row.to_look_at for row in rows)
    of = f"{_many(len(rows), 'row')} of {_many(patients, 'patient')}"
    accepted = sum(row.usable and row.accepted for row in rows)
    return f"{of}: {counted(usable, look, accepted, len(rows) - usable)}"


def reasons_of(rows: Sequence[ReportRow]) -> list[ReasonCount]:
    """Return all reasons, the most frequent first."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        for code in row.reasons:
            found.setdefault(code, Counter())[row.status] += 1
    counted = [
        ReasonCount(code, _in_order(counts), meaning(code).happened, meaning(code).remedy)
        for code, counts in found.items()
    ]
    return sorted(counted, key=lambda reason: -reason.total)


def scanners_of(output: OutputFolder) -> list[tuple[str, list[tuple[str, int]]]]:
    """Return what DICOM series say about scanners and protocols: property → values and counts.

    The phase is the one that the verdict read.
    """
    found = []
    if output.acquisition is not None:
        for name in _SCANNER:
            if name in output.acquisition:
                found.append((words_of(name), _counted(output.acquisition[name].tolist())))
    if "qc_phase_hint" in output.table:
        ids = [name for name in ("patient_id", "scan_id") if name in output.table]
        scans = output.table.drop_duplicates(ids)
        hints = scans["qc_phase_hint"].fillna("").astype(str).tolist()
        found.append(("contrast phase", _counted(hints)))
    return [(name, values) for name, values in found if values]


def missing_features(output: OutputFolder) -> tuple[int, list[Missing]]:
    """Return the number of features that some usable row lacks, and those most rows lack."""
    usable = output.table[output.table["qc_status"].isin(USABLE)]
    empty = usable[output.features].isna().sum().sort_values(ascending=False, kind="stable")
    found = [Missing(str(name), int(count)) for name, count in empty.items() if count]
    return len(found), found[:_MOST_MISSING]


def stages_of(output: OutputFolder) -> tuple[list[Stage], float]:
    """Return the stages of the last run, the longest first, and the median seconds a scan."""
    spent: dict[str, list[float]] = {}
    scans: list[float] = []
    for record in output.log:
        stages = record.get("stages")
        if record.get("event") != "scan" or not stages or not isinstance(stages, dict):
            continue  # other events, and scans of which nothing was made anew
        seconds = [record.get("seconds"), *stages.values()]
        if not all(isinstance(each, int | float) for each in seconds):
            continue  # edited
        scans.append(seconds[0])
        for name, each in stages.items():
            spent.setdefault(name, []).append(each)
    total = sum(map(sum, spent.values())) or 1.0
    stages = [
        Stage(name, sum(each), sum(each) / total, statistics.median(each))
        for name, each in spent.items()
    ]
    stages.sort(key=lambda stage: -stage.seconds)
    return stages, statistics.median(scans) if scans else 0.0


def made_with(output: OutputFolder) -> list[tuple[str, str]]:
    """Return what the table was made with: property → text."""
    record = output.provenance
    run, weights = record.get("run") or {}, record.get("weights") or {}
    found: list[tuple[str, Any]] = [
        ("command", run.get("command")),
        ("made", str(record.get("created", "")).replace("T", " ")),
        ("ids", record.get("ids")),
        ("weights", weights.get("name")),
        ("hash of the weights", str(weights.get("sha256", ""))[:16]),
        ("engine", ", ".join(str(run[k]) for k in ("engine", "precision") if k in run)),
        ("looks", run["looks"] if run.get("looks", 1) > 1 else None),
        ("feature settings", run.get("settings")),
        ("hash of the settings", str(record.get("settings_sha256", ""))[:16]),
    ]
    options = {"keep_failed", "uncertainty"} & set(run)
    found += [(name.replace("_", " "), run[name]) for name in sorted(options)]
    return [(name, str(value)) for name, value in found if value]


def _in_order(counts: Mapping[str, int]) -> dict[str, int]:
    return {status: counts[status] for status in STATUSES if counts.get(status)}


def _counted(values: Sequence[str]) -> list[tuple[str, int]]:
    """Return the most frequent values with their counts, and the rest as one."""
    counts = Counter(value for value in values if value)
    common = counts.most_common(_MOST_VALUES)
    if rest := sum(counts.values()) - sum(count for _, count in common):
        common.append(("others", rest))
    return common


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" + "s" * (count != 1)
