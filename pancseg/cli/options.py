"""Options that several commands share, in groups: each is spelt and explained once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

INPUT, REGIONS, NETWORK, FEATURES = "Input", "Regions", "Network", "Features"
OUTPUT, RUNNING, PRIVACY, MODEL = "Output", "Running", "Privacy", "Model"
"""The headings of ``--help``."""

Cohort = Annotated[
    Path,
    typer.Argument(
        metavar="COHORT",
        help="A manifest CSV (patient_id, image, …), a folder of scans, or one scan.",
        show_default=False,
    ),
]
Out = Annotated[
    Path,
    typer.Option("--out", "-o", help="Output folder.", show_default=False, rich_help_panel=OUTPUT),
]
Masks = Annotated[
    Path | None,
    typer.Option(
        help="Folder of masks named <id>.nii.gz, or one mask for one scan.",
        show_default=False,
        rich_help_panel=INPUT,
    ),
]
Config = Annotated[
    str,
    typer.Option(
        help="Feature settings: a preset or a pyradiomics parameter file.",
        rich_help_panel=FEATURES,
    ),
]
Limits = Annotated[
    str,
    typer.Option(
        "--config",
        help="A preset or a parameter file: the limits of the verdict.",
        rich_help_panel=REGIONS,
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        help="What runs the network: auto (the fastest there is), torch, openvino or cuda.",
        rich_help_panel=NETWORK,
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        help="Precision of the network's arithmetic: fp32, or bf16 where the hardware has it.",
        rich_help_panel=NETWORK,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Worker processes; default: as many as cores and memory allow; 0: in this process, "
        "where a crash ends the run.",
        show_default=False,
        rich_help_panel=RUNNING,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1, help="CPU threads; default: all cores.", show_default=False, rich_help_panel=RUNNING
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print problems only.", rich_help_panel=RUNNING)
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Print paths and tracebacks of problems too.",
        rich_help_panel=RUNNING,
    ),
]


@dataclass(frozen=True)
class Regions:
    """Which regions of given masks get a row."""

    label: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Label of the region in given masks; default: the only one, or 1 and 2.",
            show_default=False,
            rich_help_panel=REGIONS,
        ),
    ] = None
    roi: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=EXPRESSION",
            help="A row for this region of each scan, such as tumour=2 or "
            "'ring5=ring(1,2;5mm)'; once for each. Default: pancreas, tumour included.",
            show_default=False,
            rich_help_panel=REGIONS,
        ),
    ] = None


@dataclass(frozen=True)
class Network:
    """What makes masks."""

    weights: Annotated[
        str,
        typer.Option(help="Network weights: a shipped name or a file.", rich_help_panel=NETWORK),
    ] = "monet_open"
    engine: Engine = "auto"
    precision: Precision = "fp32"
    uncertainty: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Passes of the network with dropout, to see how far masks agree; 0: none.",
            rich_help_panel=NETWORK,
        ),
    ] = 0


@dataclass(frozen=True)
class Features:
    """What is measured."""

    config: Config = "pancreas_ct"
    keep_failed: Annotated[
        bool,
        typer.Option(
            "--keep-failed",
            help="Compute features of regions that fail the verdict too; they stay fail.",
            rich_help_panel=FEATURES,
        ),
    ] = False


@dataclass(frozen=True)
class Table:
    """How the table is written."""

    names: Annotated[
        str,
        typer.Option(
            help="Names of features: safe (letters, digits and _ only) or pyradiomics.",
            rich_help_panel=OUTPUT,
        ),
    ] = "safe"
    format: Annotated[
        str,
        typer.Option(
            help="Format of the table: csv, or parquet (needs pyarrow).", rich_help_panel=OUTPUT
        ),
    ] = "csv"
    excel: Annotated[
        bool,
        typer.Option(
            "--excel", help="Mark the CSV as UTF-8, as Excel needs it.", rich_help_panel=OUTPUT
        ),
    ] = False
    decimal_comma: Annotated[
        bool,
        typer.Option(
            "--decimal-comma",
            help="Write 0,5 and ; between cells, for Excel where decimals have a comma.",
            rich_help_panel=OUTPUT,
        ),
    ] = False


@dataclass(frozen=True)
class Running:
    """Where and how a cohort is run on this machine."""

    workers: Workers = None
    threads: Threads = None
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            metavar="SECONDS",
            help="Give up a scan that takes longer.",
            show_default=False,
            rich_help_panel=RUNNING,
        ),
    ] = None
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Memory for all workers together (on a cluster: for each), such as 8GB; "
            "default: what is free.",
            show_default=False,
            rich_help_panel=RUNNING,
        ),
    ] = None


@dataclass(frozen=True)
class Resuming(Running):
    """Where and how a cohort is run whose results are kept, and taken up again."""

    no_retry: Annotated[
        bool,
        typer.Option(
            "--no-retry",
            help="Keep failed rows while nothing of them has changed.",
            rich_help_panel=RUNNING,
        ),
    ] = False
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Stop at the first row that is not usable.", rich_help_panel=RUNNING
        ),
    ] = False
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Run on the workers of this Dask scheduler, such as tcp://host:8786.",
            show_default=False,
            rich_help_panel=RUNNING,
        ),
    ] = None
    slurm: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Run in SLURM jobs: a YAML file with dask-jobqueue's settings and the number of "
            "jobs.",
            show_default=False,
            rich_help_panel=RUNNING,
        ),
    ] = None


@dataclass(frozen=True)
class Privacy:
    """How ids are hidden."""

    pseudonymise: Annotated[
        Path | None,
        typer.Option(
            metavar="KEYFILE",
            help="Replace patient and scan ids by pseudonyms, keyed by this file's bytes (HMAC).",
            show_default=False,
            rich_help_panel=PRIVACY,
        ),
    ] = None
    id_map: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --pseudonymise: write there which id has which pseudonym (CSV).",
            show_default=False,
            rich_help_panel=PRIVACY,
        ),
    ] = None


@dataclass(frozen=True)
class Printing:
    """How much is printed."""

    quiet: Quiet = False
    verbose: Verbose = False


def example(line: str, page: str) -> str:
    """Return what stands below the options of ``--help``: an example, and where to read on.

    Args:
        line: a whole command.
        page: a file in ``docs/``, with the heading.
    """
    return f"Example: {line}\n\nMore: docs/{page}"
