"""Thresholds applied to a difference, to the letter: what is ok, and what is not."""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import (
    GradcheckWarning,
    GradientError,
    Report,
    Settings,
    check_gradients,
    gradcheck,
)
from pytest_gradcheck.numdiff.differences import Approximation
from pytest_gradcheck.numdiff.ladder import Kind
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.report.report import VERDICTS, band, failing
from pytest_gradcheck.verdict.judge import Judgement, Verdict, judge, relative_error

Array = npt.NDArray[np.float64]


def judged(
    numerical: list[float],
    analytic: list[float],
    bars: list[float] | None = None,
    kinds: list[str] | None = None,
    settings: Settings | None = None,
) -> Judgement:
    """Judge the components of one array."""
    n = len(numerical)
    approximation = Approximation(
        np.array(numerical, np.float64),
        np.zeros(n) if bars is None else np.array(bars, np.float64),
        np.array([Kind[kind.upper()] for kind in kinds or ["smooth"] * n], np.int8),
        slice(0, n),
        {},
    )
    gradient = np.array(analytic, np.float64)
    return judge(approximation, gradient, Theta(np.ones(n)), settings or Settings())


def verdict(
    numerical: float,
    analytic: float,
    bar: float = 0.0,
    kind: str = "smooth",
    settings: Settings | None = None,
) -> str:
    """Judge one component beside a healthy one of the size of 1."""
    judgement = judged([numerical, 0.5], [analytic, 0.5], [bar, 0.0], [kind, "smooth"], settings)
    return VERDICTS[int(judgement.verdicts[0])]


def analytic_at(error: float) -> float:
    """Return the g whose relative error beside D = 1 is the given one."""
    return (1 + error) / (1 - error)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (0.0, "ok"),
        (0.999999e-5, "ok"),
        (1.000001e-5, "suspect"),
        (0.999999e-3, "suspect"),
        (1.000001e-3, "bug"),
        (0.5, "bug"),
        (-0.999999e-5, "ok"),
        (-1.000001e-5, "suspect"),
        (-1.000001e-3, "bug"),
    ],
)
def test_thresholds_divide_ok_from_suspect_from_bug(error: float, expected: str) -> None:
    assert verdict(1.0, analytic_at(error)) == expected


def test_an_error_that_equals_a_threshold_belongs_to_the_better_verdict() -> None:
    # |1 - 3| / (1 + 3) is one half, exactly.
    assert verdict(1.0, 3.0, settings=Settings(suspect=0.5, bug=0.75)) == "ok"
    assert verdict(1.0, 3.0, settings=Settings(suspect=0.25, bug=0.5)) == "suspect"


def test_the_error_is_what_lies_beyond_the_error_bar_over_both_sizes() -> None:
    judgement = judged([1.0, -2.0, 1.0], [3.0, 2.0, 1.5], [0.5, 1.0, 0.5])
    np.testing.assert_array_equal(judgement.errors, [1.5 / 4, 3 / 4, 0.0])


def test_two_zeros_have_no_error() -> None:
    judgement = judged([0.0, 1.0], [0.0, 1.0])
    assert judgement.errors[0] == 0.0
    assert VERDICTS[int(judgement.verdicts[0])] == "ok"


@pytest.mark.parametrize(("numerical", "analytic"), [(0.0, 1e-300), (1e-300, 0.0), (0.0, -5.0)])
def test_one_zero_is_an_error_of_one(numerical: float, analytic: float) -> None:
    judgement = judged([numerical], [analytic])
    assert judgement.errors[0] == 1.0
    assert VERDICTS[int(judgement.verdicts[0])] == "bug"


def test_opposite_signs_are_an_error_of_one() -> None:
    assert judged([2.0], [-2.0]).errors[0] == 1.0


def test_values_whose_sizes_sum_to_one_have_an_error_like_others() -> None:
    assert judged([0.25, 0.5], [0.75, 0.5]).errors.tolist() == [0.5, 0.0]


def test_error_bar_beyond_a_thousandth_of_both_sizes_is_inconclusive() -> None:
    # |D| + |g| = 1, and the root mean square of D is a half.
    assert verdict(0.5, 0.5, bar=1e-3) == "ok"
    assert verdict(0.5, 0.5, bar=1.000001e-3) == "inconclusive"


def test_a_small_component_may_have_the_error_bar_of_its_parameter() -> None:
    # The root mean square of D is 1000 / sqrt(2).
    for bar, expected in ((0.707, "ok"), (0.708, "inconclusive")):
        judgement = judged([1e-9, 1000.0], [1e-9, 1000.0], [bar, 0.0])
        assert VERDICTS[int(judgement.verdicts[0])] == expected


def test_an_error_that_stands_clear_of_a_wide_bar_is_a_bug_all_the_same() -> None:
    assert verdict(0.5, 5.0, bar=0.1) == "bug"
    assert verdict(0.5, 0.55, bar=0.1) == "inconclusive"


@pytest.mark.parametrize("bar", [math.inf, math.nan])
def test_without_an_error_bar_nothing_is_decided(bar: float) -> None:
    assert verdict(1.0, 7.0, bar=bar) == "inconclusive"


