"""Estimate the performance of models and how they differ, with 95 % intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.stats import rankdata

from pancseg.modelling import subtype
from pancseg.modelling.analysis.degenerate_models import flat_share
from pancseg.modelling.analysis.measure_names import brier_measure, main_measure
from pancseg.modelling.analysis.model_measures import by_fold, measured, random_spread
from pancseg.modelling.cross_validation.out_of_fold import ValidationResult
from pancseg.modelling.cross_validation.plan import ValidationPlan
from pancseg.modelling.settings import ModelSettings
from pancseg.modelling.study import CHANCE
from pancseg.modelling.validation.comparison import Comparison, added
from pancseg.modelling.validation.limits import honest
from pancseg.modelling.validation.measures import (
    Estimate,
    bootstrap_weights,
    estimate,
    random_precision,
    widening,
)

MOST_REPEATS = 10
"""Calibration, decision curves and risk groups use at most this many repeats."""


class Judge:
    """Measures of the models of one validation under the same bootstrap weights.

    Attributes:
        plan: the validation plan, for outcomes and groups.
        settings: the choices made beforehand.
        validation: out-of-fold predictions.
        weights: (b, n) bootstrap weights; the first are all 1.
        main: AUC or Harrell's C.
        brier: name of the Brier score.
        values: model → measure → (b,) values under these weights.
        folds: model → measure → (repeats · folds,) values in each outer test fold.
    """

    def __init__(
        self, plan: ValidationPlan, settings: ModelSettings, validation: ValidationResult
    ) -> None:
        self.plan, self.settings, self.validation = plan, settings, validation
        self.weights = bootstrap_weights(plan.groups, settings.resamples, settings.seed)
        self.main = main_measure(settings.kind)
        self.brier = brier_measure(settings.kind)
        kind, names = settings.kind, list(validation.models)
        self.values = {n: measured(plan, validation, n, self.weights, kind) for n in names}
        self.folds = {n: by_fold(plan, validation, n, kind) for n in names}
        self._random = random_spread(plan, validation, settings.seed)

    @property
    def strata(self) -> np.ndarray:
        """(repeats, n) outer fold and repeat, of ten repeats at most."""
        folds = self.validation.folds[:MOST_REPEATS]
        return np.asarray(folds + self.plan.outer * np.arange(len(folds))[:, None])

    def wider(self, name: str) -> float:
        """Return by how much intervals of a model are wider than the bootstrap's."""
        return widening(self.values[name][self.main], self.folds[name][self.main], self.plan.outer)

    def estimates(self, name: str) -> dict[str, Estimate]:
        """Return the estimate of each measure of a model."""
        found = {}
        for measure, values in self.values[name].items():
            one = estimate(values, self.folds[name][measure], self.plan.outer)
            if measure == self.main and name != CHANCE:
                one = self._no_surer_than_random(name, one)
            one = honest(one, measure, self.plan.y, self.plan.groups)
            found[measure] = one if measure == subtype.NET_BENEFIT else one.within(0, 1)
        if name == CHANCE and self.settings.kind == "subtype":
            expected = random_precision(int(self.plan.y.sum()), len(self.plan.y))
            found["PR-AUC"] = Estimate(expected, float("nan"), float("nan"))
        return found

    def _no_surer_than_each(self, a: str, b: str, difference: float) -> Estimate:
        """Return the interval of a difference that is the same in every resample.

        Two models in perfect order do not differ in these patients; in others each may fall to the
        lower end of its own interval.
        """
        far = [found.value - found.low for found in (self._main_of(a), self._main_of(b))]
        return Estimate(difference, difference - far[0], difference + far[1])

    def _same_order(self, a: str, b: str) -> bool:
        """Return whether two models rank each fold's patients alike, neither perfectly nor flat.

        They are one model under two names: its difference from itself is certain.
        """
        if flat_share(self.validation, a) or not 0 < self.values[a][self.main][0] < 1:
            return False
        more, base = (self.validation.models[name].score for name in (a, b))
        return all(
            np.array_equal(rankdata(more[repeat, rows]), rankdata(base[repeat, rows]))
            for repeat, folds in enumerate(self.validation.folds)
            for rows in (folds == fold for fold in np.unique(folds))
        )

    def _main_of(self, name: str) -> Estimate:
        return self.estimates(name)[self.main]

    def _no_surer_than_random(self, name: str, found: Estimate) -> Estimate:
        """Widen an interval where models predict the same for all: that is not certainty.

        The share of such models counts as random ranks would.
        """
        reach = 1.96 * self._random * flat_share(self.validation, name)
        low, high = min(found.low, found.value - reach), max(found.high, found.value + reach)
        return Estimate(found.value, low, high)

    def compared(self, a: str, b: str) -> Comparison:
        """Return model a less model b.

        In AUC or C a model b below 0.5 counts as 0.5: out of fold a useless model ranks patients
        the wrong way round, and that is no merit of model a. As model a may rank them so too, the
        upper end of the interval is not below that of the plain difference.
        """
        parts = []
        for measure in (self.main, self.brier, subtype.NET_BENEFIT):
            if measure not in self.values[a]:  # the integrated Brier score needs two times
                parts.append(Estimate(*[float("nan")] * 3))
                continue
            base = self.values[b][measure]
            if measure == self.main:
                base = np.maximum(base, 0.5)
            values = self.values[a][measure] - base
            folds = self.folds[a][measure] - self.folds[b][measure]
            one = estimate(values, folds, self.plan.outer)
            if measure == self.main:
                if one.low == one.high and not self._same_order(a, b):
                    one = self._no_surer_than_each(a, b, one.value)
                plain = self.values[a][measure] - self.values[b][measure]
                plain_high = estimate(plain, folds, self.plan.outer).high
                one = replace(one, high=max(one.high, plain_high))
            parts.append(one)
        p = float("nan")
        if len(np.unique(self.plan.groups)) == len(self.plan.y):
            more, base = (self.validation.models[name].score for name in (a, b))
            p = added(self.plan.y, more, base, self.validation.folds)
        return Comparison(parts[0], parts[1], parts[2], p)
