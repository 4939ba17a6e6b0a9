"""Steps that treat all columns, or all patients, at once find what plain loops find."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from pancseg.modelling.estimators.cox import censoring_survival
from pancseg.modelling.estimators.fences import Filled, fences
from pancseg.modelling.estimators.preparation import Varied
from pancseg.modelling.estimators.redundancy import Unredundant
from pancseg.modelling.estimators.survival_array import survival_outcome


def odd_table(seed: int) -> np.ndarray:
    """A few columns of any scale, some of whole or of 0/1 numbers; every other table has gaps."""
    random = np.random.default_rng(seed)
    x = random.normal(size=random.integers(1, [40, 12])) * 10.0 ** random.integers(-8, 9)
    x = np.where(random.random(x.shape[1]) < 0.3, random.integers(0, 2, x.shape), x)
    x = np.where(random.random(x.shape[1]) < 0.3, np.round(x), x)
    if seed % 2:
        x[random.random(x.shape) < random.choice([0.05, 0.5, 1.0])] = np.nan
    return x


@pytest.mark.parametrize("seed", range(40))
def test_gaps_and_fences_of_each_column(seed: int) -> None:
    x = odd_table(seed)
    filled, (low, high), kept = Filled().fit(x).statistics_, fences(x), Varied().fit(x).kept_
    for j, column in enumerate(x.T):
        alone = column[~np.isnan(column)]
        counts = np.unique(alone, return_counts=True)[1]
        assert (j in kept) == (len(counts) > 1 and len(alone) - max(counts) >= 0.05 * len(alone))
        if not len(alone):
            assert (filled[j], low[j], high[j]) == (0, -np.inf, np.inf)
            continue
        assert filled[j] == (alone.mean() if set(alone) <= {0, 1} else np.median(alone))
        ordered = np.sort(alone)
        edge = int(0.05 * (len(alone) - 1))
        edge = max(edge, 1) if len(alone) > 2 else edge
        first, third = np.quantile(alone, [0.25, 0.75])
        spread = third - first or ordered[-1 - edge] - ordered[edge]
        wanted = (-np.inf, np.inf)
        if spread > 0:
            wanted = (
                min(first - 3 * spread, ordered[edge]),
                max(third + 3 * spread, ordered[-1 - edge]),
            )
        assert (low[j], high[j]) == wanted


def clustered_whole(x: np.ndarray, stability: np.ndarray) -> np.ndarray:
    """The columns kept where all columns are clustered together."""
    rho = np.abs(np.corrcoef(rankdata(x, axis=0), rowvar=False))
    rho = (rho + rho.T) / 2
    np.fill_diagonal(rho, 1)
    tree = linkage(squareform(1 - rho, checks=False), method="average")
    cluster = fcluster(tree, 0.1, criterion="distance")
    kept = []
    for number in np.unique(cluster):
        members = np.flatnonzero(cluster == number)
        typical = rho[np.ix_(members, members)].mean(axis=1).round(12)
        best = np.lexsort((members, -typical, -stability[members]))[0]
        kept.append(members[best])
    return np.sort(kept)


@pytest.mark.parametrize("seed", range(30))
def test_clusters_within_groups_are_those_of_all_columns(seed: int) -> None:
    random = np.random.default_rng(seed)
    n, p = random.integers(20, 60), random.integers(2, 80)
    base = random.normal(size=(n, max(1, p // 3)))
    noise = random.choice([0.05, 0.2, 0.35, 0.5]) * random.normal(size=(n, p))
    x = base[:, random.integers(0, base.shape[1], p)] + noise
    icc = np.where(random.random(p) < 0.5, np.nan, random.random(p))
    assert Unredundant().fit(x).kept_.tolist() == clustered_whole(x, np.full(p, -1.0)).tolist()
    stable = Unredundant(tuple(icc)).fit(x).kept_
    assert stable.tolist() == clustered_whole(x, np.nan_to_num(icc, nan=-1.0)).tolist()


@pytest.mark.parametrize("seed", range(20))
def test_the_censoring_curve_steps_at_each_censoring(seed: int) -> None:
    random = np.random.default_rng(seed)
    n = random.integers(1, 50)
    time = random.integers(1, 20, n).astype(float)
    y = survival_outcome(random.random(n) < random.choice([0, 0.4, 1]), time)
    for at in (0.5, *time, 25.0):
        curve = 1.0
        for t in np.unique(time[~y["event"] & (time <= at)]):
            died = (y["event"] & (time == t)).sum()
            censored = (~y["event"] & (time == t)).sum()
            curve *= 1 - censored / ((time >= t).sum() - died)
        assert censoring_survival(y, np.array([at]))[0] == pytest.approx(curve, abs=1e-12)


@pytest.mark.parametrize("n", [11, 16, 30])
def test_of_equal_correlations_the_last_bit_is_that_of_numpy(n: int) -> None:
    random = np.random.default_rng(n)  # ranks of few patients correlate in few ways
    base = random.normal(size=(n, 60))
    x = base[:, random.integers(0, 60, 400)] + 0.35 * random.normal(size=(n, 400))
    rho = np.abs(np.corrcoef(rankdata(x, axis=0), rowvar=False))
    group = connected_components(1 - (rho + rho.T) / 2 <= 1 - 0.9)[1]
    kept: list[int] = []
    for number in np.unique(group):
        columns = np.flatnonzero(group == number)
        chosen = clustered_whole(x[:, columns], -np.ones(400)) if len(columns) > 1 else [0]
        kept += columns[chosen].tolist()
    assert Unredundant().fit(x).kept_.tolist() == sorted(kept)


@pytest.mark.parametrize("signal", [0.0, 3.0])
def test_redundant_columns_are_found_without_a_square_array_of_all(signal: float) -> None:
    random, p = np.random.default_rng(0), 1500
    x = signal * random.normal(size=(50, 3)) @ random.normal(size=(3, p))
    x += random.normal(size=(50, p))
    tracemalloc.start()
    Unredundant().fit(x)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    square = 8 * p * p
    assert most < (1.5 if signal else 0.5) * square  # of one chain: half of a square, and a copy


def test_many_equal_correlations_near_the_bound_take_no_array_of_pairs_and_rows() -> None:
    random, (n, p) = np.random.default_rng(0), (2000, 256)
    loading = np.sqrt(2 * np.sin(np.pi / 6 * 0.9))  # Spearman's rho of all pairs is about 0.9
    x = loading * random.normal(size=(n, 1))
    x = x + np.sqrt(1 - loading**2) * random.normal(size=(n, p))
    tracemalloc.start()
    kept = Unredundant().fit(x).kept_
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kept.tolist() == clustered_whole(x, np.full(p, -1.0)).tolist()
    assert most < 8 * x.nbytes


@pytest.mark.parametrize("n", [0, 1])
def test_without_two_rows_no_column_is_redundant(n: int) -> None:
    assert Unredundant().fit(np.ones((n, 3))).kept_.tolist() == [0, 1, 2]
