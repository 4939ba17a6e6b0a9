"""The commands on trained weights and stored slices: weights score, masks, places."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pancseg.cli.console import say
from pancseg.cli.errors import need, usage_errors
from pancseg.cli.options import AllowCode, Out, Verbose, example, option

app = typer.Typer(
    help="Score trained weights on stored slices, or add a map of locations to them.",
    no_args_is_help=True,
)
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
