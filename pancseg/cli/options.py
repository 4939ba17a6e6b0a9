"""Options that several commands share, in groups, each with one spelling and one help text."""

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
    """Return an option under a heading of ``--help``, to annotate a parameter with.

    Args:
        panel: the heading.
        names: spellings of the option; by default its parameter's name.
        help: text of ``--help``.
        settings: arguments of ``typer.Option``.
    """
    return typer.Option(*names, help=help, rich_help_panel=panel, **settings)


Cohort = Annotated[
    Path,
    typer.Argument(
        metavar="COHORT",
        help="A manifest (CSV or .xlsx: patient_id, image, …), a folder of scans, or one scan.",
        show_default=False,
    ),
]
Out = Annotated[Path, option("Output", "--out", "-o", help="Output folder.")]
Masks = Annotated[
    Path | None,
    option("Input", help="Folder of masks named <id>.nii.gz, or one mask for one scan."),
]
Only = Annotated[
    list[str] | None,
    option(
        "Input",
        metavar="ID",
        help="Process only this patient or scan of COHORT; all others keep the rows that they "
        "have in OUT. May be repeated, or hold several ids: P7,P12.",
    ),
]
Config = Annotated[
    str, option("Features", help="Feature settings: a preset's name or a pyradiomics YAML file.")
]
Limits = Annotated[
    str,
    option("Regions", "--config", help="Limits of the verdict: a preset's name or a YAML file."),
]
Engine = Annotated[
    str,
    option(
        "Network",
        help="What runs the network: auto (the fastest available), torch, openvino or cuda.",
    ),
]
Precision = Annotated[
    str,
    option(
        "Network",
        help="Precision of the network's arithmetic: fp32; bf16 where the hardware has it; "
        "int8 in OpenVINO, if the weights hold ranges of activations.",
    ),
]
Looks = Annotated[
    int | None,
    option(
        "Network",
        min=1,
        max=2,
        help="Looks at a scan: 1, or 2 to look again at what was found, at full resolution; "
        "default: as many as the weights have networks for.",
    ),
]
AllowCode = Annotated[
    bool,
    option(
        "Network",
        "--allow-code",
        help="Accept weights of a network outside pancseg and run its code; only from a source "
        "you trust.",
    ),
]
Workers = Annotated[
    int | None,
    option(
        "Running",
        min=0,
        help="Number of worker processes; default: as many as cores and memory allow. 0: use this "
        "process, where a crash ends the run.",
    ),
]
Threads = Annotated[
    int | None, option("Running", min=1, help="Number of CPU threads; default: one per core.")
]
Quiet = Annotated[bool, option("Running", "--quiet", "-q", help="Print problems only.")]
Verbose = Annotated[
    bool,
    option("Running", "--verbose", "-v", help="Also print paths and tracebacks of problems."),
]


@dataclass(frozen=True)
class Regions:
    """The regions that get a row."""

    label: Annotated[
        str | None,
        option(
            "Regions",
            metavar="LABEL",
            help="Label of the region in given masks: a number, or a name that the mask's file "
            "gives (pancseg labels lists them). Default: the only label, or 1 and 2; by name, the "
            "pancreas and its tumour.",
        ),
    ] = None
    roi: Annotated[
        list[str] | None,
        option(
            "Regions",
            metavar="NAME=EXPRESSION",
            help="A region that gets a row of each scan: tumour=2, 'tumour=Tumor|PDAC', "
            "'ring5=ring(1,2;5mm)'. May be repeated. Default: the pancreas including the tumour.",
        ),
    ] = None


@dataclass(frozen=True)
class Measuring:
    """The network whose speed is measured."""

    weights: Annotated[
        str, option("Network", help="With --estimate: network weights, a shipped name or a file.")
    ] = DEFAULT_WEIGHTS
    engine: Engine = DEFAULT_ENGINE
    precision: Precision = DEFAULT_PRECISION
    looks: Looks = None
    allow_code: AllowCode = False