def test_at_a_jump_nothing_is_decided() -> None:
    assert verdict(1.0, 1.0, bar=math.inf, kind="jump") == "inconclusive"


def test_a_kink_is_one_only_while_the_gradient_is_a_subgradient() -> None:
    assert verdict(1.0, 1.0, kind="kink") == "kink"
    assert verdict(1.0, 1.1, kind="kink") == "bug"


@pytest.mark.parametrize("analytic", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_no_number_is_nonfinite_whatever_the_rest(analytic: float) -> None:
    for bar in (0.0, math.inf):
        judgement = judged([1.0], [analytic], [bar])
        assert VERDICTS[int(judgement.verdicts[0])] == "nonfinite"
        assert judgement.errors[0] == math.inf


def test_a_cost_that_is_lost_on_both_sides_is_nonfinite() -> None:
    assert verdict(math.nan, 1.0, bar=math.inf, kind="nonfinite") == "nonfinite"


def test_a_component_whose_cost_and_gradient_are_both_lost_is_nonfinite() -> None:
    assert verdict(math.nan, math.nan, bar=math.inf, kind="nonfinite") == "nonfinite"


def test_verdicts_stand_from_best_to_worst() -> None:
    assert VERDICTS == ("ok", "inconclusive", "kink", "suspect", "bug", "nonfinite")


def test_healthy_components_have_the_threshold_itself_for_resolution() -> None:
    judgement = judged([1.0, -3.0, 0.5], [1.0, -3.0, 0.5], [1e-12, 1e-12, 1e-12])
    np.testing.assert_array_equal(judgement.resolutions, 1e-5)


def test_resolution_follows_the_threshold_of_the_settings() -> None:
    judgement = judged([1.0], [1.0], [1e-12], settings=Settings(suspect=1e-4))
    assert judgement.resolutions[0] == 1e-4


def test_resolution_grows_with_the_error_bar() -> None:
    one, ten = (judged([1.0], [1.0], [bar]).resolutions[0] for bar in (1e-4, 1e-3))
    assert one >= 1e-4
    assert ten == pytest.approx(10 * one)


@pytest.mark.parametrize(
    ("fail_on", "strict", "expected"),
    [
        ("suspect", False, {"suspect", "bug", "nonfinite"}),
        ("bug", False, {"bug", "nonfinite"}),
        ("suspect", True, {"suspect", "bug", "nonfinite", "kink", "inconclusive"}),
    ],
)
def test_what_fails_is_a_setting(
    fail_on: Literal["suspect", "bug"], strict: bool, expected: set[str]
) -> None:
    assert failing(Settings(fail_on=fail_on, strict=strict)) == expected


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (0.0, "great"),
        (1e-7, "great"),
        (1.1e-7, "good"),
        (1e-5, "good"),
        (1.1e-5, "look closer"),
        (1e-3, "look closer"),
        (1.1e-3, "bug"),
        (math.inf, "bug"),
    ],
)
def test_the_figure_of_the_course_has_its_words(error: float, word: str) -> None:
    assert band(error) == word


def test_the_figure_of_the_course_compares_norms() -> None:
    assert relative_error(np.array([3.0, 0.0]), np.array([0.0, 4.0])) == pytest.approx(5 / 7)
    assert relative_error(np.zeros(2), np.zeros(2)) == 0.0
    assert relative_error(np.array([1e300]), np.array([-1e300])) == 1.0
    assert relative_error(np.array([1.0]), np.array([math.inf])) == math.inf


def test_each_parameter_has_the_figure_of_its_own_components() -> None:
    sizes = [1.0, 1e-3, 0.0, 1.0]
    params = {f"w{k}": np.full(k + 1, 1.0) for k in range(len(sizes))}
    weights = {f"w{k}": np.full(k + 1, size) for k, size in enumerate(sizes)}
    gradient = {name: weight * 1.1 for name, weight in weights.items()}
    gradient["w3"] = np.array([1.0, math.nan, 1, 1])

    def cost(params: dict[str, Array]) -> float:
        return float(sum(float(weights[name] @ x) for name, x in params.items()))

    report = check_gradients(cost, lambda params: gradient, params)
    found = {p.name: p.relative_error for p in report.parameters}
    assert found["w0"] == pytest.approx(0.1 / 2.1)
    assert found["w1"] == pytest.approx(0.1 / 2.1)
    assert found["w2"] == 0.0
    assert found["w3"] == math.inf
    assert report.points[0].relative_error == math.inf


@pytest.mark.parametrize("size", [1e-170, 1e170])
def test_the_figure_outlives_squares_that_underflow_or_overflow(size: float) -> None:
    weights = np.array([3.0, 4.0]) * size
    report = check_gradients(
        lambda x: float(weights @ x), lambda x: weights * [1.0, 2.0], np.ones(2), eps=0.5
    )
    assert report.points[0].relative_error == pytest.approx(4 / (5 + math.hypot(3, 8)))


# The whole check


def square(x: Array) -> float:
    return float(x @ x)


