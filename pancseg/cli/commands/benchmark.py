"""The commands that measure speed: benchmark inference, patient, features."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancseg.cli.console import output_errors, say
from pancseg.cli.errors import usage_errors
from pancseg.cli.options import (
    Engine,
    Precision,
    Threads,
    Verbose,
    example,
    option,
)
from pancseg.cli.parameters import words
from pancseg.segmentation import DEFAULT_WEIGHTS

if TYPE_CHECKING:
    import SimpleITK as sitk

    from pancseg.benchmark.patient import BenchmarkJob, PythonArguments

app = typer.Typer(
    help="Measure how long inference, whole patients and features take on this machine.",
    no_args_is_help=True,
)

_Out = Annotated[
    Path | None,
    option("Output", "--out", "-o", help="Folder for the tables as files."),
]
_Repeats = Annotated[int, option("Running", min=1, help="Number of times each is measured.")]
_PAGE = "how-it-works.md#speed"


@app.command(
    epilog=example("pancseg benchmark inference --network monet --repeats 3 --out table1", _PAGE)
)
def inference(
    slices: Annotated[
        int, option("Input", min=1, help="Number of 256×256 slices in each measurement.")
    ] = 150,
    scan: Annotated[
        list[Path],
        option(
            "Input",
            help="With bf16 or int8: scans on which the changed voxels of monet_open's masks are "
            "counted; default: the demo's scans, with monet_phantom.",
        ),
    ] = [],  # noqa: B006
    network: Annotated[
        list[str],
        option(
            "Network",
            help="A network: monet, unet, attention_unet, unet16, or monet_twice for two looks at "
            "every slice. May be repeated.",
        ),
    ] = ["monet", "unet", "attention_unet", "unet16", "monet_twice"],  # noqa: B006  typer copies it
    engine: Annotated[
        list[str],
        option(
            "Network",
            help="An engine: auto, torch, openvino, cuda or as-written (eager torch). May be "
            "repeated.",
        ),
    ] = ["auto"],  # noqa: B006
    precision: Annotated[
        list[str], option("Network", help="A precision: fp32, bf16 or int8. May be repeated.")
    ] = ["fp32"],  # noqa: B006
    out: _Out = None,
    repeats: _Repeats = 5,
    threads: Threads = None,
    verbose: Verbose = False,
) -> None:
    """Measure the paper's Table 1 on this machine: the inference time of each network."""
    with usage_errors(verbose):
        from pancseg.benchmark import inference as timing
        from pancseg.system.threads import available_cores, limit_threads

        setups = timing.plan(network, engine, precision)
        _check_writable(out)
        images = _scans(scan, precision)
        limit_threads(threads or available_cores())
        used = threads or available_cores()
    seconds = timing.time_networks(setups, repeats=repeats, slices=slices, threads=used, tell=_tell)
    from pancseg.benchmark.machine import machine, peak_gflops
    from pancseg.benchmark.table1 import against_fp32, markdown, times_frame

    gflop = {name: timing.gflop_per_slice(name) for name in {s.network for s in setups}}
    kinds = dict.fromkeys((s.engine, s.precision) for s in setups)
    peak = {kind: peak_gflops(*kind, used) for kind in kinds if kind[1] != "int8"}
    frame = times_frame(seconds, slices, gflop, peak)
    text = markdown(frame) + "".join(
        f"\nMatrix-product peak, {e} {p}: {rate:.0f} GFLOP/s." for (e, p), rate in peak.items()
    )
    text += "\n" + against_fp32(frame) + _changed_voxels(list(kinds), images, used)
    say("\n" + text, sys.stdout)
    if out:
        rounds = [[*setup, *map(repr, spent)] for setup, spent in seconds.items()]
        _write(out, "inference", text, machine(used), frame.to_csv(index=False))
        head = ["network", "engine", "precision", *(f"seconds_{i + 1}" for i in range(repeats))]
        rows = "\n".join(",".join(row) for row in (head, *rounds))
        _write_files({out / "inference_rounds.csv": f"{rows}\n"})