@dataclass(frozen=True)
class Network:
    """The network that makes masks."""

    weights: Annotated[
        str, option("Network", help="Network weights: a shipped name or a file.")
    ] = DEFAULT_WEIGHTS
    engine: Engine = DEFAULT_ENGINE
    precision: Precision = DEFAULT_PRECISION
    looks: Looks = None
    uncertainty: Annotated[
        int,
        option(
            "Network",
            min=0,
            metavar="N",
            help="Number of passes of the network with dropout, whose masks are compared; 0: none.",
        ),
    ] = 0
    allow_code: AllowCode = False


@dataclass(frozen=True)
class Features:
    """The features to measure."""

    config: Config = DEFAULT_PRESET
    keep_failed: Annotated[
        bool,
        option(
            "Features",
            "--keep-failed",
            help="Compute features also of regions that fail the verdict; their status stays fail.",
        ),
    ] = False
    keep_truncated_shape: Annotated[
        bool,
        option(
            "Features",
            "--keep-truncated-shape",
            help="Keep the shape of regions that the scan's edge cuts off, in masks that a person "
            "drew.",
        ),
    ] = False


@dataclass(frozen=True)
class Table:
    """The format of the table."""

    names: Annotated[
        str,
        option("Output", help="Feature names: safe (only letters, digits and _) or pyradiomics."),
    ] = "safe"
    format: Annotated[
        str, option("Output", help="Format of the table: csv, or parquet (needs pyarrow).")
    ] = "csv"
    excel: Annotated[
        bool, option("Output", "--excel", help="Mark the CSV as UTF-8, which Excel needs.")
    ] = False
    decimal_comma: Annotated[
        bool,
        option(
            "Output",
            "--decimal-comma",
            help="Write decimal commas (0,5) and separate cells by semicolons, for Excel in such "
            "locales.",
        ),
    ] = False
    wide: Annotated[
        bool,
        option(
            "Output",
            "--wide",
            help="Also write features_wide: one row per patient and scan, the regions side by "
            "side.",
        ),
    ] = False


@dataclass(frozen=True)
class Page:
    """The page of the run."""

    no_report: Annotated[
        bool,
        option("Output", "--no-report", help="Make no pictures and no page OUT/report/index.html."),
    ] = False


@dataclass(frozen=True)
class Running:
    """Where and how a cohort is run on this machine."""

    workers: Workers = None
    threads: Threads = None
    timeout: Annotated[
        float | None,
        option(
            "Running",
            min=0.001,
            metavar="SECONDS",
            help="Time limit for each scan; default: an hour or more, by its size.",
        ),
    ] = None
    memory: Annotated[
        str | None,
        option(
            "Running",
            metavar="SIZE",
            help="Memory of all workers together (on a cluster: of each worker's thread), such as "
            "8GB; default: the free memory.",
        ),
    ] = None


@dataclass(frozen=True)
class Resuming(Running):
    """Where and how a cohort is run whose results are kept for the next run."""

    no_retry: Annotated[
        bool,
        option("Running", "--no-retry", help="Keep failed rows whose inputs are unchanged."),
    ] = False
    strict: Annotated[
        bool, option("Running", "--strict", help="Stop at the first row that is not usable.")
    ] = False
    scheduler: Annotated[
        str | None,
        option(
            "Running",
            metavar="ADDRESS",
            help="Address of a Dask scheduler whose workers process the scans, such as "
            "tcp://host:8786.",
        ),
    ] = None
    slurm: Annotated[
        Path | None,
        option(
            "Running",
            metavar="FILE",
            help="YAML file with dask-jobqueue's settings and the number of jobs; the scans are "
            "processed in SLURM jobs.",
        ),
    ] = None


@dataclass(frozen=True)
class Privacy:
    """Whether and how ids are hidden."""

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
            help="With --pseudonymise: CSV to write the pseudonym of each id to.",
        ),
    ] = None


@dataclass(frozen=True)
class Printing:
    """What is printed."""

    quiet: Quiet = False
    verbose: Verbose = False


def example(line: str, page: str) -> str:
    """Return the end of a command's ``--help``: an example and a page to read.

    Args:
        line: a whole command.
        page: a file in ``docs/`` with the anchor of a heading.
    """
    return f"Example: {line}\n\nMore: docs/{page}"
