"""The command that trains a network: train."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from pancseg.cli.console import progress_lines, say
from pancseg.cli.errors import need, usage_errors
from pancseg.cli.options import Printing, Threads, option

_PACKAGES = ("lightning", "matplotlib", "monai", "PIL")


@dataclass(frozen=True)
class TrainingSource:
    """The data to train on."""

    data: Annotated[
        Path,
        option(
            "Input",
            help="A Medical Segmentation Decathlon folder, a manifest of CTs and masks, or, "
            "with --slices, a folder of stored slices.",
        ),
    ]
    slices: Annotated[
        str | None,
        option(
            "Input",
            help="Description of the stored slices under --data: a shipped name (open, open_nih, "
            "open_whole, phantoms) or a YAML file.",
        ),
    ] = None
    split: Annotated[
        Path | None,
        option(
            "Input",
            exists=True,
            dir_okay=False,
            help="Split file: JSON with the patient ids of train and of val. Default: a split of "
            "the sorted ids by the recipe's seed, or that of the slices' index.",
        ),
    ] = None
    cache: Annotated[
        Path | None,
        option(
            "Input", help="Folder of the slice cache, which runs can share; default: OUT/cache."
        ),
    ] = None


@dataclass(frozen=True)
class Changes:
    """Changes to the recipe."""

    network: Annotated[
        str | None, option("Network", help="Network to train instead of the recipe's.")
    ] = None
    epochs: Annotated[
        int | None,
        option("Network", min=1, help="Number of epochs instead of the recipe's."),
    ] = None


@dataclass(frozen=True)
class HardwareOptions:
    """The hardware that a training uses."""

    precision: Annotated[
        str,
        option("Running", help="Lightning's precision; auto takes bfloat16 where it is faster."),
    ] = "auto"
    accelerator: Annotated[str, option("Running", help="Lightning's accelerator.")] = "auto"
    devices: Annotated[
        str,
        option("Running", help="Lightning's devices, such as 4 or auto; each gets whole batches."),
    ] = "1"
    nodes: Annotated[int, option("Running", min=1, help="Number of machines.")] = 1
    workers: Annotated[
        int, option("Running", min=0, help="Number of processes that prepare slices.")
    ] = 0
    threads: Threads = None


def train(
    *,
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE", help="A shipped recipe's name (monet, monet_paper, …) or a YAML file."
        ),
    ],
    source: TrainingSource,
    changes: Changes,
    out: Annotated[
        Path,
        option("Output", "--out", "-o", file_okay=False, help="Run folder; an old one is resumed."),
    ],
    hardware: HardwareOptions,
    printing: Printing,
) -> None:
    """Train a network: RECIPE + data → OUT with weights, curves and the validation patients' masks.

    After an interruption, the same command resumes from the last finished epoch. Compare
    OUT/predictions with OUT/references by `pancseg evaluate`.
    """
    quiet, verbose = printing.quiet, printing.verbose
    with usage_errors(verbose), _interruptions():
        need("train", _PACKAGES, "train")
        from pancseg.system.threads import available_cores, limit_threads
        from pancseg.training.checked_recipe import check
        from pancseg.training.data.load import load_data, validation_names, window_of
        from pancseg.training.fit import train_checked
        from pancseg.training.hardware import Hardware, is_first_process
        from pancseg.training.predictions import check_free, write_predictions
        from pancseg.training.recipe import load_recipe

        _quiet_lightning()
        threads = hardware.threads or available_cores()
        limit_threads(threads)
        loaded = load_recipe(recipe, **{k: v for k, v in vars(changes).items() if v is not None})
        devices = int(hardware.devices) if hardware.devices.isdecimal() else hardware.devices
        machine = Hardware(**vars(replace(hardware, threads=threads)) | {"devices": devices})

        checked = check(loaded, machine, window_of(loaded, source.slices))
        check_free(out)

        first = is_first_process(machine)

        def tell(line: str) -> None:
            if first and not quiet:
                say(line, sys.stdout)

        prepared = load_data(
            loaded,
            source.data,
            slices=source.slices,
            cache=source.cache or out / "cache",
            split_file=source.split,
            report=lambda name: tell(f"{name}: slices ready"),
        )
        tell(prepared.summary())
        bar = sys.stderr.isatty() and not quiet
        weights = train_checked(checked, prepared, out, progress=bar, report=tell)
    if not first:
        return
    if loaded.crop_around == "label":
        tell(
            f"weights in {weights.name}; they are those of a second look, which finds nothing "
            "alone: join them to others with pancseg weights join"
        )
        return
    count = len(validation_names(prepared))
    with (
        usage_errors(verbose),
        _interruptions(),
        progress_lines(count, quiet, "scans", "run the same command again to resume") as done,
    ):
        write_predictions(
            weights,
            prepared,
            source.data,
            out,
            hardware=machine,
            report=lambda name: done(f"{name}: masks written", False),
            allow_code=loaded.network,  # the user's own recipe names it
        )
    masks = f"; {count} validation masks in predictions" if count else ""
    tell(f"weights in {weights.name}{masks}")


@contextmanager
def _interruptions() -> Iterator[None]:
    """End with one line and exit code 130 when the user or a signal interrupts the block."""
    if find_spec("lightning") is None:  # the block says so
        yield
        return
    from pancseg.errors import RunStopped
    from pancseg.training.processes import started_by_a_training, stopped_by_signals

    try:
        with stopped_by_signals():
            yield
    except RunStopped as stopped:
        if not started_by_a_training():
            say(f"pancseg: {stopped}", sys.stderr)
        raise typer.Exit(130) from None
    except (KeyboardInterrupt, SystemExit):  # Lightning turns the first into the second
        say(
            "pancseg: interrupted; run the same command again to resume from the last epoch",
            sys.stderr,
        )
        raise typer.Exit(130) from None


def _quiet_lightning() -> None:
    """Hide Lightning's INFO messages; the progress bar and pancseg's lines say enough."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