@app.command(epilog=example("pancseg benchmark patient --engine openvino", _PAGE))
def patient(
    weights: Annotated[
        str, option("Network", help="Look as often as these weights do, in windows of their size.")
    ] = DEFAULT_WEIGHTS,
    engine: Engine = "auto",
    precision: Precision = "fp32",
    out: _Out = None,
    repeats: _Repeats = 3,
    threads: Threads = None,
    verbose: Verbose = False,
) -> None:
    """Time `segment` on 512×512×150 and `run` with 107 features on 512×512×280, by stage.

    The network is the synthetic patients'.
    """
    import tempfile

    with usage_errors(verbose):
        from pancseg.benchmark import patient as timing
        from pancseg.segmentation import engines
        from pancseg.segmentation.checkpoint import load_checkpoint
        from pancseg.system.threads import available_cores

        if missing := engines.lacks(engines.pick(engine, precision=precision), precision):
            raise ValueError(f"engine {engine} with {precision} needs {missing}")
        _check_writable(out)
        shown = load_checkpoint(weights).name
    used = threads or available_cores()
    options: dict[str, object] = {"engine": engine, "precision": precision, "threads": used}
    torch_mb = timing.memory_of_torch_mb()
    with tempfile.TemporaryDirectory() as folder:
        looks, used_weights = timing.phantom_weights(weights, Path(folder))
        text = f"Looks, as of {shown}: {looks}.\n\n"
        for job in (timing.SEGMENT, timing.WHOLE_PATIENT):
            runs, peak_mb = timing.time_patient(
                job, repeats, _command({**options, "weights": used_weights}), _tell
            )
            text += timing.report(job, runs, peak_mb, torch_mb) + "\n"
    text += (
        "TotalSegmentator publishes 77 s and 7.6 GB of memory for 512×512×280 on an RTX 3090, and "
        "34 s in its 3 mm mode.\n"
    )
    say("\n" + text, sys.stdout)
    if out:
        from pancseg.benchmark.machine import machine

        _write(out, "patient", text, machine(used))


@app.command(epilog=example("pancseg benchmark features --out speed", _PAGE))
def features(out: _Out = None, repeats: _Repeats = 3, verbose: Verbose = False) -> None:
    """Time the features of a synthetic patient on one core: both modes, and pyradiomics itself."""
    import tempfile

    with usage_errors(verbose):
        from pancseg.benchmark import features as timing

        _check_writable(out)
    with tempfile.TemporaryDirectory() as folder:
        _tell("making a scan of 512×512×100")
        volume_ml = timing.make_case(Path(folder))
        found = {w: timing.time_features(Path(folder), w, repeats, _tell) for w in timing.SETTINGS}
    text = f"A pancreas of {volume_ml:.0f} mL in 512×512×100 voxels of 0.8×0.8×2.5 mm.\n\n"
    text += "\n".join(timing.report(which, runs) for which, runs in found.items())
    say("\n" + text, sys.stdout)
    if out:
        from pancseg.benchmark.machine import machine

        _write(out, "features", text, machine(1))


def _command(options: dict[str, object]) -> PythonArguments:
    """Return a function that returns the arguments with which Python runs a job."""

    def started(job: BenchmarkJob, scan: Path, out: Path) -> list[str]:
        from pancseg.benchmark.patient import WEIGHTS

        asked = {"out": out, "weights": WEIGHTS, **options, "verbose": True}
        if job.settings:
            asked["settings"] = job.settings
        return ["-m", "pancseg", job.command, str(scan), *words(asked)]

    return started


def _scans(paths: list[Path], precision: list[str]) -> list[sitk.Image]:
    """Read the scans for which changed voxels are counted."""
    from pancseg.errors import UnusableCase
    from pancseg.scans.reading import read_scan

    if paths and set(precision) == {"fp32"}:
        raise ValueError(
            "--scan counts voxels changed by another precision; add --precision bf16 or int8"
        )
    try:
        return [read_scan(path) for path in paths]
    except UnusableCase as unusable:
        raise ValueError(f"--scan: {unusable.fact}") from unusable


def _check_writable(out: Path | None) -> None:
    if out:
        from pancseg.system.output_folder import claim

        with output_errors():
            claim(out)


def _changed_voxels(kinds: list[tuple[str, str]], images: list[sitk.Image], threads: int) -> str:
    """Return one line of text per engine and precision other than fp32."""
    from pancseg.benchmark.changed import changed_by, demo_scans

    lines = ""
    for engine, precision in kinds:
        if precision == "fp32":
            continue
        weights = "monet_open" if images else "monet_phantom"
        found = changed_by(precision, images or demo_scans(), weights, engine, threads)
        lines += (
            f"\n{weights}, {engine} {precision}: {100 * found.share:.3f} % of the fp32 masks' "
            f"voxels change ({found.changed} of {found.voxels}); lowest Dice between the two "
            f"{found.least_dice:.4f}."
            + (f" No pancreas found in {found.empty} of the scans." if found.empty else "")
            + "\n"
        )
    return lines


def _tell(line: str) -> None:
    say(line, sys.stderr)


def _write(
    out: Path, name: str, text: str, machine_info: dict[str, str | int], rows: str | None = None
) -> None:
    import json

    files = {out / f"{name}.md": text}
    files[out / f"{name}_machine.json"] = json.dumps(machine_info, indent=2) + "\n"
    if rows:
        files[out / f"{name}.csv"] = rows
    _write_files(files)


def _write_files(files: dict[Path, str]) -> None:
    from pancseg.system.whole_files import write_whole

    with output_errors():
        write_whole({path: text.encode() for path, text in files.items()})
