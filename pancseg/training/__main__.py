"""``python -m pancseg.training RECIPE --data DIR --out RUN``: train, printing a line per epoch."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer


def main(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name or a YAML file.")],
    data: Annotated[Path, typer.Option(help="Folder that the recipe's sources are relative to.")],
    out: Annotated[Path, typer.Option(help="Run folder; the same one resumes.")],
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 2,
) -> None:
    """Train a network on labelled slices."""
    from pancseg.training.loop import train
    from pancseg.training.recipe import load_recipe

    logging.basicConfig(level=logging.INFO)
    print(train(load_recipe(recipe), data, out, threads=threads))


if __name__ == "__main__":
    typer.run(main)
