"""Translate the library's parameters to options of the command line.

The library's messages name parameters in backticks (`` `label` ``); printed messages name options
(``--label``). A parameter has the same option in all commands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

OPTIONS = {
    "accelerator": "--accelerator",
    "allow_code": "--allow-code",
    "batch": "--batch",
    "by": "--by",
    "canary": "--canary",
    "clinical": "--clinical",
    "cohort": "--cohort",
    "competing": "--competing",
    "data": "--data",
    "decimal_comma": "--decimal-comma",
    "devices": "--devices",
    "drop": "--drop",
    "engine": "--engine",
    "event_is": "--event-is",
    "excel": "--excel",
    "group": "--group",
    "id_column": "--id",
    "folds": "--folds",
    "inner_folds": "--inner-folds",
    "keep_failed": "--keep-failed",
    "keep_truncated_shape": "--keep-truncated-shape",
    "kind": "--format",
    "label": "--label",
    "looks": "--looks",
    "masks": "--masks",
    "memory_bytes": "--memory",
    "model": "--model",
    "names": "--names",
    "nodes": "--nodes",
    "only": "--only",
    "out": "--out",
    "outcome_id": "--outcome-id",
    "port": "--port",
    "positive": "--positive",
    "precision": "--precision",
    "pseudonymise": "--pseudonymise",
    "reason": "--reason",
    "roi": "--roi",
    "run": "--out",
    "scans": "--scans",
    "scheduler": "--scheduler",
    "settings": "--config",
    "slices": "--slices",
    "slurm": "--slurm",
    "split_file": "--split",
    "threads": "--threads",
    "timeout_s": "--timeout",
    "to": "--to",
    "trust_times": "--trust-times",
    "time_unit": "--time-unit",
    "horizons": "--horizons",
    "imputations": "--imputations",
    "subgroup": "--subgroup",
    "leave_out": "--leave-out",
    "parameters": "--parameters",
    "share": "--share",
    "rate": "--rate",
    "horizon": "--horizon",
    "follow_up": "--follow-up",
    "c_statistic": "--c-statistic",
    "r_squared": "--r-squared",
    "uncertainty": "--uncertainty",
    "verbose": "--verbose",
    "volume": "--volume",
    "weights": "--weights",
    "widen": "--widen",
    "window": "--window",
    "with_identity": "--with-identity",
    "workers": "--workers",
}
_NAMED = re.compile(r"`([a-z_]+)`")


def with_options(text: str, shown: str = "{}") -> str:
    """Return a text of the library with options in place of the parameters that it names.

    Args:
        text: for example "name one with `label`"; other words in backticks stay unchanged.
        shown: format of an option.

    Example:
        >>> with_options("name one with `label`, or `fill` it")
        'name one with --label, or `fill` it'
    """

    def option(found: re.Match[str]) -> str:
        name = OPTIONS.get(found[1])
        return shown.format(name) if name else found[0]

    return _NAMED.sub(option, text)


def words(parameters: Mapping[str, object]) -> list[str]:
    """Return the command-line arguments that set parameters; a flag is included if it is true.

    Example:
        >>> words({"settings": "ibsi_a", "verbose": True, "excel": False})
        ['--config', 'ibsi_a', '--verbose']
    """
    found = []
    for name, value in parameters.items():
        if value is not False:
            found += [OPTIONS[name]] if value is True else [OPTIONS[name], str(value)]
    return found
