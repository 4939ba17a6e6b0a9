"""The command that compares masks with reference masks: evaluate."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancseg.cli.console import progress_lines, say
from pancseg.cli.errors import need, usage_errors
from pancseg.cli.options import Out, Printing, Threads, option

if TYPE_CHECKING:
    from pancseg.evaluation.evaluate import Evaluation
    from pancseg.evaluation.scores import MaskScore

_PACKAGES = ("matplotlib", "monai")


def evaluate(
    *,
    prediction: Annotated[
        list[str],
        option(
            "Input",
            metavar="NAME=FOLDER",
            help="A model's name and the folder of its masks, named <case id>.nii.gz. Repeat for "
            "each model.",
        ),
    ],
    reference: Annotated[
        Path,
        option("Input", metavar="FOLDER", help="Reference masks, named <case id>.nii.gz."),
    ],
    label: Annotated[
        str | None,
        option(
            "Regions",
            metavar="LABEL",
            help="Labels of the region in all masks: numbers, or names that the masks' files give. "
            "Default: every non-zero one; by name, the pancreas and its tumour.",
        ),
    ] = None,
    published: Annotated[
        bool,
        option(
            "Output",
            "--published",
            help="Put the Dice that the MoNet paper reports (85 other patients), and the number of "
            "parameters, beside models that are named as its networks.",
        ),
    ] = False,
    out: Out,
    threads: Threads = None,
    printing: Printing,
) -> None:
    """Compare masks with reference masks: Dice, HD95, surface Dice, volume.

    OUT gets measures per case, summaries with 95 % intervals, tests of all
    pairs of models, the paper's Table 2 and a box plot. A case without a
    prediction or a reference is listed, and the exit code is 1.

    If both masks are empty, Dice and surface Dice are 1 and HD95 is 0. If one
    is empty, Dice and surface Dice are 0 and HD95 is missing.
    """
    quiet, verbose = printing.quiet, printing.verbose
    with usage_errors(verbose):
        predictions = _named_folders(prediction)
        need("evaluate", _PACKAGES, "train")
        from pancseg.evaluation.evaluate import evaluate as evaluate_pairs
        from pancseg.evaluation.evaluate import labels_of
        from pancseg.evaluation.pairing import find_pairs

        wanted = labels_of(label)
        pairs = find_pairs(predictions, reference)
        from pancseg.system.threads import available_cores, limit_threads

        limit_threads(threads or available_cores())
    compared = 0

    def so_far() -> str:
        if compared < len(pairs):
            return "nothing was written"
        return "the report may be incomplete; run again"

    with usage_errors(verbose), progress_lines(len(pairs), quiet, "masks", so_far) as tell:

        def show(score: MaskScore) -> None:
            nonlocal compared
            compared += 1
            tell(_line(score), score.status != "pass")

        found = evaluate_pairs(
            pairs, list(predictions), out, label=wanted, published=published, report=show
        )
    if not quiet:
        say(_closing(found), sys.stdout)
    if any(score.measures is None for score in found.scores):
        raise typer.Exit(1)


def _named_folders(options: Sequence[str]) -> dict[str, Path]:
    """Split texts NAME=FOLDER; a name consists of letters, digits, blanks and ``_ . + -``."""
    found: dict[str, Path] = {}
    for text in options:
        name, equals, folder = text.partition("=")
        name = name.strip()
        if not (equals and name and folder):
            raise ValueError(f"--prediction {text!r}: expected NAME=FOLDER, such as MoNet=masks")
        if not re.fullmatch(r"[^\W_][\w .+-]*", name):
            raise ValueError(
                f"--prediction: the name {name!r} has other characters than letters, digits, "
                "blanks and _ . + -, or begins with one of the last five"
            )
        if name.casefold() in (known.casefold() for known in found):
            raise ValueError(f"--prediction: the name {name!r} is given twice; rename one model")
        found[name] = Path(folder)
    return found


def _line(score: MaskScore) -> str:
    head = f"{score.case_id}, {score.model}: {score.status}"
    if score.status != "pass" or score.measures is None:
        return f"{head} ({score.reason}): {score.fact}"
    m = score.measures
    return (
        f"{head}, Dice {m.dice:.3f}, HD95 {m.hd95_mm:.1f} mm, "
        f"surface Dice {m.surface_dice_2mm:.3f}, volume {m.volume_error_percent:+.1f} %"
    )


def _closing(found: Evaluation) -> str:
    """Return Table 2, the number of masks compared, the reasons for the others, and the report."""
    from collections import Counter

    from pancseg.evaluation import markdown

    reasons = Counter(s.reason for s in found.scores if s.measures is None)
    compared = sum(s.measures is not None for s in found.scores)
    lines = ["", markdown.table_2(found.table_2)]
    lines += [f"{compared} of {len(found.scores)} masks compared; report in evaluation.md"]
    lines += [f"  {reason}: {count}" for reason, count in reasons.most_common()]
    return "\n".join(lines)
