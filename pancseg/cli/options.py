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
        help="Label of the region in given masks; default: all that is not zero.",
        show_default=False,
    ),
]
Config = Annotated[
    str, typer.Option(help="Feature settings: a preset or a pyradiomics parameter file.")
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
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print problems only.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print paths and tracebacks of problems too.")
]


def limit_threads(threads: int | None) -> None:
    """Limit the threads of SimpleITK and of the linear algebra libraries loaded so far."""
    import SimpleITK as sitk
    import threadpoolctl

    if threads:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
        threadpoolctl.threadpool_limits(threads)