def off_by(relative: float) -> Callable[[Array], Array]:
    return lambda x: np.asarray(2 * x * (1 + relative))


def shaky(x: Array) -> float:
    """Return a cost whose every value is off by 1e-4 or so, at random."""
    return float(x @ x) + 1e-4 * (zlib.crc32(x.tobytes()) / 2**31 - 1)


def test_suspects_fail_by_default() -> None:
    with pytest.raises(GradientError) as caught:
        gradcheck(square, off_by(1e-4), np.ones(3))
    assert caught.value.report.verdict == "suspect"


def test_suspects_pass_with_a_warning_where_only_bugs_fail() -> None:
    with pytest.warns(GradcheckWarning, match=r"3 suspect components.*theta\["):
        report = gradcheck(square, off_by(1e-4), np.ones(3), fail_on="bug")
    assert (report.passed, report.verdict) == (True, "suspect")


def test_bugs_fail_where_only_bugs_fail() -> None:
    with pytest.raises(GradientError):
        gradcheck(square, off_by(1e-2), np.ones(3), fail_on="bug")


def test_a_right_gradient_passes_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gradcheck(square, off_by(0), np.ones(3)).verdict == "ok"


def test_a_check_of_which_nothing_could_be_decided_fails() -> None:
    report = check_gradients(shaky, off_by(0), 1e-3 * np.ones(3))
    assert report.verdict == "inconclusive"
    assert report.parameters[0].counts["inconclusive"] == 3
    assert not report.passed


def two_halves(strict: bool) -> Report:
    """Check a pair of which one parameter is healthy and the other drowns in noise."""
    return check_gradients(
        lambda p: shaky(p["a"]) + 10 * square(p["b"]),
        lambda p: {"a": 2 * p["a"], "b": 20 * p["b"]},
        {"a": 1e-4 * np.ones(2), "b": np.ones(2)},
        strict=strict,
    )


def test_undecided_components_pass_beside_others_but_not_under_strict() -> None:
    report = two_halves(strict=False)
    assert {p.name: p.verdict for p in report.parameters} == {"a": "inconclusive", "b": "ok"}
    assert report.passed
    assert not two_halves(strict=True).passed


@pytest.mark.parametrize("strict", [False, True])
def test_kinks_fail_under_strict_alone(strict: bool) -> None:
    report = check_gradients(
        lambda x: float(np.maximum(x, 0).sum()), lambda x: 0.0 * x, np.zeros(2), strict=strict
    )
    assert report.verdict == "kink"
    assert report.passed is not strict


@pytest.mark.parametrize("strict", [False, True])
def test_vacuous_checks_fail_under_strict_alone(strict: bool) -> None:
    report = check_gradients(
        lambda p: square(p["a"]),
        lambda p: {"a": 2 * p["a"], "b": np.zeros(2)},
        {"a": np.ones(2), "b": np.ones(2)},
        strict=strict,
    )
    assert [(f.code, f.parameter) for f in report.findings] == [("vacuous", "b")]
    assert report.passed is not strict


def test_parameters_and_reports_take_their_worst_component() -> None:
    def grad(p: dict[str, Array]) -> dict[str, Array]:
        return {"a": 2 * p["a"], "b": 2 * p["b"] * [1, 1 + 1e-4], "c": 2 * p["c"] * [1.5, 1]}

    report = check_gradients(
        lambda p: sum(square(v) for v in p.values()),
        grad,
        {"a": np.ones(2), "b": np.ones(2), "c": np.ones(2)},
    )
    assert {p.name: p.verdict for p in report.parameters} == {"a": "ok", "b": "suspect", "c": "bug"}
    assert report.verdict == "bug"
    assert [c.name for c in report.components] == ["c[0]", "b[1]"]
    assert report.parameters[1].counts["ok"] == 1


def test_the_resolution_of_a_healthy_parameter_is_the_threshold_exactly() -> None:
    report = check_gradients(square, off_by(0), np.array([0.3, -1.2, 2.0]))
    assert report.parameters[0].resolution == 1e-5


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e6, 1e8])
def test_a_fault_of_three_times_the_resolution_is_reported_in_any_component(offset: float) -> None:
    rng = np.random.default_rng(5)
    w, x = rng.uniform(1, 2, 6), rng.uniform(-1, 1, 6)

    def cost(x: Array) -> float:
        return float(w @ np.sin(x)) + offset

    resolution = check_gradients(cost, lambda x: w * np.cos(x), x).parameters[0].resolution
    assert 1e-5 <= resolution < 0.02
    for number in range(6):
        fault = 1 + 3 * resolution * (np.arange(6) == number)
        report = check_gradients(cost, lambda x, f=fault: f * w * np.cos(x), x)
        wrong = [c.index for c in report.components if c.verdict in ("suspect", "bug")]
        assert wrong == [(number,)]


def test_each_verdict_has_a_word_and_they_are_ordered_from_best_to_worst() -> None:
    assert tuple(verdict.word for verdict in Verdict) == VERDICTS
    assert [verdict.name.lower() for verdict in Verdict] == list(VERDICTS)
