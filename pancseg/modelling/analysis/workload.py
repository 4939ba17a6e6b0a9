"""How much work the steps of an analysis are, so that the time left can be told."""

from __future__ import annotations

from pancseg.modelling.settings import ModelSettings

_CANARY_FOLD, _SAMPLE = 0.4, 0.6
"""Work for radiomics alone, and for the models that are corrected, in a fold of all models.

They lie between those measured on 200 × 5,000: on the study's columns 0.34 and 0.53, on columns
that correlate highly 0.58 and 0.72 (docs/log.md, 2026-12-01).
"""


def samples_of(settings: ModelSettings) -> int:
    """Return the number of bootstrap samples of the correction for optimism.

    There are as many as outer folds in all repeats, so that the correction costs less than the
    cross-validation does, whatever is asked for.
    """
    return settings.outer * settings.repeats


def steps_of(settings: ModelSettings, leaks: bool = False) -> list[float]:
    """Return the work of each step that :func:`.analyse` tells of, in its turn.

    The unit is an outer fold of all models. A canary runs through all outer folds of one of the
    models, a bootstrap sample is one fold of the models that are corrected.

    Args:
        settings: the choices made beforehand.
        leaks: whether a canary found a leak; then nothing is corrected.
    """
    canary, fold, sample = _CANARY_FOLD * settings.outer, 1.0, _SAMPLE
    return [
        *[canary] * (2 * settings.canary),
        *[fold] * (settings.outer * settings.repeats),
        *[sample] * (0 if leaks else samples_of(settings)),
    ]
