"""Write the text of ``evaluation.md``: results, missing cases, and what each number means."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import pandas as pd

from pancseg.evaluation import markdown
from pancseg.evaluation.metrics import PERCENTILE, TOLERANCE_MM
from pancseg.evaluation.scores import MaskScore
from pancseg.evaluation.statistics import RESAMPLES
from pancseg.system.version import __version__
from pancseg.tables.html_page import escape_markdown, escape_message
from pancseg.tables.markdown_table import markdown_table

EMPTY_RULE = (
    "Both masks empty: Dice 1, surface Dice 1, HD95 0. One of them empty: Dice 0, surface Dice 0, "
    "HD95 missing (no distance exists) and counted as such. Volume error in per cent is missing "
    "when the reference is empty."
)

_DEFINITIONS = f"""\
* **Masks**: read at native resolution, whole volumes. {{region}} A prediction whose axes run
  otherwise is re-ordered; one on another grid is not compared.
* **Dice**: hard Dice of all voxels, 2·|A∩B| / (|A| + |B|).
* **HD95**: of the distances of A's boundary voxels to B's boundary the {PERCENTILE}th percentile,
  the same from B to A, and the larger of the two (MONAI, `percentile={PERCENTILE}`). Boundary
  voxels have a face neighbour outside the mask; distances are between voxel centres, in mm.
* **Surface Dice**: share of both masks' boundary voxels at most {TOLERANCE_MM:g} mm from the other
  boundary (MONAI, `use_subvoxels=False`: voxels are counted, not weighted by area).
* **Volume error**: prediction minus reference.
* **n, without**: cases with and without a value. Means are over the cases that have one.
* **std**: sample standard deviation (n − 1). **Interval**: percentile bootstrap of the mean,
  {RESAMPLES:,} resamples of cases, fixed seed.
* **Comparisons**: on the cases that both models have. *t-test*: Student's t-test of two independent
  samples, uncorrected, the simplest reading of the paper, which does not say which it used; it
  ignores that the cases are the same. *Paired t* and *Wilcoxon* (signed rank) do not. *Holm*:
  corrected over all pairs of models within one measure. All two-sided.
"""


_BY_DEFAULT = (
    "Everything that is not zero counts; in masks that name their segments, pancreas and tumour."
)


def page(
    scores: Sequence[MaskScore],
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    table_2: pd.DataFrame,
    label: str | None,
) -> str:
    """Return the report of an evaluation as Markdown."""
    region = f"Of each mask, {label} counts." if label else _BY_DEFAULT
    parts = ["# Evaluation\n", markdown.table_2(table_2)]
    parts += ["![Dice per case](dice.png)\n"]
    parts += ["## Not compared\n", _not_compared(scores)]
    parts += ["## Warnings\n", _warnings(scores)]
    parts += ["## Summary\n", markdown.summary(summary)]
    parts += ["## Comparisons\n", _comparisons(comparisons)]
    parts += ["## Definitions\n", _DEFINITIONS.format(region=region)]
    versions = (f"{name} {version(name)}" for name in ("monai", "scipy", "SimpleITK"))
    parts += [f"Made by pancseg {__version__} with {', '.join(versions)}.\n"]
    return "\n".join(parts)


def _not_compared(scores: Sequence[MaskScore]) -> str:
    lost = [score for score in scores if score.measures is None]
    if not lost:
        return "Nothing: every case has a usable mask on both sides, for every model.\n"
    return (
        f"{len(lost)} of {len(scores)} masks were not compared. They are in no mean; a model that "
        f"lacks cases is judged on the others only.\n\n{_listed(lost)}"
    )


def _warnings(scores: Sequence[MaskScore]) -> str:
    warned = [score for score in scores if score.status == "warn"]
    if not warned:
        return f"None. Rule for empty masks: {EMPTY_RULE}\n"
    return f"Compared all the same. Rule for empty masks: {EMPTY_RULE}\n\n{_listed(warned)}"


def _listed(scores: Sequence[MaskScore]) -> str:
    rows = [
        [
            *map(escape_markdown, (score.model, score.case_id, score.reason)),
            escape_message(score.fact),
        ]
        for score in scores
    ]
    return markdown_table(["model", "case", "reason", "what"], rows)


def _comparisons(comparisons: pd.DataFrame) -> str:
    if comparisons.empty:
        return "There is one model only.\n"
    text = markdown.comparisons(comparisons)
    tested = comparisons.loc[comparisons["n"] >= 2, "n"]
    if len(tested) < len(comparisons):
        text += "\nTwo models with fewer than two cases in common are not tested.\n"
    if len(tested) and (fewest := int(tested.min())) < 6:
        text += (
            f"\nWith {fewest} cases in common a Wilcoxon test has no p-value below "
            f"{2 / 2**fewest:.2g}, before correction.\n"
        )
    return text
