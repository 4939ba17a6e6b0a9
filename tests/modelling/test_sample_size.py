"""Sample sizes: the published examples of pmsampsize, and each criterion by its definition."""

import math

import numpy as np
import pytest
from typer.testing import CliRunner

from pancseg.cli import app
from pancseg.modelling.sample_size import for_class, for_survival, needed_lines, parameters_for


def test_the_published_example_of_a_class():
    """pmsampsize(type="b", csrsquared=0.288, parameters=24, prevalence=0.174)."""
    found = for_class(24, 0.174, r_squared=0.288)
    assert (found.shrinkage, found.optimism, found.overall_risk) == (623, 662, 221)
    assert (found.patients, found.events) == (662, 116)
    assert found.events_per_parameter == pytest.approx(4.8, abs=0.01)


def test_the_published_example_by_c_statistic():
    """pmsampsize(type="b", cstatistic=0.89, parameters=24, prevalence=0.174): 615, 660, 221.

    It simulates a million patients; here the same model is integrated, so the numbers may differ
    by what the simulation's error allows.
    """
    found = for_class(24, 0.174, c_statistic=0.89)
    assert found.shrinkage == pytest.approx(615, rel=0.01)
    assert found.optimism == pytest.approx(660, rel=0.01)
    assert found.overall_risk == 221


def test_the_r_squared_of_a_c_statistic_is_that_of_simulated_patients():
    import statsmodels.api as sm
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(0)
    y = random.random(400_000) < 0.3
    x = random.normal(size=len(y)) + y * math.sqrt(2) * 0.6744897502  # C = 0.75
    assert roc_auc_score(y, x) == pytest.approx(0.75, abs=0.005)
    fitted = sm.Logit(y, sm.add_constant(x)).fit(disp=0)
    expected = 1 - math.exp(-2 * (fitted.llf - fitted.llnull) / len(y))
    assert for_class(5, 0.3, c_statistic=0.75).r_squared == pytest.approx(expected, abs=0.002)


def test_the_published_example_of_survival():
    """pmsampsize(type="s", csrsquared=0.051, parameters=30, rate=0.065, timepoint=2, ...)."""
    found = for_survival(30, 0.065, 2, 2.07, r_squared=0.051)
    assert (found.shrinkage, found.optimism, found.patients) == (5143, 1039, 5143)
    assert found.events == 692
    assert found.events_per_parameter == pytest.approx(23.07, abs=0.01)


def test_the_third_criterion_of_survival_is_the_smallest_number_that_meets_it():
    found = for_survival(30, 0.065, 2, 2.07, r_squared=0.051).overall_risk

    def margin(n):
        upper = 0.065 + 1.96 * math.sqrt(0.065 / (n * 2.07))
        return (1 - math.exp(-2 * upper)) - (1 - math.exp(-2 * 0.065))

    assert margin(found) <= 0.05 < margin(found - 1)


def test_r_squared_of_survival_by_c_statistic():
    """The chain of Riley 2019, section 5, by hand: C = 0.76, 637 events of 662 patients."""
    found = for_survival(9, 637 / 662, 1, 1, c_statistic=0.76)
    d = 5.5 * 0.26 + 10.26 * 0.26**3
    of_d = math.pi / 8 * d**2 / (math.pi**2 / 6 + math.pi / 8 * d**2)
    quigley = -(math.pi**2) / 6 * of_d / ((1 - math.pi**2 / 6) * of_d - 1)
    likelihood_ratio = -637 * math.log(1 - quigley)
    assert found.r_squared == pytest.approx(1 - math.exp(-likelihood_ratio / 662))
    assert found.r_squared == pytest.approx(0.49, abs=0.01)


@pytest.mark.parametrize("r_squared", [0.05, 0.288])
def test_so_many_patients_allow_so_many_parameters(r_squared):
    needed = for_class(24, 0.174, r_squared=r_squared)
    for patients in (100, 300, 662):
        most = parameters_for(patients, needed)
        again = for_class(max(most, 1), 0.174, r_squared=r_squared)
        more = for_class(most + 1, 0.174, r_squared=r_squared)
        assert most == 0 or max(again.shrinkage, again.optimism) <= patients
        assert max(more.shrinkage, more.optimism) > patients


def command(*words):
    return CliRunner().invoke(app, ["model", "plan", *words])


def test_the_command_says_the_number_first():
    found = command("--parameters", "24", "--share", "0.174", "--r-squared", "0.288")
    assert found.exit_code == 0, found.output
    assert found.output.startswith("662 patients with 116 of the class are needed for 24")
    found = command(
        *("--parameters", "30", "--rate", "0.065", "--horizon", "2", "--follow-up", "2.07"),
        *("--r-squared", "0.051", "--patients", "1000"),
    )
    assert found.output.startswith("5143 patients with 692 events are needed")
    assert "1000 patients allow 5 candidate parameters" in found.output


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--share", "1.2"], "--share is 1.2; expected the share of the class"),
        (["--share", "0.2", "--rate", "1"], "give --share for a class, or --rate"),
        ([], "give --share for a class, or --rate"),
        (["--share", "0.2", "--c-statistic", "0.4"], "--c-statistic is 0.4; expected"),
        (["--share", "0.01", "--r-squared", "0.5"], "--r-squared is 0.5, but Cox and Snell's"),
        (["--share", "0.2", "--c-statistic", "0.7", "--r-squared", "0.1"], "not both"),
        (["--rate", "0.1", "--horizon", "24", "--follow-up", "20"], "is 2 events per patient"),
        (["--rate", "-1", "--horizon", "1", "--follow-up", "1"], "--rate is -1; expected a number"),
    ],
)
def test_values_that_cannot_be_right(words, line):
    found = command("--parameters", "10", *words)
    assert found.exit_code == 2
    assert line in found.output


def test_the_fourth_criterion_of_riley_2020_is_told_beside_the_number():
    """BMJ 368:m441: 461 patients for 10 parameters, a share of 0.3 and a mean error of 0.05."""
    found = command("--parameters", "10", "--share", "0.3").output
    assert "mean absolute error of the risks of at most 0.05: about 461 patients" in found
    found = command("--parameters", "31", "--share", "0.3").output
    assert "mean absolute error" not in found


def test_one_parameter_is_singular():
    found = command("--parameters", "1", "--share", "0.3", "--patients", "30")
    assert "are needed for 1 candidate parameter (" in found.output
    found = command(
        *("--parameters", "10", "--share", "0.3", "--c-statistic", "0.75", "--patients", "100")
    )
    assert "100 patients allow 1 candidate parameter by" in found.output
    lines = needed_lines(10, share=0.3, patients=0)
    assert "0 patients allow 0 candidate parameters by" in " ".join(lines)
