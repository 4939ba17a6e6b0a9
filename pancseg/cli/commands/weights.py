"""The commands on trained weights: weights score, masks, places, calibrate, join."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pancseg.cli.console import say
from pancseg.cli.errors import need, usage_errors
from pancseg.cli.options import AllowCode, Out, Verbose, example, option

app = typer.Typer(
    help="Score trained weights on stored slices, add a map of locations or ranges for int8 to "
    "them, or join two networks for two looks.",
    no_args_is_help=True,
)
_SIDES = 2
_PACKAGES = ("lightning", "matplotlib", "monai", "PIL")
_PAGE = "reproduce.md#the-shipped-weights"

_Weights = Annotated[
    str, typer.Argument(metavar="WEIGHTS", help="A shipped checkpoint's name or a file.")
]
_Slices = Annotated[
    str,
    option(
        "Input",
        help="Description of the stored slices: a shipped name (open, open_nih, open_whole) or a "
        "YAML file.",
    ),
]
_Data = Annotated[Path, option("Input", help="Folder of the stored slices.")]


@app.command(epilog=example("pancseg weights score monet_open --slices open --data slices", _PAGE))
def score(
    weights: _Weights,
    slices: _Slices,
    data: _Data,
    allow_code: AllowCode = False,
    verbose: Verbose = False,
) -> None:
    """Print the Dice per validation patient as a Markdown table."""
    with usage_errors(verbose):
        need("weights score", _PACKAGES, "train")
        from pancseg.training.data.slice_set import load_slice_set
        from pancseg.training.scoring import markdown, validate

        slice_set = load_slice_set(slices)
        say(
            markdown(validate(weights, slice_set, data, allow_code=allow_code), slice_set),
            sys.stdout,
        )


@app.command(
    epilog=example(
        "pancseg weights masks monet_open --slices open --data slices --out masks", _PAGE
    )
)
def masks(
    *,
    weights: _Weights,
    slices: _Slices,
    data: _Data,
    allow_code: AllowCode = False,
    out: Out,
    verbose: Verbose = False,
) -> None:
    """Write the masks and reference masks of the validation patients, as `train` does.

    Compare OUT/predictions with OUT/references by `pancseg evaluate`.
    """
    with usage_errors(verbose):
        need("weights masks", _PACKAGES, "train")
        from pancseg.training.predictions import predict_slice_set

        predict_slice_set(weights, slices, data, out, allow_code=allow_code)


@app.command(
    epilog=example(
        "pancseg weights places best.safetensors --slices open --data slices "
        "--out monet.safetensors",
        _PAGE,
    )
)
def places(
    *,
    weights: _Weights,
    slices: _Slices,
    data: _Data,
    widen: Annotated[
        float | None,
        option(
            "Network",
            help="Share of the body's box by which locations are widened; default: as in training.",
        ),
    ] = None,
    allow_code: AllowCode = False,
    out: Annotated[
        Path,
        option("Output", "--out", "-o", help="Checkpoint to write."),
    ],
    verbose: Verbose = False,
) -> None:
    """Copy a checkpoint, adding a map of where its training slices have a pancreas."""
    with usage_errors(verbose):
        need("weights places", _PACKAGES, "train")
        from pancseg.training.location_prior import WIDENED, with_places

        with_places(
            weights, slices, data, WIDENED if widen is None else widen, allow_code=allow_code
        ).save(out)


@app.command(
    epilog=example(
        "pancseg weights calibrate best.safetensors --slices open --data slices "
        "--out monet.safetensors",
        _PAGE,
    )
)
def calibrate(
    *,
    weights: _Weights,
    slices: _Slices,
    data: _Data,
    allow_code: AllowCode = False,
    out: Annotated[
        Path,
        option("Output", "--out", "-o", help="Checkpoint to write."),
    ],
    verbose: Verbose = False,
) -> None:
    """Copy a checkpoint, adding the ranges of its activations, which --precision int8 needs.

    They are measured on 48 training slices. A training adds them by itself.
    """
    with usage_errors(verbose):
        need("weights calibrate", _PACKAGES, "train")
        from pancseg.training.calibration import calibrated

        calibrated(weights, slices, data, allow_code=allow_code).save(out)


@app.command(
    epilog=example("pancseg weights join monet_open fine.safetensors --out two.safetensors", _PAGE)
)
def join(
    *,
    first: Annotated[
        str,
        typer.Argument(
            metavar="FIRST", help="Weights that see whole slices: a shipped name or a file."
        ),
    ],
    second: Annotated[
        str,
        typer.Argument(
            metavar="SECOND", help="Weights that were trained on windows around the pancreas."
        ),
    ],
    window: Annotated[
        str | None,
        option(
            "Network",
            metavar="ROWSxCOLUMNS",
            help="Window of the second weights' training, such as 192x256, if they do not say it.",
        ),
    ] = None,
    allow_code: AllowCode = False,
    out: Annotated[Path, option("Output", "--out", "-o", help="Checkpoint to write.")],
    verbose: Verbose = False,
) -> None:
    """Join two checkpoints into one of two looks.

    The first finds the pancreas, and the second looks at it again at full resolution.
    """
    with usage_errors(verbose):
        from pancseg.segmentation.joining import join_looks

        sides = _window(window) if window is not None else None
        join_looks(first, second, window=sides, allow_code=allow_code).save(out)


def _window(text: str) -> tuple[int, int]:
    """Return the rows and columns that a text such as ``192x256`` means."""
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) != _SIDES or not all(each.strip().isdecimal() for each in sides):
        raise ValueError(f"`window` {text!r:.50} is no window; write rows and columns as 192x256")
    rows, columns = map(int, sides)
    return rows, columns
