"""Write ``report/index.html``: one page about a table, with the pictures that lie beside it."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pancseg.cohort.case import DEFAULT_ROI
from pancseg.quality.limits import LimitRange, QualityLimits
from pancseg.report import cohort
from pancseg.report.charts import Band, histogram
from pancseg.report.checks import CHECKS, limits_of, range_of, ranges_of
from pancseg.report.ibsi_score import ibsi_score
from pancseg.report.output_folder import OutputFolder, read_output
from pancseg.report.rows import STATUSES, ReportRow, key_features, meaning, rows_of
from pancseg.review.look import BY_PERSON
from pancseg.review.standing import Standing
from pancseg.system.output_folder import check_output_folder
from pancseg.system.timing import timed
from pancseg.system.whole_files import write_whole

_log = logging.getLogger(__name__)

PAGE = Path("report", "index.html")
"""Where an output folder has its page."""
SCRIPTS = ("theme.js", "figure.js", "patient.js", "table.js", "keyboard.js")
"""In the order in which they run."""

_NORMS = (
    Band(62.6 - 19.1, 62.6, 62.6 + 19.1, "62.6 ± 19.1 mL"),
    Band(72.4 - 25.8, 72.4, 72.4 + 25.8, "72.4 ± 25.8 mL"),
)
"""Published volumes of the pancreas, mean ± standard deviation, of 1,003 and 1,886 people."""
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[0-9]D)(?=[A-Z])")
_CODE = re.compile(r"`([^`]+)`")


def _same(text: str) -> str:
    return text


def write_report(out: str | os.PathLike[str], words: Callable[[str], str] = _same) -> Path:
    """Write the page of an output folder, ``out/report/index.html``, from what lies in it.

    The page needs no network. It names rows by the ids of the table, and shows no path.

    Args:
        out: output folder of a run.
        words: turns a text that names parameters in backticks into the caller's words.

    Returns:
        The page's path.

    Raises:
        ValueError: the folder holds no table, or none that pancseg wrote.
        OSError: the folder cannot be read, or the page cannot be written.

    Example:
        >>> from pancseg import extract_cohort, write_report
        >>> results = extract_cohort("cohort.csv", "results", masks="masks")
        >>> write_report("results").name
        'index.html'
    """
    folder = Path(out)
    check_output_folder(folder)
    with timed("page"):
        output = read_output(folder)
        for problem in output.problems:
            _log.warning("%s", problem)
        path = folder / PAGE
        path.parent.mkdir(exist_ok=True)
        write_whole({path: page_of(output, words).encode()})
    return path


def page_of(output: OutputFolder, words: Callable[[str], str] = _same) -> str:
    """Return the page as HTML.

    Args:
        output: the folder's content.
        words: as for :func:`write_report`.
    """
    rows = rows_of(output)
    stages, scan_seconds = cohort.stages_of(output)
    style = _static("page.css")
    scripts = [_static(name) for name in SCRIPTS]
    environment = _environment(words)
    without = [row for row in rows if not row.pictures]
    return environment.get_template("page.html").render(
        headline=cohort.headline(rows),
        rows=rows,
        statuses=cohort.status_counts(rows),
        reasons=cohort.reasons_of(rows),
        regions=list(dict.fromkeys(row.roi for row in rows)),
        charts=_charts(rows, limits_of(output.provenance)),
        scanners=cohort.scanners_of(output),
        missing=cohort.missing_features(output),
        features=output.features,
        stages=stages,
        scan_seconds=scan_seconds,
        made_with=cohort.made_with(output),
        versions=dict(output.provenance.get("versions") or {}),
        norms=any(row.roi == DEFAULT_ROI for row in rows),
        ibsi=ibsi_score(output.folder),
        ibsi_status=_ibsi_status(output),
        not_read=sum(not row.scan_was_read for row in without),
        not_made=sum(row.scan_was_read for row in without),
        unreadable=output.unreadable,
        data=Markup(_script_json(_data(output, rows, words))),
        style=Markup(style),
        scripts=[Markup(script) for script in scripts],
        policy=_policy([style], scripts),
    )


def _environment(words: Callable[[str], str]) -> Environment:
    loader = PackageLoader("pancseg.report", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["words"] = lambda text: _marked_up(words(text))
    environment.filters["number"] = _number
    return environment


def _number(value: float | None) -> str:
    """Return a number of the table with four digits, as plain digits that can be sorted.

    >>> _number(78.9912), _number(9999.7), _number(0.00001234), _number(None)
    ('78.99', '10000', '0.000012', '')
    """
    if value is None:
        return ""
    if 0 < abs(value) < 1e-4:
        return f"{value:.6f}"
    return f"{value:.0f}" if abs(value) >= 9999.5 else f"{value:.4g}"


def _marked_up(text: str) -> Markup:
    """Return a text with what is in backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


def _static(name: str) -> str:
    return files("pancseg.report").joinpath("static", name).read_text(encoding="utf-8")


def _policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    """Return the page's content security policy: only its own style, scripts and pictures."""
    return (
        "default-src 'none'; img-src 'self' file: data:; base-uri 'none'; form-action 'none'; "
        f"style-src {_hashes(styles)}; script-src {_hashes(scripts)}"
    )


