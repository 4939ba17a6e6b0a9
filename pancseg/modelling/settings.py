"""The choices that are made before the data are analysed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from pancseg.system.yaml_file import FrozenModel

MOST_IMPUTATIONS = 20
"""With so many, chance in the draws adds a twentieth of its variance in one table."""


def unit_of(time_unit: str | None) -> str:
    """Return the unit of times for sentences and axes.

    >>> unit_of("months"), unit_of(None)
    ('months', 'time units')
    """
    return time_unit or "time units"


def imputations_message(count: int) -> str:
    """Return why a number of imputations is refused."""
    if count < 1:
        return (
            f"{count} is no number of imputations; give 1 for medians, or 2 to {MOST_IMPUTATIONS}"
        )
    return (
        f"{count} imputations; give {MOST_IMPUTATIONS} or fewer: more hardly change the average, "
        "and each takes as long as the first"
    )


class ModelSettings(FrozenModel):
    """The choices made before the data are analysed; written to ``settings.yaml``.

    Attributes:
        kind: ``subtype`` or ``survival``.
        model: the algorithm that is judged, saved and compared: a key of ``MODELS``.
        outer: number of outer folds.
        inner: number of inner folds.
        repeats: number of repeats of the nested cross-validation.
        resamples: number of resamples of the patient bootstrap.
        canary: number of runs on permuted outcomes, and again on noise features; 0: none.
        imputations: number of tables in which missing values are imputed within a fold; 1: they
            are filled by medians.
        seed: random seed of folds, models, imputations, bootstrap and canary.
        positive: the class to tell from all others, if it was named.
        event_is: the value that means event, if it was named.
        competing: the values that mean a competing event, if they were named.
        trust_times: whether times that look as if they were in two units are accepted.
        stability_sha256: hash of the file with the features' stability, if one was given.
        time_unit: what a time of 1 is, such as ``months``; None: not told.
        horizons: times that survival is reported for; none: quartiles of the event times,
            those after 0.
        subgroups: columns whose values are reported as subgroups.
        leave_out: column of sites that are left out in turn; None: no such validation.
    """

    kind: Literal["subtype", "survival"]
    model: str = "elastic-net"
    outer: int = Field(5, ge=3, le=20, alias="folds")
    inner: int = Field(5, ge=2, le=20, alias="inner_folds")
    repeats: int = Field(5, ge=1, le=100)
    resamples: int = Field(1000, ge=100, le=100_000)
    canary: int = Field(8, ge=0, le=1000)
    imputations: int = 1
    seed: int = Field(0, ge=0)
    positive: str | None = None
    event_is: str | None = None
    competing: tuple[str, ...] = ()
    trust_times: bool = False
    stability_sha256: str | None = None
    time_unit: str | None = Field(None, min_length=1, max_length=20, pattern=r"^[A-Za-z ]+$")
    horizons: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = ()
    subgroups: tuple[str, ...] = ()
    leave_out: str | None = None

    @field_validator("imputations")
    @classmethod
    def _as_many_as_help(cls, count: int) -> int:
        if not 1 <= count <= MOST_IMPUTATIONS:
            raise ValueError(imputations_message(count))
        return count

    @field_validator("canary")
    @classmethod
    def _enough_to_find_a_leak(cls, runs: int) -> int:
        if runs in (1, 2):
            raise ValueError(f"{runs} runs are too few to find a leak; give 3 or more, or 0")
        return runs
