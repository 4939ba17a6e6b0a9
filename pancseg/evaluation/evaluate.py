"""Evaluate masks, step by step: folders, pairs, scores, statistics, files in the output folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from pancseg.cohort.roi import Labels, Ring, as_roi
from pancseg.evaluation import markdown, tables
from pancseg.evaluation.boxplot import dice_plot
from pancseg.evaluation.page import page
from pancseg.evaluation.pairing import MaskPair, find_pairs
from pancseg.evaluation.scores import MaskScore, score_pairs
from pancseg.system.output_folder import claim
from pancseg.system.whole_files import write_whole
from pancseg.tables.html_page import html_page


class Evaluation(NamedTuple):
    """The results of an evaluation.

    Attributes:
        scores: one per model and case, sorted by case and then by model.
        cases: the same as a table, sorted by model and then by case.
        summary: one row per model and measure.
        comparisons: one row per measure and pair of models.
        table_2: the paper's table.
    """

    scores: list[MaskScore]
    cases: pd.DataFrame
    summary: pd.DataFrame
    comparisons: pd.DataFrame
    table_2: pd.DataFrame


def evaluate(
    pairs: Sequence[MaskPair],
    models: Sequence[str],
    out: Path | None,
    *,
    label: Labels | None = None,
    published: bool = False,
    report: Callable[[MaskScore], None] = lambda score: None,
) -> Evaluation:
    """Measure every pair of masks, compare the models, write tables, a report and a plot.

    Args:
        pairs: from :func:`pancseg.evaluation.pairing.find_pairs`.
        models: names of the models, in the order in which they are listed and compared.
        out: output folder, created if needed; None writes nothing. It receives ``cases.csv``,
            ``summary.csv``, ``comparisons.csv``, ``table2.csv``, ``table2.md``, ``evaluation.md``,
            ``evaluation.html`` (the same, with its picture inside) and ``dice.png``, each whole or
            not at all, after all cases are measured.
        label: the region's labels in all masks, by number or name; by default everything that is
            not zero, or, where a file names its segments, those that mean pancreas and tumour.
        published: put the Dice that the MoNet paper reports, which is of other patients, and the
            number of parameters beside models that are named as its networks.
        report: called with each score as soon as it is computed.

    Returns:
        The scores and tables.

    Raises:
        ValueError: no reference mask has the label; nothing is written.
        OSError: the output cannot be written.
    """
    if out is not None:
        claim(out)
    scores = []
    for score in score_pairs(pairs, label):
        scores.append(score)
        report(score)
    measured = [score.measures for score in scores if score.measures]
    if label is not None and measured and not any(m.reference_volume_ml for m in measured):
        raise ValueError(
            f"none of the reference masks has {_described(label)}, so there is nothing to compare; "
            "name another `label`"
        )
    found = _tabulate(scores, models, published=published)
    if out is not None:
        write_whole({out / name: content for name, content in _files(found, label).items()})
    return found


def evaluate_masks(
    predictions: Mapping[str, str | os.PathLike[str]] | str | os.PathLike[str],
    reference: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    label: int | str | None = None,
    published: bool = False,
    report: Callable[[MaskScore], None] = lambda score: None,
) -> Evaluation:
    """Compare folders of masks with reference masks: Dice, HD95, surface Dice, volume.

    Masks are paired by file name (``<case id>.nii.gz``). A mask that is missing on either side is
    reported.

    Args:
        predictions: a folder of masks, or model name → folder for several.
        reference: the folder of reference masks.
        out: folder for the tables, a report and a plot; None writes nothing.
        label: the region's labels in all masks, by number or name; by default everything that is
            not zero, or, where a file names its segments, those that mean pancreas and tumour.
        published: put the Dice that the MoNet paper reports, which is of other patients, and the
            number of parameters beside models that are named as its networks.
        report: called with each score as soon as it is computed.

    Returns:
        Scores per case, summaries with 95 % intervals and comparisons of models.

    Raises:
        ValueError: a folder without masks, or no reference mask has the label.
        OSError: a folder cannot be read, or the output cannot be written.

    Example:
        >>> from pancseg import evaluate_masks
        >>> found = evaluate_masks({"MoNet": "masks"}, "references")
        >>> found.cases[["case_id", "dice"]].round(2).values.tolist()
        [['P1', 1.0]]
    """
    if isinstance(predictions, str | os.PathLike):
        predictions = {"prediction": predictions}
    if not isinstance(predictions, Mapping) or not predictions:
        raise TypeError("predictions: give a folder, or a mapping of model names to folders")
    wanted = labels_of(label)
    folders = {name: Path(folder) for name, folder in predictions.items()}
    pairs = find_pairs(folders, Path(reference))
    where = Path(out) if out is not None else None
    return evaluate(pairs, list(folders), where, label=wanted, published=published, report=report)


def _tabulate(scores: list[MaskScore], models: Sequence[str], *, published: bool) -> Evaluation:
    cases = tables.cases_table(scores, models)
    summary = tables.summary_table(cases, models)
    comparisons = tables.comparison_table(cases, models)
    table_2 = tables.table_2(summary, comparisons, models, published=published)
    return Evaluation(scores, cases, summary, comparisons, table_2)


def labels_of(label: int | str | None) -> Labels | None:
    """Return the labels of a number or an expression; None stays None.

    Raises:
        TypeError, ValueError: neither a number nor an expression, or a ring.

    >>> print(labels_of("Pancreas|tumour"))
    pancreas,tumour
    """
    wanted = as_roi(label)
    if isinstance(wanted, Ring):
        raise ValueError(f"`label` is {wanted}, a ring; name labels (1,2 or pancreas)")
    return wanted


def _described(label: Labels) -> str:
    return str(label) if label.names else f"label {label}"


def _files(found: Evaluation, label: Labels | None) -> dict[str, bytes]:
    dice = {str(m): own.to_numpy() for m, own in found.cases.groupby("model", sort=False)["dice"]}
    plot = dice_plot(dice)
    region = _described(label) if label else None
    report = page(found.scores, found.summary, found.comparisons, found.table_2, region)
    texts = {
        "cases.csv": tables.csv(found.cases),
        "summary.csv": tables.csv(found.summary),
        "comparisons.csv": tables.csv(found.comparisons),
        "table2.csv": tables.csv(found.table_2),
        "table2.md": markdown.table_2(found.table_2),
        "evaluation.md": report,
        "evaluation.html": html_page(report, {"dice.png": plot}),
    }
    return {name: text.encode() for name, text in texts.items()} | {"dice.png": plot}
