"""Multiple imputation: draws and equations see training rows alone, and each row stands alone."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from small_studies import classes, features, times

from pancseg.modelling.estimators import chained
from pancseg.modelling.estimators.chained import Chained, outcome_columns
from pancseg.modelling.estimators.fences import Filled
from pancseg.modelling.plain.equations import Equations


def table(seed=0, n=120, p=6, gaps=0.25, columns=3):
    """Columns that share a factor, gaps in the first ones."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, p)) + 1.5 * random.normal(size=(n, 1))
    y = classes(x, 1.0, seed)
    x[:, :columns][random.random((n, columns)) < gaps] = np.nan
    return x, y


def test_drawn_values_are_values_of_other_rows_and_known_ones_stay():
    x, y = table()
    tables = Chained(4).fit(x, y).taken_tables()
    assert len(tables) == 4
    known = ~np.isnan(x)
    for each in tables:
        np.testing.assert_array_equal(each[known], x[known])
        for j in range(3):
            assert set(each[:, j]) <= set(x[known[:, j], j])
    assert not any(np.array_equal(tables[0], each) for each in tables[1:])


def test_draws_keep_what_a_column_says_of_the_outcome_and_of_the_others():
    """Among rows that lack a column, medians relate to nothing; draws do as in the known rows."""
    slopes = []
    for seed in range(20):
        x, y = table(seed, n=300, gaps=0.4, columns=1)
        gap = np.isnan(x[:, 0])
        one = Chained(2, seed).fit(x, y).taken_tables()[0]
        design = np.column_stack([x[:, 1:], y])
        slopes.append(
            [LinearRegression().fit(design[rows], one[rows, 0]).coef_ for rows in (gap, ~gap)]
        )
    drawn, known = np.mean(slopes, axis=0)
    np.testing.assert_allclose(drawn, known, atol=0.08)
    assert known[-1] > 0.1  # the outcome adds to the other columns


def test_draws_are_spread_like_the_known_values():
    x, y = table(n=400, gaps=0.4, columns=1)
    gap = np.isnan(x[:, 0])
    drawn = np.concatenate([t[gap, 0] for t in Chained(5).fit(x, y).taken_tables()])
    assert np.std(drawn) == pytest.approx(np.nanstd(x[:, 0]), rel=0.15)


def test_one_gap_is_filled_with_a_ridge_regression_on_the_other_columns():
    x, y = table(n=200, columns=1)
    known = ~np.isnan(x[:, 0])
    z = (x - np.nanmean(x, axis=0)) / np.nanstd(x, axis=0)
    design = z[known, 1:] - z[known, 1:].mean(axis=0)
    beta = np.linalg.solve(design.T @ design + np.eye(5), design.T @ z[known, 0])
    expected = np.nanmean(x[:, 0]) + np.nanstd(x[:, 0]) * (
        (z[:, 1:] - z[known, 1:].mean(axis=0)) @ beta
    )
    expected = np.clip(expected, x[known, 0].min(), x[known, 0].max())
    filled = Chained().fit(x, y).transform(x)
    np.testing.assert_allclose(filled[~known, 0], expected[~known], rtol=1e-10)


def test_the_outcome_has_no_part_in_what_a_new_patient_is_filled_with():
    """Two columns without gaps in what fills them: the draws play no part either."""
    x, y = table(columns=1)
    a, b = Chained().fit(x, y), Chained().fit(x, 1 - y)
    np.testing.assert_array_equal(a.transform(x), b.transform(x))
    assert not np.array_equal(a.taken_tables(), Chained().fit(x, y[::-1]).taken_tables())


def test_a_row_is_filled_alike_whoever_is_beside_it():
    x, y = table(p=12, gaps=0.5, columns=9)
    fitted = Chained().fit(x, y)
    whole = fitted.transform(x)
    for rows in ([0], [5, 3], range(60, 90)):
        np.testing.assert_array_equal(fitted.transform(x[list(rows)]), whole[list(rows)])
    assert np.isfinite(whole).all()


