"""Options that several commands share: each is spelt and explained once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Cohort = Annotated[
    Path,
    typer.Argument(
        metavar="COHORT",
        help="A manifest CSV (patient_id, image, …), a folder of scans, or one scan.",
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Output folder.", show_default=False)]
Masks = Annotated[
    Path | None,
    typer.Option(
        help="Folder of masks named <id>.nii.gz, or one mask for one scan.", show_default=False
    ),
]
Label = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Label of the region in given masks; default: the only one, or 1 and 2.",
        show_default=False,
    ),
]
Roi = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=EXPRESSION",
        help="A row for this region of each scan; once for each, such as tumour=2, "
        "'ring5=ring(1,2;5mm)'. Default: pancreas, tumour included.",
        show_default=False,
    ),
]
Config = Annotated[
    str, typer.Option(help="Feature settings: a preset or a pyradiomics parameter file.")
]
Limits = Annotated[
    str, typer.Option("--config", help="A preset or a parameter file: the limits of the verdict.")
]
Names = Annotated[
    str,
    typer.Option(
        help="Names of features in the table: safe (letters, digits and _ only) or pyradiomics."
    ),
]
Format = Annotated[str, typer.Option(help="Of the table: csv, or parquet (needs pyarrow).")]
Excel = Annotated[bool, typer.Option("--excel", help="Mark the CSV as UTF-8, as Excel needs it.")]
DecimalComma = Annotated[
    bool,
    typer.Option(
        "--decimal-comma", help="Write 0,5 and ; between cells, as Excel does in such countries."
    ),
]
Weights = Annotated[str, typer.Option(help="Network weights: a shipped name or a file.")]
Engine = Annotated[
    str,
    typer.Option(
        help="What runs the network: auto, torch, openvino or cuda; auto takes the fastest there."
    ),
]
Precision = Annotated[
    str, typer.Option(help="Of the network's arithmetic: fp32, or bf16 where the hardware has it.")
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="CPU threads; default: all cores.", show_default=False),
]
Pseudonymise = Annotated[
    Path | None,
    typer.Option(
        metavar="KEYFILE",
        help="Replace patient and scan ids by pseudonyms, keyed by this file's bytes (HMAC).",
        show_default=False,
    ),
]
IdMap = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="With --pseudonymise: write which id has which pseudonym there (CSV).",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print problems only.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print paths and tracebacks of problems too.")
]


Workers = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Worker processes; default: as many as cores and memory allow; 0: in this process, "
        "where a crash ends the run.",
        show_default=False,
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        min=0.001, metavar="SECONDS", help="Give up a scan that takes longer.", show_default=False
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Memory for all workers together (on a cluster: for each), such as 8GB; default: "
        "what is free.",
        show_default=False,
    ),
]
NoRetry = Annotated[
    bool, typer.Option("--no-retry", help="Keep failed rows while nothing of them has changed.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first row that is not usable.")]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Run on the workers of this Dask scheduler, such as tcp://host:8786.",
        show_default=False,
    ),
]
Slurm = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Run in SLURM jobs: YAML with dask-jobqueue's settings and jobs, how many.",
        show_default=False,
    ),
]
KeepFailed = Annotated[
    bool,
    typer.Option(
        "--keep-failed",
        help="Compute features of regions that fail the verdict too; they stay fail.",
    ),
]
Uncertainty = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        help="Passes of the network with dropout, to see how far masks agree; 0: none.",
    ),
]