def _hashes(texts: Sequence[str]) -> str:
    coded = (base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in texts)
    return " ".join(f"'sha256-{text.decode()}'" for text in coded)


def _script_json(data: Any) -> str:
    """Return JSON that can stand in a script element, whatever texts it holds."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _data(
    output: OutputFolder, rows: Sequence[ReportRow], words: Callable[[str], str]
) -> dict[str, Any]:
    """Return what the scripts need to show a patient."""
    limits = _LimitSets(limits_of(output.provenance))
    told = [_row_data(row, words) | {"k": limits.number_of(row)} for row in rows]
    codes = dict.fromkeys(code for row in rows for code in row.reasons)
    labels = _labels(output)
    return {
        "checks": [[check.name, check.unit, check.about] for check in CHECKS],
        "limits": limits.found,
        "features": [labels[name] for name in key_features(output)],
        "reasons": {
            code: [words(meaning(code).happened), words(meaning(code).remedy)] for code in codes
        },
        "rows": told,
    }


def _row_data(row: ReportRow, words: Callable[[str], str]) -> dict[str, Any]:
    data = {
        "id": [row.patient_id, row.scan_id, row.roi],
        "s": row.status,
        "r": row.reasons,
        "m": words(row.message),
        "w": row.source,
        "l": row.label,
        "g": row.grid_mm,
        "c": row.checks if any(value is not None for value in row.checks) else [],
        "f": row.features if any(value is not None for value in row.features) else [],
        "q": row.percentiles if any(value is not None for value in row.percentiles) else [],
        "a": row.acquisition,
        "d": [_decision_data(each) for each in row.decisions],
        "u": not row.scan_was_read,
        "p": {kind: url for kind, url in row.pictures.items() if kind != "thumbnail"},
    }
    return {key: value for key, value in data.items() if value}


class _LimitSets:
    """The limits of all rows, each set of them once.

    Attributes:
        found: per set and check the four limits; None for a check that judges nothing.
    """

    def __init__(self, limits: QualityLimits) -> None:
        self._limits = limits
        self._numbers: dict[tuple[str, bool, bool], int] = {}
        self.found: list[list[list[float | None] | None]] = []

    def number_of(self, row: ReportRow) -> int:
        """Return the number of a row's set."""
        key = row.roi, row.source in BY_PERSON | {""}, row.label.startswith("ring(")
        if key not in self._numbers:
            self._numbers[key] = len(self.found)
            ranges = ranges_of(self._limits, key[0], drawn=key[1], ring=key[2])
            self.found.append([_four(each) if each else None for each in ranges])
        return self._numbers[key]


def _decision_data(standing: Standing) -> dict[str, Any]:
    made = standing.made
    texts = {"decision": made.decision, "reason": made.reason, "by": made.by, "at": made.at}
    return {**texts, "holds": standing.holds}


def _labels(output: OutputFolder) -> dict[str, list[str]]:
    """Return feature → its name in words, its class, its unit and the column's name."""
    found = {}
    for record in output.codebook.to_dict("records"):
        original = str(record.get("original_name", ""))
        name = _WORD.sub(" ", original.rsplit("_", 1)[-1]).lower().replace("3d", "3-D")
        unit = str(record.get("unit", "")).replace("none", "")
        found[str(record["name"])] = [name, str(record.get("family", "")), unit, original]
    return found


def _four(limits: LimitRange) -> list[float | None] | None:
    if limits == LimitRange():
        return None
    return [limits.fail_below, limits.warn_below, limits.warn_above, limits.fail_above]


def _charts(rows: Sequence[ReportRow], limits: QualityLimits) -> list[tuple[str, Markup]]:
    """Return title and SVG of each distribution in the pancreas, or else in the first region."""
    regions = list(dict.fromkeys(row.roi for row in rows))
    whole = DEFAULT_ROI in regions
    region = DEFAULT_ROI if whole else regions[0] if regions else ""
    volume = "Volume, with published means ± SD" if whole else f"Volume: {region}"
    wanted = [
        (volume, "qc_volume_ml", "mL", _NORMS if whole else ()),
        (f"Median HU: {region}", "qc_median_hu", "HU", ()),
        ("Distance between slices", "qc_slice_mm", "mm", ()),
    ]
    own = limits.of_region(region, drawn=False)
    limit_of = {check.column: range_of(check, own) for check in CHECKS}
    found = []
    for title, column, unit, bands in wanted:
        groups: dict[str, list[float]] = {status: [] for status in STATUSES}
        for row in (row for row in rows if row.roi == region):
            if (value := row.check(column)) is not None:
                groups[row.status].append(value)
        warns = (limit_of[column].warn_below, limit_of[column].warn_above)
        edges = [edge for edge in warns if edge is not None]
        if chart := histogram(groups, unit, title, bands=bands, limits=edges):
            found.append((title, Markup(chart)))
    return found


def _ibsi_status(output: OutputFolder) -> dict[str, int]:
    """Return IBSI status → number of features of the table."""
    if "ibsi_status" not in output.codebook:
        return {}
    features = output.codebook[output.codebook["name"].isin(output.features)]
    return {str(k): int(v) for k, v in features["ibsi_status"].value_counts().items() if k}
