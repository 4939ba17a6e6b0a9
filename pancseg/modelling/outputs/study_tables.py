"""The tables behind an analysis, from which its files are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pancseg.modelling.cohort import Cohort
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.inputs.features_table import TableOptions
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.report.subgroups import Subgroup


@dataclass(frozen=True)
class DataRemarks:
    """What is remarkable about the data.

    Attributes:
        warnings: a line each.
        limits: those of them that can be told without a patient's id, for the model card.
        missing: columns with missing values, and those that some folds could not use.
        outliers: single values far outside their column.
    """

    warnings: Sequence[str]
    limits: Sequence[str]
    missing: pd.DataFrame
    outliers: pd.DataFrame


@dataclass(frozen=True)
class StudyTables:
    """The tables behind an analysis.

    Attributes:
        joined: the rows analysed.
        endpoint: their outcomes.
        options: how the tables were read.
        remarks: what the data are like.
        cohort: who was analysed, and who was left out.
        subgroups: of the rows, to be reported.
    """

    joined: JoinedTable
    endpoint: Endpoint
    options: TableOptions
    remarks: DataRemarks
    cohort: Cohort
    subgroups: Sequence[Subgroup] = ()
