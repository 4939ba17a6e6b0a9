"""pancseg: from portal-venous abdominal CT to pancreas masks to a table of radiomics features.

The names below are the public interface; they are imported when they are first used, so that
``import pancseg`` is quick and imports neither torch nor SimpleITK.

>>> import pancseg
>>> scan = pancseg.read_scan("scan.nii.gz")  # doctest: +SKIP
>>> mask = pancseg.load_segmenter().segment(scan)  # doctest: +SKIP
>>> row = pancseg.measure(scan, mask)  # doctest: +SKIP
"""

from importlib import import_module

from pancseg.system.version import __version__ as __version__

TYPE_CHECKING = False  # typing, like all else here, would come from the working folder after -m
if TYPE_CHECKING:
    from pancseg.cohort.case import Case
    from pancseg.cohort.discovery import read_cohort
    from pancseg.errors import CohortError, RunRefused, RunStopped, UnusableCase
    from pancseg.evaluation.evaluate import evaluate_masks
    from pancseg.export.export import export_output
    from pancseg.features.extract import extract_features
    from pancseg.features.settings import FeatureSettings, load_feature_settings, preset_names
    from pancseg.modelling.apply import predict
    from pancseg.modelling.fit import fit_model
    from pancseg.modelling.saved_model import load_model
    from pancseg.pictures.figure import montage, overlay
    from pancseg.pipeline.cohort import check_cohort, extract_cohort, run_cohort, segment_cohort
    from pancseg.pipeline.estimation.estimate import RunEstimate, estimate_run
    from pancseg.pipeline.measure import measure
    from pancseg.pipeline.result_table import results_table
    from pancseg.processing.row import CaseResult
    from pancseg.quality.limits import QualityLimits
    from pancseg.quality.verdict import judge_region, judge_scan
    from pancseg.report.page import write_report
    from pancseg.running.options import RunOptions
    from pancseg.running.progress import RunProgress
    from pancseg.scans.reading import preview_scan, read_scan
    from pancseg.scans.writing import write_scan
    from pancseg.segmentation.networks.monet import MoNet
    from pancseg.segmentation.segmenter import Segmenter, load_segmenter
    from pancseg.tables.format import TableFormat

_HOMES = {
    "cohort.case": ("Case",),
    "cohort.discovery": ("read_cohort",),
    "errors": ("CohortError", "RunRefused", "RunStopped", "UnusableCase"),
    "evaluation.evaluate": ("evaluate_masks",),
    "export.export": ("export_output",),
    "features.extract": ("extract_features",),
    "features.settings": ("FeatureSettings", "load_feature_settings", "preset_names"),
    "modelling.fit": ("fit_model",),
    "modelling.apply": ("predict",),
    "modelling.saved_model": ("load_model",),
    "pictures.figure": ("montage", "overlay"),
    "pipeline.cohort": ("check_cohort", "extract_cohort", "run_cohort", "segment_cohort"),
    "pipeline.estimation.estimate": ("RunEstimate", "estimate_run"),
    "pipeline.measure": ("measure",),
    "pipeline.result_table": ("results_table",),
    "processing.row": ("CaseResult",),
    "quality.limits": ("QualityLimits",),
    "quality.verdict": ("judge_region", "judge_scan"),
    "report.page": ("write_report",),
    "running.options": ("RunOptions",),
    "running.progress": ("RunProgress",),
    "scans.reading": ("preview_scan", "read_scan"),
    "scans.writing": ("write_scan",),
    "segmentation.networks.monet": ("MoNet",),
    "segmentation.segmenter": ("Segmenter", "load_segmenter"),
    "tables.format": ("TableFormat",),
}
"""Module → the public names that it defines."""

_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Case",
    "CaseResult",
    "CohortError",
    "FeatureSettings",
    "MoNet",
    "QualityLimits",
    "RunEstimate",
    "RunOptions",
    "RunProgress",
    "RunRefused",
    "RunStopped",
    "Segmenter",
    "TableFormat",
    "UnusableCase",
    "check_cohort",
    "estimate_run",
    "evaluate_masks",
    "export_output",
    "extract_cohort",
    "extract_features",
    "fit_model",
    "judge_region",
    "judge_scan",
    "load_feature_settings",
    "load_model",
    "load_segmenter",
    "measure",
    "montage",
    "overlay",
    "predict",
    "preset_names",
    "preview_scan",
    "read_cohort",
    "read_scan",
    "results_table",
    "run_cohort",
    "segment_cohort",
    "write_report",
    "write_scan",
]


_EXTRAS = {
    "evaluation.evaluate": "train",
    "modelling.apply": "model",
    "modelling.fit": "model",
    "modelling.saved_model": "model",
    "segmentation.networks.monet": "torch",
}
"""Modules that need an extra."""


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        value = getattr(_imported(name), name)
        globals()[name] = value
        return value
    if name in _packages():
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _imported(name: str) -> object:
    """Import the module that defines a public name, or say which extra it needs."""
    home = _HOME_OF[name]
    try:
        return import_module(f"{__name__}.{home}")
    except ModuleNotFoundError as error:
        if home not in _EXTRAS or str(error.name).startswith(__name__):
            raise
        install = f"pip install 'pancseg[{_EXTRAS[home]}]'"
        package = str(error.name).partition(".")[0]
        raise ImportError(f"pancseg.{name} needs the package {package}; {install}") from error


def __dir__() -> list[str]:
    dunder = {name for name in globals() if name.startswith("__")}
    return sorted({*dunder, *__all__, *_packages()})


def _packages() -> set[str]:
    from pkgutil import iter_modules

    return {module.name for module in iter_modules(__path__) if not module.name.startswith("_")}