def test_the_same_seed_gives_the_same_draws_and_another_seed_others():
    x, y = table()
    one, two, other = (Chained(2, seed).fit(x, y).taken_tables() for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


def test_values_stay_within_what_was_seen_and_indicators_between_0_and_1():
    x, y = table(n=200, columns=2)
    x[:, 0] = np.where(np.isnan(x[:, 0]), np.nan, x[:, 0] > 0)
    fitted = Chained().fit(x, y)
    assert set(np.unique([t[:, 0] for t in fitted.taken_tables()])) == {0.0, 1.0}
    far = np.where(np.isnan(x), np.nan, x + 1e6)
    far[:, :2] = np.nan
    filled = fitted.transform(far)
    assert (filled[:, 0] <= 1).all()
    assert (filled[:, 1] <= np.nanmax(x[:, 1])).all()


def test_columns_of_noise_are_not_used():
    x = features(0, n=100, p=200)
    y = classes(x, 0.0, 0)
    x[::3, 0] = np.nan
    used = Chained().fit(x, y).equations_
    assert np.count_nonzero(used.coefficients) <= 1
    assert used.target.tolist() == [0]


def test_columns_missing_with_the_target_are_of_no_use_to_it():
    """A whole family of features is missing at once; the next family has to do."""
    random = np.random.default_rng(0)
    family = random.normal(size=(150, 1)) + 0.1 * random.normal(size=(150, 12))
    x = np.hstack([family, family[:, :1] + 0.8 * random.normal(size=(150, 2))])
    y = (x[:, 0] > 0).astype(int)
    truth, x = x[:50, 0].copy(), x.copy()
    x[:50, :12] = np.nan
    filled = Chained().fit(x, y).transform(x)[:50, 0]
    assert np.corrcoef(filled, truth)[0, 1] > 0.7


@pytest.mark.parametrize("known", [0, 1, 9])
def test_a_column_that_hardly_any_row_has_is_filled_as_by_medians(known):
    x, y = table(columns=1)
    x[known:, 0] = np.nan
    x[:known, 0] = np.arange(known)
    fitted = Chained().fit(x, y)
    np.testing.assert_array_equal(fitted.transform(x), Filled().fit(x).transform(x))
    assert len(fitted.taken_tables()) == 1


def test_a_constant_column_and_one_that_is_fixed_are_filled_as_by_medians():
    x, y = table(columns=2)
    x[:, 0] = np.where(np.isnan(x[:, 0]), np.nan, 4.0)
    fitted = Chained(fixed=(1,)).fit(x, y)
    np.testing.assert_array_equal(fitted.transform(x), Filled().fit(x).transform(x))


def test_without_gaps_there_is_one_table_and_nothing_changes():
    x, y = table(gaps=0.0)
    fitted = Chained().fit(x, y)
    (only,) = fitted.taken_tables()
    np.testing.assert_array_equal(only, x)
    np.testing.assert_array_equal(fitted.transform(x), x)


def test_a_gap_in_a_column_that_the_training_had_everywhere_is_its_median():
    x, y = table(gaps=0.0)
    fitted = Chained().fit(x, y)
    x[0, 2] = np.nan
    assert fitted.transform(x[:1])[0, 2] == fitted.statistics_[2]


def test_the_scanner_is_in_every_equation():
    x, y = table(n=200, columns=1)
    codes = np.arange(200) % 2
    shifted = x + 20.0 * codes[:, None]
    fitted = Chained(batch=True).fit(np.column_stack([codes, shifted]), y)
    filled = fitted.transform(np.column_stack([codes, shifted]))
    np.testing.assert_array_equal(filled[:, 0], codes)
    alone = np.column_stack([[0, 1], np.full((2, 6), np.nan)])
    alone[:, 2:] = shifted[:, 1:].mean(axis=0)
    low, high = fitted.transform(alone)[:, 1]
    assert abs(filled[codes == 1, 1].mean() - filled[codes == 0, 1].mean() - 20) < 1
    assert low != high


def test_survival_is_in_the_draws_as_event_and_cumulative_hazard():
    lifelines = pytest.importorskip("lifelines")
    x = features(0, n=80, p=2)
    y = times(x, 1.0, 0)
    found = outcome_columns(y)
    curve = lifelines.NelsonAalenFitter().fit(y["time"], y["event"])
    np.testing.assert_array_equal(found[:, 0], y["event"])
    np.testing.assert_allclose(
        found[:, 1], curve.cumulative_hazard_at_times(y["time"]).to_numpy(), rtol=1e-9
    )


def test_only_the_equations_that_columns_need_are_kept_and_they_fill_alike():
    x, y = table(p=30, gaps=0.3, columns=20)
    whole = Chained().fit(x, y).equations_
    few, columns = whole.restricted(np.array([4, 25, 11]))
    assert columns[:3].tolist() == [4, 25, 11]
    np.testing.assert_array_equal(few.filled(x[:, columns])[:, :3], whole.filled(x)[:, columns[:3]])


def test_equations_that_amplify_each_other_stay_within_their_ranges():
    pair = Equations(
        np.zeros(2), np.zeros(0, np.int64), np.array([0, 1]), np.array([[1], [0]]),
        np.array([[-3.0], [2.0]]), np.array([1.0, 1.0]), np.array([-5.0, -5.0]),
        np.array([5.0, 5.0]),
    )  # fmt: skip
    found = pair.filled(np.full((3, 2), np.nan))
    assert (np.abs(found) <= 5).all()
    np.testing.assert_array_equal(found, found[:1].repeat(3, axis=0))


def test_the_number_of_columns_in_an_equation_is_bounded():
    x, y = table(p=40, columns=2)
    used = Chained().fit(x, y).equations_
    assert (np.count_nonzero(used.coefficients, axis=1) == chained.MOST_PREDICTORS).all()
