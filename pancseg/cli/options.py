"""Options that several commands share, in groups: each is spelt and explained once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pancseg.features import DEFAULT_PRESET
from pancseg.segmentation import DEFAULT_ENGINE, DEFAULT_PRECISION, DEFAULT_WEIGHTS

Panel = Literal["Input", "Regions", "Network", "Features", "Model", "Output", "Running", "Privacy"]
"""The headings of ``--help``."""


def option(panel: Panel, *names: str, help: str, **settings: Any) -> Any:
    """Return an option under a heading of ``--help``, as an annotation of its parameter."""
    return typer.Option(*names, help=help, rich_help_panel=panel, **settings)


Cohort = Annotated[
    Path,
    typer.Argument(
        metavar="COHORT",
        help="A manifest CSV (patient_id, image, …), a folder of scans, or one scan.",
        show_default=False,
    ),
]
Out = Annotated[Path, option("Output", "--out", "-o", help="Output folder.")]
Masks = Annotated[
    Path | None,
    option("Input", help="Folder of masks named <id>.nii.gz, or one mask for one scan."),
]
Config = Annotated[
    str, option("Features", help="Feature settings: a preset or a pyradiomics parameter file.")
]
Limits = Annotated[
    str,
    option("Regions", "--config", help="A preset or a parameter file: the limits of the verdict."),
]
Engine = Annotated[
    str,
    option(
        "Network",
        help="What runs the network: auto (the fastest there is), torch, openvino or cuda.",
    ),
]
Precision = Annotated[
    str,
    option(
        "Network",
        help="Precision of the network's arithmetic: fp32, or bf16 where the hardware has it.",
    ),
]
Workers = Annotated[
    int | None,
    option(
        "Running",
        min=0,
        help="Worker processes; default: as many as cores and memory allow; 0: in this process, "
        "where a crash ends the run.",
    ),
]
Threads = Annotated[int | None, option("Running", min=1, help="CPU threads; default: all cores.")]
Quiet = Annotated[bool, option("Running", "--quiet", "-q", help="Print problems only.")]
Verbose = Annotated[
    bool,
    option("Running", "--verbose", "-v", help="Print paths and tracebacks of problems too."),
]


@dataclass(frozen=True)
class Regions:
    """Which regions of given masks get a row."""

    label: Annotated[
        int | None,
        option(
            "Regions",
            min=1,
            help="Label of the region in given masks; default: the only one, or 1 and 2.",
        ),
    ] = None
    roi: Annotated[
        list[str] | None,
        option(
            "Regions",
            metavar="NAME=EXPRESSION",
            help="A row for this region of each scan, such as tumour=2 or 'ring5=ring(1,2;5mm)'; "
            "once for each. Default: pancreas, tumour included.",
        ),
    ] = None


@dataclass(frozen=True)
class Network:
    """What makes masks."""

    weights: Annotated[
        str, option("Network", help="Network weights: a shipped name or a file.")
    ] = DEFAULT_WEIGHTS
    engine: Engine = DEFAULT_ENGINE
    precision: Precision = DEFAULT_PRECISION
    uncertainty: Annotated[
        int,
        option(
            "Network",
            min=0,
            metavar="N",
            help="Passes of the network with dropout, to see how far masks agree; 0: none.",
        ),
    ] = 0
    allow_code: Annotated[
        bool,
        option(
            "Network",
            "--allow-code",
            help="Accept weights of a network outside pancseg and run its code; only from somebody "
            "you trust.",
        ),
    ] = False


@dataclass(frozen=True)
class Features:
    """What is measured."""

    config: Config = DEFAULT_PRESET
    keep_failed: Annotated[
        bool,
        option(
            "Features",
            "--keep-failed",
            help="Compute features of regions that fail the verdict too; they stay fail.",
        ),
    ] = False


@dataclass(frozen=True)
class Table:
    """How the table is written."""

    names: Annotated[
        str,
        option(
            "Output", help="Names of features: safe (letters, digits and _ only) or pyradiomics."
        ),
    ] = "safe"
    format: Annotated[
        str, option("Output", help="Format of the table: csv, or parquet (needs pyarrow).")
    ] = "csv"
    excel: Annotated[
        bool, option("Output", "--excel", help="Mark the CSV as UTF-8, as Excel needs it.")
    ] = False
    decimal_comma: Annotated[
        bool,
        option(
            "Output",
            "--decimal-comma",
            help="Write 0,5 and ; between cells, for Excel where decimals have a comma.",
        ),
    ] = False


@dataclass(frozen=True)
class Running:
    """Where and how a cohort is run on this machine."""

    workers: Workers = None
    threads: Threads = None
    timeout: Annotated[
        float | None,
        option("Running", min=0.001, metavar="SECONDS", help="Give up a scan that takes longer."),
    ] = None
    memory: Annotated[
        str | None,
        option(
            "Running",
            metavar="SIZE",
            help="Memory for all workers together (on a cluster: for each), such as 8GB; default: "
            "what is free.",
        ),
    ] = None


@dataclass(frozen=True)
class Resuming(Running):
    """Where and how a cohort is run whose results are kept, and taken up again."""

    no_retry: Annotated[
        bool,
        option("Running", "--no-retry", help="Keep failed rows while nothing of them has changed."),
    ] = False
    strict: Annotated[
        bool, option("Running", "--strict", help="Stop at the first row that is not usable.")
    ] = False
    scheduler: Annotated[
        str | None,
        option(
            "Running",
            metavar="ADDRESS",
            help="Run on the workers of this Dask scheduler, such as tcp://host:8786.",
        ),
    ] = None
    slurm: Annotated[
        Path | None,
        option(
            "Running",
            metavar="FILE",
            help="Run in SLURM jobs: a YAML file with dask-jobqueue's settings and the number of "
            "jobs.",
        ),
    ] = None


@dataclass(frozen=True)
class Privacy:
    """How ids are hidden."""

    pseudonymise: Annotated[
        Path | None,
        option(
            "Privacy",
            metavar="KEYFILE",
            help="Replace patient and scan ids by pseudonyms, keyed by this file's bytes (HMAC).",
        ),
    ] = None
    id_map: Annotated[
        Path | None,
        option(
            "Privacy",
            metavar="FILE",
            help="With --pseudonymise: write there which id has which pseudonym (CSV).",
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
