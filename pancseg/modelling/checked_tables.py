"""Read and check the tables of a study, before anything that fits models is imported."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pancseg.cohort.formulas import refuse_formulas
from pancseg.modelling.endpoint import Endpoint, subtype_outcome, survival_outcome_of
from pancseg.modelling.inputs.cell_values import is_missing
from pancseg.modelling.inputs.features_table import FeatureTable, TableOptions, read_features
from pancseg.modelling.inputs.join import JoinedTable, join
from pancseg.modelling.inputs.outcome_coding import EventCoding
from pancseg.modelling.inputs.stability_file import read_stability
from pancseg.modelling.refusals import refuse_what_cannot_be_modelled
from pancseg.modelling.settings import ModelSettings


@dataclass(frozen=True)
class CheckedTables:
    """Tables whose columns and values can be modelled.

    Attributes:
        table: the table of features.
        outcome: CSV with the outcome.
        in_both: the patients found in both tables.
        joined: those of them with a known outcome.
        endpoint: what is predicted.
        settings: the choices made beforehand.
        options: how the tables were read.
        stability: ICC by feature; None: no such file.
    """

    table: FeatureTable
    outcome: Path
    in_both: JoinedTable
    joined: JoinedTable
    endpoint: Endpoint
    settings: ModelSettings
    options: TableOptions
    stability: pd.Series[float] | None = None


def check_tables(
    features: Path,
    outcome: Path,
    columns: tuple[str, ...],
    settings: ModelSettings,
    options: TableOptions,
    stability: Path | None = None,
) -> CheckedTables:
    """Read and join the tables.

    Args:
        features: the table of features (CSV or Parquet).
        outcome: CSV with the outcome, by id.
        columns: columns of ``outcome``: the class, or follow-up time and event.
        settings: the choices made beforehand.
        options: how the tables are read.
        stability: CSV with columns ``feature`` and ``icc``.

    Raises:
        ValueError: tables, columns or values that cannot be modelled.
        OSError: a file cannot be read.

    Example:
        >>> from pathlib import Path
        >>> from pancseg.modelling.checked_tables import check_tables
        >>> from pancseg.modelling.inputs.features_table import TableOptions
        >>> from pancseg.modelling.settings import ModelSettings
        >>> tables = check_tables(
        ...     Path("features.csv"), Path("clinical.csv"), ("os_months", "os_event"),
        ...     ModelSettings(kind="survival"), TableOptions(),
        ... )
        >>> tables.joined.features.shape, tables.endpoint.columns
        ((60, 6), ('os_months', 'os_event'))
    """
    table = read_features(features, options, outcomes=columns)
    in_both = join(table, outcome, options, columns)
    for asked_by, names in (("subgroup", settings.subgroups), ("leave_out", (settings.leave_out,))):
        for name in names:
            if name is not None:
                cells_of(name, table, in_both, asked_by)
    icc = None
    if stability is not None:
        icc = read_stability(stability, in_both)
        digest = hashlib.sha256(stability.read_bytes()).hexdigest()
        settings = settings.model_copy(update={"stability_sha256": digest})
    if settings.kind == "subtype":
        joined, endpoint = subtype_outcome(in_both, columns[0], settings.positive)
    else:
        joined, endpoint = survival_outcome_of(
            in_both,
            columns[0],
            columns[1],
            EventCoding(settings.event_is, settings.competing),
            settings.trust_times,
        )
    refuse_what_cannot_be_modelled(joined, endpoint)
    if settings.leave_out is not None:
        _check_sites(settings.leave_out, table, joined)
    return CheckedTables(table, outcome, in_both, joined, endpoint, settings, options, icc)


def cells_of(
    name: str, table: FeatureTable, joined: JoinedTable, asked_by: str = "subgroup"
) -> pd.Series[str]:
    """Return a column of the clinical file, or else of the feature table, of the joined rows.

    Raises:
        ValueError: neither has such a column.
    """
    if name in joined.outcomes:
        return joined.outcomes[name]
    if name not in table.text:
        raise ValueError(
            f"`{asked_by}`: neither the clinical file nor the feature table has a column {name!r}; "
            "check the spelling"
        )
    return table.text[name].loc[joined.features.index]


def _check_sites(name: str, table: FeatureTable, joined: JoinedTable) -> None:
    if joined.batch is not None:
        raise ValueError(
            "`leave_out` and `batch` exclude each other: ComBat cannot harmonise a site that the "
            "model has not seen; leave one of them out"
        )
    sites = cells_of(name, table, joined)
    if missing := int(is_missing(sites).sum()):
        raise ValueError(
            f"`leave_out` {name!r}: in {missing} of {len(sites)} rows the cell is empty; fill it "
            "in, or leave these rows out"
        )
    refuse_formulas(map(str, sites), f"`leave_out` {name!r}: sites", "rename them")
