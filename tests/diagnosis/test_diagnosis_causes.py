"""Every cause on a small pair that has it, beside near misses that do not; and none at random."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import tried

from pytest_gradcheck import L2, Report, check_gradients
from pytest_gradcheck.diagnosis.evidence import ParameterEvidence
from pytest_gradcheck.diagnosis.known_numbers import Dimension, KnownNumbers, named_strength
from pytest_gradcheck.diagnosis.rules.factors import Factor, named_factor
from pytest_gradcheck.diagnosis.rules.penalties import _directions
from pytest_gradcheck.diagnosis.rules.places import _orientations, transposed
from pytest_gradcheck.diagnosis.rules.regions import _between
from pytest_gradcheck.diagnosis.words import listed, numbered
from pytest_gradcheck.network import backprop, cost, initialize, one_hot
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.settings import Mode

Array = npt.NDArray[np.float64]
Params = dict[str, Array]

RNG = np.random.default_rng(21)
SQUARE = RNG.normal(size=(4, 4))
WIDE = RNG.normal(size=(3, 5))
VECTOR = RNG.normal(size=9)
MIXED = np.array([-1.3, 0.4, -0.6, 1.1, 0.9, -0.2, 0.7, -1.8, 1.5, 0.3])  # both signs, unsorted


def total(p: Params) -> float:
    """Return a cost whose gradient is no multiple of its parameters, and no two entries alike."""
    return float(sum(np.sum(np.sin(v) + 0.3 * v**3) for v in p.values()))


def slopes(p: Params) -> Params:
    return {k: np.cos(v) + 0.9 * v**2 for k, v in p.items()}


def spoiled(params: Params, **changes: Callable[[Array], Any]) -> Report:
    """Check with the gradients of some parameters changed by something."""

    def grad(p: Params) -> Params:
        return {k: np.asarray(changes.get(k, np.copy)(g)) for k, g in slopes(p).items()}

    return check_gradients(total, grad, params)


def causes(report: Report) -> list[tuple[str, str | None]]:
    return [(f.code, f.parameter) for f in report.findings if f.severity == "cause"]


def message(report: Report) -> str:
    (found,) = (f for f in report.findings if f.severity == "cause")
    assert len(found.message) <= 144
    return found.message


# One number for all


def test_a_factor_of_everything_is_one_finding() -> None:
    report = spoiled({"W": WIDE, "b": VECTOR}, W=lambda g: 32 * g, b=lambda g: 32 * g)
    assert causes(report) == [("scale", None)]
    assert message(report).startswith("W, b are 32.000 x the numerical gradient: ")


def test_a_factor_of_all_that_is_wrong_is_one_finding() -> None:
    changes: Any = {"W": lambda g: 3 * g, "b": lambda g: 3 * g}
    report = spoiled({"W": WIDE, "b": VECTOR, "c": VECTOR}, **changes)
    assert causes(report) == [("scale", None)]


def test_different_factors_are_a_finding_each() -> None:
    report = spoiled({"W": WIDE, "b": VECTOR}, W=lambda g: 3 * g, b=lambda g: 4 * g)
    assert causes(report) == [("scale", "W"), ("scale", "b")]


def test_zeros_in_all_parameters_are_one_finding() -> None:
    report = spoiled({"W": WIDE, "b": VECTOR}, W=lambda g: 0 * g, b=lambda g: 0 * g)
    assert causes(report) == [("zero", None)]


@pytest.mark.parametrize("factor", [1.0006, 0.9995])
def test_a_factor_that_its_digits_would_not_show_is_no_finding(factor: float) -> None:
    report = spoiled({"W": WIDE}, W=lambda g: factor * g)
    assert not report.passed
    assert causes(report) == []


def test_single_numbers_with_the_same_factor_confirm_each_other() -> None:
    one = {"a": np.array([0.3]), "b": np.array([1.2])}
    assert causes(spoiled(one, a=lambda g: 1.7 * g, b=lambda g: 1.7 * g)) == [("scale", None)]
    assert causes(spoiled(one, a=lambda g: 1.7 * g, b=lambda g: 1.6 * g)) == []


def test_a_single_number_that_is_wrong_by_a_number_in_sight_is_reported() -> None:
    def fit(p: Params, X: Array) -> float:
        return float(np.mean(np.sin(X @ p["w"] + p["b"])))

    def grad(p: Params, X: Array) -> Any:
        slope = np.cos(X @ p["w"] + p["b"])
        return {"w": X.T @ slope / len(X), "b": slope.sum()}

    X = RNG.normal(size=(13, 3))
    report = check_gradients(fit, grad, {"w": np.ones(3), "b": np.float64(0.2)}, X)
    assert causes(report) == [("scale", "b")]
    assert "a mean (1/m) is missing; 13 is X.shape[0]" in message(report)


@pytest.mark.parametrize("mode", ["full", "sample"])
def test_numbers_are_distinguished_from_samples_too(mode: Mode) -> None:
    params = {"W": RNG.normal(size=(30, 30)), "b": RNG.normal(size=40)}
    for factor, code in ((7.0, "scale"), (-1.0, "sign"), (0.0, "zero")):
        report = check_gradients(
            total, lambda p, f=factor: {k: f * g for k, g in slopes(p).items()}, params, mode=mode
        )
        assert causes(report) == [(code, None)]


def test_a_vacuous_parameter_is_distinguished_from_samples_too() -> None:
    report = check_gradients(
        lambda p: total({"a": p["a"]}),
        lambda p: {"a": slopes(p)["a"], "b": 0 * p["b"]},
        {"a": VECTOR, "b": np.ones(50)},
        mode="sample",
    )
    assert [(f.code, f.parameter) for f in report.findings] == [("vacuous", "b")]


# What a factor is


NUMBERS = KnownNumbers(
    (
        Dimension(12, "X", 0, False),
        Dimension(20, "X", 1, False),
        Dimension(3, "Y", 0, False),
        Dimension(20, "Y", 1, False),
        Dimension(7, "W1", 0, True),
        Dimension(12, "W1", 1, True),
        Dimension(3, "b2", 0, True),
    ),
    {"lambd": 0.7, "keep_prob": 0.8, "q": 0.01},
)


def in_sight(factor: float, error: float = 1e-9) -> str | None:
    """Return what a factor is, with these numbers in sight."""
    values = np.array([3.0, 4.0, 0.0, 0.0, 0.0])
    approximation = SimpleNamespace(values=values)
    evidence: Any = SimpleNamespace(
        numbers=NUMBERS, gradient=factor * values, approximation=approximation
    )
    found = named_factor(Factor(factor, error), evidence)
    return None if found is None else found.said


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (20.0, "a mean (1/m) is missing; 20 is the number of examples in X"),
        (1 / 20, "a mean (1/m) is taken twice; 20 is the number of examples in X"),
        (-20.0, "a mean (1/m) is missing; 20 is the number of examples in X; the sign is turned"),
        (40.0, "a mean (1/m) and a 1/2 are missing; 20 is the number of examples in X"),
        (20 / 19, "m - 1 stands for m; 20 is the number of examples in X"),
        (12.0, "a mean over an axis is missing; 12 is X.shape[0]"),
        (7.0, "a mean over an axis is missing; 7 is W1.shape[0]"),
        (12**0.5, "sqrt(12): a scale is missing or stands there twice; 12 is X.shape[0]"),
        (2.0, "the 2 of a square's derivative too often, or a 1/2 of the cost is left out"),
        (0.5, "the 2 of a square's derivative is missing, or a 1/2 too many"),
        (60.0, "a mean is missing; 60 is Y.shape[0] x Y.shape[1]"),
        (0.8, "it is keep_prob, once too often, or 1/keep_prob is missing"),
        (1 / 0.8, "it is 1/keep_prob, once too often, or keep_prob is missing"),
        (0.2, "the norm of the gradient is 1: it is clipped"),
    ],
)
def test_a_factor_has_the_name_of_what_is_in_sight(factor: float, said: str) -> None:
    assert str(in_sight(factor)).startswith(said)


@pytest.mark.parametrize("factor", [20.01, 1.3, 19.0, 0.81, 0.01, 3.0, 1 / 3])
def test_a_factor_that_is_nothing_in_sight_has_no_name(factor: float) -> None:
    """Nor has that of a few classes, or of a number that happens to be in sight."""
    assert in_sight(factor) is None


def test_a_factor_has_a_name_within_its_own_error_bar_and_no_wider() -> None:
    assert in_sight(19.9998, error=3e-4) is not None  # 1/m in float32
    assert in_sight(19.9998, error=1e-6) is None
    assert in_sight(20.3, error=0.5) is None  # whatever is in sight may be that


def test_a_strength_has_the_name_of_what_is_in_sight() -> None:
    assert named_strength(0.7 / 20, NUMBERS) == "lambd / 20"
    assert named_strength(-1.4, NUMBERS) == "2 lambd"
    assert named_strength(0.123, NUMBERS) is None
    assert named_strength(0.01 / 20, NUMBERS) is None


MANY = RNG.normal(size=(4, 11))
LABELS = RNG.integers(2, size=11)


def test_arrays_that_functions_see_from_outside_are_in_sight() -> None:
    """The cost has them from its module; a helper that it calls, and a closure, count as well."""
    inner = RNG.normal(size=(4, 6))

    def helper(p: Params) -> Any:
        return p["w"] @ MANY + LABELS

    def fit(p: Params) -> float:
        return float(np.mean(np.sin(helper(p)))) + float(np.sum(np.cos(p["w"] @ inner)))

    def grad(p: Params) -> Params:
        data = MANY @ np.cos(helper(p)) / 11 - inner @ np.sin(p["w"] @ inner)
        return {"w": 11 * data}

    report = check_gradients(fit, grad, {"w": np.ones(4) / 3})
    assert "11 is the number of examples in MANY" in message(report)


def test_defaults_of_arguments_are_in_sight() -> None:
    """Notebooks write `def cost(params, X=X, *, Y=Y)`."""

    def fit(p: Params, X: Array = MANY, *, Y: Any = LABELS) -> float:
        return float(np.mean((p["w"] @ X - Y) ** 2))

    def grad(p: Params, X: Array = MANY, *, Y: Any = LABELS) -> Params:
        return {"w": 2 * X @ (p["w"] @ X - Y)}

    report = check_gradients(fit, grad, {"w": np.ones(4) / 3})
    assert "11 is the number of examples in X" in message(report)


# Penalties


def regularized(
    share: Callable[[Array], Array], lambd: float = 0.6, l1: bool = False
) -> Callable[..., Report]:
    """Return a check of a cost with a penalty whose gradient is a given one."""

    def fit(p: Params) -> float:
        size = np.abs(p["w"]).sum() if l1 else 0.5 * p["w"] @ p["w"]
        return total({"w": p["w"], "b": p["b"]}) + lambd * float(size)

    def grad(p: Params) -> Params:
        right = slopes(p)
        return {"w": right["w"] + share(p["w"]), "b": right["b"]}

    return lambda **more: check_gradients(fit, grad, {"w": MIXED, "b": VECTOR}, **more)


def test_a_missing_penalty_is_reported_with_its_strength() -> None:
    report = regularized(lambda w: 0 * w)()
    assert causes(report) == [("missing-regularization", "w")]
    assert "too small by 0.6 x theta (lambd)" in message(report)
    assert report.findings[0].factor == pytest.approx(0.6)


def test_a_missing_penalty_of_magnitudes_is_reported() -> None:
    report = regularized(lambda w: 0 * w, l1=True)()
    assert causes(report) == [("missing-regularization", "w")]
    assert "too small by 0.6 x sign(theta)" in message(report)


@pytest.mark.parametrize("share", [1.2, 2.0])
def test_a_penalty_that_is_too_strong_is_reported(share: float) -> None:
    report = regularized(lambda w: share * w)()
    assert causes(report) == [("wrong-regularization", "w")]
    assert "too large by" in message(report)


def test_half_of_a_penalty_is_recognized_by_its_strength() -> None:
    report = regularized(lambda w: 0.3 * w)()
    assert causes(report) == [("wrong-regularization", "w")]
    assert "the L2 penalty of the gradient is half that of the cost" in message(report)


def test_theta_is_stretched_in_five_ways_to_see_a_penalty_far_out() -> None:
    up, down, *mixed = _directions(50)
    assert len(mixed) == 3
    assert np.all(up == 1)
    assert np.all(down == -1)
    assert all(np.all(np.abs(signs) == 1) and abs(signs.sum()) < 50 for signs in mixed)


def bounded(share: float) -> Report:
    """Check a cost that does not grow, so that what grows in its gradient is the penalty."""
    return check_gradients(
        lambda w: float(np.sum(np.tanh(w)) + 0.3 * w @ w),
        lambda w: 1 - np.tanh(w) ** 2 + share * 0.6 * w,
        MIXED,
    )


@pytest.mark.parametrize(
    ("share", "code"),
    [(0.0, "missing-regularization"), (0.5, "wrong-regularization"), (-1, "wrong-regularization")],
)
def test_what_the_gradient_has_of_a_penalty_shows_far_out(share: float, code: str) -> None:
    assert causes(bounded(share)) == [(code, "theta")]


def network(change: Callable[[Params, Params, float], Params], **data: float) -> Report:
    """Check the bundled network with changed gradients, its penalty being known by name."""
    rng = np.random.default_rng(2)
    X, Y = rng.normal(size=(4, 9)), one_hot(np.arange(9) % 3, 3)
    params = initialize((4, 5, 3), rng, "xavier")

    def grad(params: Params, X: Array, Y: Array, lambd: float = 0.0) -> Params:
        right = backprop(params, X, Y, lambd=lambd, activation="tanh")
        return change(right, params, lambd)

    return check_gradients(
        cost, grad, params, data={"X": X, "Y": Y, "activation": "tanh", "lambd": 0.5, **data}
    )


def plus(power: int, share: float) -> Callable[[Params, Params, float], Params]:
    def change(grads: Params, params: Params, lambd: float) -> Params:
        return {
            k: g + share * lambd / 9 * params[k[1:]] ** power if "W" in k else g
            for k, g in grads.items()
        }

    return change


@pytest.mark.parametrize(
    ("share", "code"),
    [(-1.0, "missing-regularization"), (-0.5, "wrong-regularization"), (1, "wrong-regularization")],
)
def test_a_penalty_known_by_name_is_switched_off_to_see_what_is_missing(
    share: float, code: str
) -> None:
    report = network(plus(1, share))
    assert causes(report) == [(code, None)]
    assert message(report).startswith("W1, W2 are too ")


@pytest.mark.parametrize(
    ("share", "times"), [(1.0, "twice"), (-0.5, "half"), (-2.0, "minus"), (2.0, "3 x")]
)
def test_how_strong_the_wrong_penalty_is_shows_with_it_switched_off(
    share: float, times: str
) -> None:
    assert f"the L2 penalty of the gradient is {times} that of the cost" in message(
        network(plus(1, share))
    )


def test_a_point_that_passes_without_its_penalty_blames_the_penalty() -> None:
    report = network(plus(3, 1.0))
    assert causes(report) == [("wrong-regularization", None)]
    assert "none with the penalty off" in message(report)
    assert [point.passed for point in report.points] == [False, True]


def test_a_factor_of_all_but_the_penalty_is_reported() -> None:
    def change(grads: Params, params: Params, lambd: float) -> Params:
        return {
            k: 9 * g - 8 * lambd / 9 * params[k[1:]] if "W" in k else 9 * g
            for k, g in grads.items()
        }

    report = network(change)
    assert [(f.code, f.point) for f in report.findings] == [("scale", "given")]
    assert [f.code for point in report.points for f in point.findings] == ["scale", "scale"]


def test_a_penalty_in_the_place_of_the_gradient_is_reported_as_zero() -> None:
    report = check_gradients(
        lambda p, lambd: total(p) + lambd / 2 * float(p["w"] @ p["w"]),
        lambda p, lambd: {"w": lambd * p["w"]},
        {"w": MIXED},
        data={"lambd": 0.1},
    )
    (found, *_) = (f for f in report.findings if f.severity == "cause")
    assert (found.code, found.parameter) == ("zero", "w")
    assert "0.1 x theta (lambd) and nothing else" in found.message


def test_the_gradient_of_an_identity_is_no_penalty_alone() -> None:
    assert causes(spoiled({"w": MIXED}, w=lambda g: MIXED)) == []


def test_a_penalty_that_the_settings_add_is_reported_when_it_is_missing() -> None:
    report = check_gradients(
        total, slopes, {"w": MIXED, "b": VECTOR}, regularization=L2(0.8, 4, only="w")
    )
    assert causes(report) == [("missing-regularization", "w")]
    assert "0.2 x theta (lambd / 4)" in message(report)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda g: g + 0.1 * MIXED**2,
        lambda g: g + 0.1 * MIXED * np.where(np.arange(10) == 3, 1.01, 1.0),
        lambda g: g + 0.1 * MIXED[::-1],
    ],
)
def test_what_is_not_proportional_to_theta_is_no_penalty(wrong: Callable[[Array], Array]) -> None:
    assert causes(spoiled({"w": MIXED}, w=wrong)) == []


def test_a_constant_error_of_constant_parameters_is_a_constant_and_no_penalty() -> None:
    params = {"w": np.full(6, 0.4)}

    def fit(p: Params) -> float:
        return float(np.arange(1, 7) @ np.sin(p["w"]))

    report = check_gradients(
        fit, lambda p: {"w": np.arange(1, 7) * np.cos(p["w"]) + 0.2 * p["w"]}, params
    )
    assert causes(report) == [("offset", "w")]
    assert "the numerical gradient + 0.08 throughout" in message(report)


# Right values in wrong places


@pytest.mark.parametrize("params", [SQUARE, WIDE, RNG.normal(size=(2, 3, 4))])
def test_a_transposed_gradient_is_reported(params: Array) -> None:
    report = spoiled({"W": params}, W=lambda g: np.transpose(g).reshape(g.shape))
    assert causes(report) == [("transposed", "W")]


def test_a_matrix_transposed_in_a_vector_is_reported() -> None:
    def fault(g: Array) -> Array:
        return np.concatenate([g[:2], g[2:8].reshape(2, 3).T.ravel(), g[8:]])

    report = spoiled({"w": VECTOR}, w=fault)
    assert causes(report) == [("transposed", "w")]
    assert "[2:8]" in message(report)


def transposed_evidence(shape: tuple[int, ...]) -> ParameterEvidence:
    """Return what is known of a parameter whose gradient is transposed."""
    right = np.random.default_rng(2).normal(size=shape)
    (parameter,) = Theta(right).parameters
    true = np.full(right.size, True)
    return ParameterEvidence(
        parameter=parameter,
        theta=np.ones(right.size),
        analytic=right.T.reshape(-1),
        numerical=right.reshape(-1),
        bars=np.full(right.size, 1e-9),
        known=true,
        wrong=true,
        right=~true,
    )


@pytest.mark.parametrize(
    ("shape", "count"), [((2, 3), 2), ((6,), 1), ((1, 6), 1), ((6, 1), 1), ((1, 2, 3), 1)]
)
def test_a_gradient_of_another_parameter_is_tried_transposed_where_it_is_a_matrix(
    shape: tuple[int, ...], count: int
) -> None:
    part = transposed_evidence(shape)
    found = [values for values, _ in _orientations(part)]
    assert len(found) == count
    np.testing.assert_array_equal(found[0], part.numerical)
    if count == 2:
        np.testing.assert_array_equal(found[1], part.numerical.reshape(2, 3).T.reshape(-1))


@pytest.mark.parametrize(("shape", "is_tried"), [((250, 400), True), ((300, 400), False)])
def test_no_other_order_is_tried_of_more_than_100_000_components(
    shape: tuple[int, int], is_tried: bool
) -> None:
    part = transposed_evidence(shape)
    evidence: Any = None  # which the rule does not ask
    made = [hypothesis.observation for hypothesis in transposed.hypotheses(part, evidence)]
    assert ("the numerical gradient transposed" in made) is is_tried


def test_nearly_transposed_is_not_transposed() -> None:
    assert causes(spoiled({"W": SQUARE}, W=lambda g: g.T + 1e-3)) == []


def test_swapped_parameters_are_reported() -> None:
    report = spoiled({"a": VECTOR, "b": VECTOR + 1}, a=lambda g: slopes({"b": VECTOR + 1})["b"])
    assert causes(report) == [("swapped", "a")]
    both = check_gradients(
        total,
        lambda p: {"a": slopes(p)["b"], "b": slopes(p)["a"]},
        {"a": VECTOR, "b": VECTOR + 1},
    )
    assert causes(both) == [("swapped", "a"), ("swapped", "b")]
    assert "numerical gradient of b, and the other way round" in both.findings[0].message


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda g: np.roll(g, 1), "shifted by 1"),
        (lambda g: np.roll(g, -3), "shifted by -3"),
        (lambda g: g[::-1], "reversed"),
        (lambda g: np.append(0.0, g[:-1]), "shifted by 1, but for its end"),
        (lambda g: g[[0, 2, 1, 3, 4, 5, 6, 7, 8]], "with its entries 1, 2 in another order"),
    ],
)
def test_a_shifted_vector_is_reported(fault: Callable[[Array], Array], said: str) -> None:
    report = spoiled({"w": VECTOR}, w=fault)
    assert causes(report) == [("shifted", "w")]
    assert said in message(report)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda g: np.roll(g, 1, axis=1), "shifted by 1 along axis 1"),
        (lambda g: g[::-1, ::-1], "reversed along axis 0 and 1"),
        (lambda g: g[[0, 2, 1]], "with its rows 1, 2 in another order"),
        (lambda g: g[:, [1, 0, 2, 4, 3]], "with its columns 0, 1, 3, 4 in another order"),
    ],
)
def test_a_shifted_matrix_is_reported(fault: Callable[[Array], Array], said: str) -> None:
    report = spoiled({"W": WIDE}, W=fault)
    assert causes(report) == [("shifted", "W")]
    assert said in message(report)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda g: np.full_like(g, g.sum()), "is the sum of the numerical gradient over all"),
        (lambda g: np.full_like(g, g.mean()), "is the mean of the numerical gradient over all"),
        (lambda g: 0 * g + g.sum(axis=1, keepdims=True), "over axis 1"),
    ],
)
def test_a_sum_over_an_axis_too_many_is_reported(
    fault: Callable[[Array], Array], said: str
) -> None:
    report = spoiled({"W": WIDE}, W=fault)
    assert causes(report) == [("wrong-axis", "W")]
    assert said in message(report)


def layer_of_as_many_examples_as_units(axis: int) -> Report:
    X = np.random.default_rng(4).normal(size=(5, 3))

    def fit(p: Params, X: Array) -> float:
        return float(np.sum(np.exp(np.sin(X @ p["W"] + p["b"]))))

    def grad(p: Params, X: Array) -> Params:
        Z = X @ p["W"] + p["b"]
        dZ = np.exp(np.sin(Z)) * np.cos(Z)
        return {"W": X.T @ dZ, "b": dZ.sum(axis=axis)}

    params = {"W": np.random.default_rng(5).normal(size=(3, 5)), "b": 0.1 * np.arange(5.0)}
    return check_gradients(fit, grad, params, X)


def test_a_bias_summed_over_the_units_is_recognized_by_its_sum() -> None:
    assert layer_of_as_many_examples_as_units(0).passed
    report = layer_of_as_many_examples_as_units(1)
    assert causes(report) == [("wrong-axis", "b")]
    assert "its sum is right" in message(report)


# Where the errors are


@pytest.mark.parametrize(
    ("backward", "said"),
    [
        (lambda dout, x: (dout,), "a mask is missing"),
        (lambda dout, x: (dout * (x < 0),), "the mask is turned round"),
    ],
)
def test_a_mask_is_reported(backward: Any, said: str) -> None:
    report = check_gradients.layer(lambda x: (np.maximum(x, 0), x), backward, MIXED)
    assert causes(report) == [("mask", "x")]
    assert said in message(report)


def test_a_wrong_branch_is_reported() -> None:
    report = check_gradients.layer(
        lambda x: (np.where(x > 0, x, 0.1 * x), x), lambda dout, x: (dout * (x > 0),), MIXED
    )
    assert causes(report) == [("mask", "x")]
    assert "wrong in all 4 components with x < 0, right in the other 6" in message(report)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_wrong_branch_is_reported_for_sorted_inputs(side: int) -> None:
    """The wrong entries stand side by side then, as those of a parameter in a vector do."""
    x = np.linspace(-2.1, 1.7, 10)
    report = spoiled({"w": x}, w=lambda g: np.where(side * x > 0, 0.3 * g, g))
    assert causes(report) == [("mask", "w")]


def test_errors_on_most_of_one_side_are_no_mask() -> None:
    wrong = np.where((MIXED < 0) & (MIXED.min() != MIXED), [3.0, 5.0] * 5, 1.0)
    assert causes(spoiled({"w": MIXED}, w=lambda g: wrong * g)) == []


@pytest.mark.parametrize(
    ("shape", "where", "said"),
    [
        ((6, 4), np.s_[2:4], "in rows 2-3 of 6"),
        ((6, 4), np.s_[:, -1], "in the last column 3 of 4"),
        ((3, 4, 5), np.s_[:, 1], "in slice 1 of axis 1 of 4"),
        ((12,), np.s_[7:], "entries 7-11 of 12"),
        ((12,), np.s_[4:5], "only in w[4]"),
        ((5, 5), np.s_[3, 1], "only in w[3, 1]"),
    ],
)
@pytest.mark.parametrize("factor", [0.0, 2.0])
def test_a_part_that_is_wrong_is_reported(
    shape: tuple[int, ...], where: Any, said: str, factor: float
) -> None:
    def fault(g: Array) -> Array:
        g = g.copy()
        g[where] *= factor
        return g

    report = spoiled({"w": np.random.default_rng(1).normal(size=shape)}, w=fault)
    assert causes(report) == [("partial", "w")]
    assert said in message(report)
    assert ("it is 0 there" in message(report)) == (factor == 0)


@pytest.mark.parametrize(
    ("where", "fault", "code", "said"),
    [
        (np.s_[2:11], lambda g: -g, "sign", "-1.000 x the numerical gradient in [2:11] alone"),
        (np.s_[2:11], lambda g: 1.23 * g, "scale", "1.230 x the numerical gradient in [2:11]"),
        (np.s_[4:9], lambda g: g + 0.37, "offset", "+ 0.37 throughout in [4:9]"),
        (
            np.s_[2:11],
            lambda g: (g.reshape(3, 3) + g.reshape(3, 3).T).reshape(-1),
            "symmetrized",
            "its transpose added in [2:11] alone, as 3 x 3",
        ),
        (
            np.s_[1:9],
            lambda g: np.tile(g.reshape(2, 4).mean(axis=0), 2),
            "wrong-axis",
            "over axis 0 in [1:9] alone, as 2 x 4",
        ),
    ],
)
def test_a_fault_of_one_parameter_in_a_flat_vector_of_several_is_reported(
    where: slice, fault: Callable[[Array], Array], code: str, said: str
) -> None:
    def partly(g: Array) -> Array:
        g = g.copy()
        g[where] = fault(g[where])
        return g

    report = spoiled({"w": np.random.default_rng(8).normal(size=13)}, w=partly)
    assert causes(report) == [(code, "w")]
    assert said in report.findings[0].message


def test_zeros_beside_the_one_entry_that_is_right_are_reported() -> None:
    report = spoiled({"w": VECTOR[:5]}, w=lambda g: np.where(np.arange(5) < 4, 0.0, g))
    assert causes(report) == [("partial", "w")]
    assert "in entries 0-3 of 5: it is 0 there" in message(report)


@pytest.mark.parametrize("factor", [7.0, 0.3, 1.1])
def test_a_plain_factor_of_all_but_the_penalty_is_reported(factor: float) -> None:
    def penalized(p: Params, lambd: float) -> float:
        return total(p) + lambd / 2 * float(np.sum(p["w"] ** 2))

    def grad(p: Params, lambd: float) -> Params:
        return {"w": factor * slopes(p)["w"] + lambd * p["w"]}

    report = check_gradients(penalized, grad, {"w": SQUARE}, data={"lambd": 0.7})
    found = [f for f in report.points[0].findings if f.severity == "cause"]
    assert [f.code for f in found] == ["scale"]
    assert "x the numerical gradient, but for the penalty" in found[0].message


def test_a_border_is_reported() -> None:
    def fault(g: Array) -> Array:
        wrong = 0.5 * g
        wrong[1:-1, 1:-1] = g[1:-1, 1:-1]
        return wrong

    report = spoiled({"w": RNG.normal(size=(5, 6))}, w=fault)
    assert causes(report) == [("partial", "w")]
    assert "on its border, and right inside: 0.500 x the numerical gradient there" in message(
        report
    )


@pytest.mark.parametrize(
    ("shape", "kept"),
    [((10,), np.arange(10) % 2), ((6, 6), np.random.default_rng(3).random((6, 6)) < 0.6)],
    ids=["every other", "at random"],
)
def test_zeros_here_and_there_are_a_mask(shape: tuple[int, ...], kept: Array) -> None:
    theta = np.random.default_rng(2).normal(size=shape)
    report = spoiled({"u": theta, "v": theta + 1}, u=lambda g: g * kept, v=lambda g: g * kept)
    (found,) = report.points[0].findings
    assert (found.code, found.parameters) == ("mask", ("u", "v"))
    zeros = np.count_nonzero(kept == 0)
    assert f"u, v are 0 in {zeros} of {theta.size} components, and right" in found.message


def test_one_zero_of_two_is_no_mask() -> None:
    report = spoiled({"u": np.array([1.0, 2.0, 3.0])}, u=lambda g: g * [0.0, 1.0, 1.0])
    assert causes(report) == [("partial", "u")]


def test_the_same_rows_of_two_parameters_are_one_cause() -> None:
    def last(g: Array) -> Array:
        return np.vstack([g[:-1], g[-1:] ** 2])

    report = spoiled({"u": SQUARE, "v": SQUARE + 1}, u=last, v=last)
    (found,) = report.points[0].findings
    assert (found.code, found.parameters) == ("partial", ("u", "v"))


def test_scattered_errors_are_no_part() -> None:
    wrong = np.where(np.random.default_rng(3).random((6, 6)) < 0.4, 1.7, 1.0)
    report = spoiled({"w": RNG.normal(size=(6, 6))}, w=lambda g: wrong * g)
    assert not report.passed
    assert causes(report) == []


def test_a_part_is_reported_beside_errors_that_have_no_cause() -> None:
    noise = np.linspace(0.5, 1.5, 9) + np.eye(9)[3]

    def row(g: Array) -> Array:
        return np.vstack([g[:1] ** 2, g[1:]])

    alone = spoiled({"W": WIDE, "b": VECTOR}, W=row)
    assert causes(alone) == [("partial", "W")]
    assert causes(spoiled({"W": WIDE, "b": VECTOR}, W=row, b=lambda g: noise * g)) == [
        ("partial", "W")
    ]


# Several parameters at once


NAMES = {
    "numbered": ("W1", "b1", "W2", "b2"),
    "in order": ("hidden", "hidden_bias", "out", "out_bias"),
    "nested": ("net[0].W", "net[0].b", "net[1].W", "net[1].b"),
}


def two_layers(names: tuple[str, ...], fault: str) -> Report:
    """Check a network of two layers under any names."""
    rng = np.random.default_rng(6)
    X = rng.normal(size=(3, 7))
    shapes = ((5, 3), (5, 1), (2, 5), (2, 1))
    leaves = dict(zip(names, (rng.normal(size=shape) for shape in shapes), strict=True))

    def fit(p: Params) -> float:
        W1, b1, W2, b2 = (p[name] for name in names)
        return float(np.mean(np.sin(W2 @ np.tanh(W1 @ X + b1) + b2)))

    def grad(p: Params) -> Params:
        W1, b1, W2, b2 = (p[name] for name in names)
        A = np.tanh(W1 @ X + b1)
        dZ2 = np.cos(W2 @ A + b2) / 14
        dA = W2.T @ dZ2
        dZ1 = dA if fault == "derivative" else dA * (1 - A**2)
        dZ1[3:] *= 1.3 if fault == "units" else 1.0
        grads = (dZ1 @ X.T, dZ1.sum(axis=1, keepdims=True), dZ2 @ A.T, dZ2.sum(1, keepdims=True))
        result = dict(zip(names, (g.copy() for g in grads), strict=True))
        if fault == "weights only":
            result[names[0]] *= np.linspace(0.5, 1.5, 15).reshape(5, 3)
        if fault == "apart":
            result[names[0]][0] *= [0.5, 2.0, 3.0]
            result[names[1]][[1, 3]] *= [[0.7], [3.0]]
        return result

    return check_gradients(fit, grad, leaves)


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_an_error_that_enters_at_a_layer_is_reported(names: tuple[str, ...]) -> None:
    report = two_layers(names, "derivative")
    assert causes(report) == [("upstream", None)]
    (found,) = report.findings
    assert f"{names[0]}, {names[1]} are wrong" in found.message
    assert f"the error enters at {names[0]}, {names[1]}" in found.message


@pytest.mark.parametrize("fault", ["weights only", "apart"])
def test_errors_that_no_unit_has_in_common_do_not_come_from_above(fault: str) -> None:
    """Weights alone, or weights of other units than the biases: no error flows into a unit so."""
    report = two_layers(NAMES["numbered"], fault)
    assert not report.passed
    assert "upstream" not in [code for code, _ in causes(report)]


def test_the_gradient_of_a_point_nearby_is_reported() -> None:
    report = check_gradients(
        total, lambda p: slopes({"w": p["w"] - 0.03, "v": p["v"] - 0.03}), {"w": VECTOR, "v": WIDE}
    )
    assert causes(report) == [("stale", None)]
    assert "theta - 0.03 x 1" in message(report)


def test_a_gradient_that_does_not_move_is_reported() -> None:
    kept = slopes({"w": VECTOR + 0.3 * np.sin(np.arange(9))})
    report = check_gradients(total, lambda p: kept, {"w": VECTOR})
    assert causes(report) == [("stale", None)]
    assert "stays the same" in message(report)


@pytest.mark.parametrize(("share", "is_stale"), [(0.9, True), (1.3, True), (-0.7, False)])
def test_theta_along_itself_is_another_point_where_a_step_leads(
    share: float, is_stale: bool
) -> None:
    w = np.random.default_rng(6).normal(size=8)
    report = check_gradients(
        lambda w: float(np.sum(np.exp(w))), lambda w: np.exp(share * w), w, locate=False
    )
    assert ("stale" in {f.code for f in report.findings}) == is_stale


def test_a_wrong_constant_gradient_of_a_straight_cost_is_not_stale() -> None:
    slope = np.linspace(1, 2, 6)
    report = check_gradients(lambda w: float(slope @ w), lambda w: slope**2, np.ones(6))
    assert not report.passed
    assert causes(report) == []


# Nothing at random, nothing where all is right


def test_constants_at_random_are_no_gradient_of_another_point() -> None:
    """Numbers at random point the same way by chance, the more easily the fewer they are."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        params = {"w": rng.normal(size=9)}
        constant = np.abs(slopes(params)["w"]) * rng.uniform(0.1, 3, 9)
        if seed % 2:
            constant = rng.choice([-1, 1], 9) * rng.uniform(0.1, 3, 9)
        assert ("stale", "w") not in causes(
            check_gradients(total, lambda p, constant=constant: {"w": constant}, params)
        )


@tried(60)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(2,), (5,), (12,), (3, 4), (5, 5), (2, 3, 4)]),
    kind=st.sampled_from(["factors", "added", "noise"]),
)
def test_errors_at_random_have_no_cause(seed: int, shape: tuple[int, ...], kind: str) -> None:
    rng = np.random.default_rng(seed)
    params = {"W": rng.normal(size=shape), "b": rng.normal(size=shape[0]), "s": rng.normal(size=1)}
    some = list(params)[: rng.integers(1, 4)]
    sizes = {
        k: rng.choice([-1, 1], v.shape) * rng.uniform(0.1, 2, v.shape) for k, v in params.items()
    }
    faults = {
        "factors": lambda g, size: g * (1 + size),
        "added": lambda g, size: g + size,
        "noise": lambda g, size: size,
    }
    report = check_gradients(
        total,
        lambda p: {k: faults[kind](g, sizes[k]) if k in some else g for k, g in slopes(p).items()},
        params,
    )
    assert not report.passed
    assert causes(report) == []


@tried(30)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-6, 1e-2, 1.0, 30.0]))
def test_right_pairs_have_no_cause(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    params = {"W": scale * rng.normal(size=(3, 4)), "b": scale * rng.normal(size=5)}
    assert causes(check_gradients(total, slopes, params)) == []


# Words


def test_long_rows_of_names_and_numbers_are_cut() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([f"W{i}" for i in range(9)]) == "W0, W1, …, W8 (9 parameters)"
    assert numbered([0, 2, 3, 4]) == "0, 2-4"
    assert numbered([0, 2, 4, 6, 8, 10]) == "0, 2, 4, 6, … (6)"


def test_a_parameter_with_a_wrong_kink_fits_no_pattern() -> None:
    report = check_gradients(
        lambda p: float(np.maximum(p["a"], 0).sum() + np.sin(p["a"]).sum()),
        lambda p: {"a": 3 * np.cos(p["a"])},
        {"a": np.array([0.0, 0.4, 1.1])},
    )
    assert not report.passed
    assert causes(report) == []


@pytest.mark.filterwarnings("error")
def test_looking_at_other_points_neither_warns_nor_leaves_a_trace() -> None:
    """Far out, where the strength of a penalty shows, this gradient warns, overflows and raises."""
    seen: list[float] = []

    def grad(w: Array) -> Array:
        seen.append(float(np.abs(w).max()))
        if seen[-1] > 100:
            warnings.warn("too large", UserWarning, stacklevel=1)
        return np.asarray(np.exp(w))

    w = MIXED.copy()
    report = check_gradients(
        lambda w: float(np.exp(w).sum() + 0.5 * w @ w), grad, w, inplace=True, data={"m": np.inf}
    )
    assert causes(report) == [("missing-regularization", "theta")]
    assert max(seen) > 100
    np.testing.assert_array_equal(w, MIXED)


# A normalization whose mean and variance are taken for constants


@pytest.mark.parametrize(
    ("mean", "variance", "said"),
    [
        (0.0, 1.0, "+ a constant along axis 0: a normalization's term of the mean is left out"),
        (1.0, 0.0, "+ a multiple of x - mean(x) along axis 0: a normalization's term of the var"),
        (0.0, 0.0, "and a multiple of x along axis 0: a normalization's terms of mean and vari"),
    ],
)
def test_the_term_of_a_normalization_that_is_left_out_is_reported(
    mean: float, variance: float, said: str
) -> None:
    report = normalized(lambda d, xhat: d - mean * d.mean(0) - variance * xhat * (d * xhat).mean(0))
    assert causes(report) == [("normalization", "x")]
    assert said in message(report)


def test_a_normalization_that_is_wrong_otherwise_is_not_reported_for_its_terms() -> None:
    report = normalized(lambda d, xhat: d * np.abs(xhat) - d.mean(0))
    assert not report.passed
    assert causes(report) == []


def test_outputs_whose_errors_happen_to_cancel_are_not_called_right() -> None:
    """Along one direction one of 20 wrong outputs agrees in 2 % of all layers."""
    for seed in range(100):
        x = np.random.default_rng(seed).normal(size=(7, 3))
        report = normalized(lambda d, xhat: d * np.abs(xhat) - d.mean(0), x, seed)
        assert not report.passed
        assert "output" not in {finding.code for finding in report.findings}


def normalized(
    backward: Callable[[Array, Array], Array], x: Array | None = None, seed: int = 0
) -> Report:
    def forward(x: Array) -> tuple[Array, tuple[Array, Array]]:
        std = np.sqrt(x.var(axis=0) + 1e-5)
        xhat = (x - x.mean(axis=0)) / std
        return xhat, (xhat, std)

    def reverse(dout: Array, cache: tuple[Array, Array]) -> tuple[Array]:
        xhat, std = cache
        return (backward(dout, xhat) / std,)

    x = RNG.normal(size=(7, 3)) if x is None else x
    return check_gradients.layer(forward, reverse, x, seed=seed)


@pytest.mark.parametrize("how", ["position", "keyword", "method", "late"])
def test_what_a_function_holds_is_in_sight(how: str) -> None:
    """A partial's arguments and a method's object are in sight; a name without a value is not."""
    many = np.random.default_rng(0).normal(size=(11, 3))

    def loss(X: Any, w: Any) -> float:
        return float(np.mean((X @ w) ** 2))

    def slope(X: Any, w: Any) -> Any:
        return 2 * X.T @ (X @ w)  # a sum

    class Model:
        def __init__(self) -> None:
            self.X = many

        def loss(self, w: Any) -> float:
            return loss(self.X, w)

        def slope(self, w: Any) -> Any:
            return slope(self.X, w)

    def late(X: Any) -> tuple[Any, Any]:
        def grad(w: Any) -> Any:
            return slope(X, w) if w.size else never

        if not many.size:
            never = 1
        return (lambda w: loss(X, w)), grad

    pairs: dict[str, tuple[Any, Any]] = {
        "position": (functools.partial(loss, many), functools.partial(slope, many)),
        "keyword": (functools.partial(loss, X=many), functools.partial(slope, X=many)),
        "method": (Model().loss, Model().slope),
        "late": late(many),
    }
    params: Any = np.array([0.3, -0.2, 0.5])
    first, second = pairs[how]
    if how == "keyword":
        report = check_gradients(lambda w: first(w=w), lambda w: second(w=w), params)
    else:
        report = check_gradients(first, second, params)
    assert message(report).endswith("a mean (1/m) is missing; 11 is X.shape[0]")


@pytest.mark.parametrize(
    ("low", "high", "said"), [(0.2, 0.4, "0.3"), (0.31, 0.34, "0.33"), (1.25, 1.27, "1.26")]
)
def test_a_border_is_the_roundest_number_between_both_sides(
    low: float, high: float, said: str
) -> None:
    assert _between(low, high) == said
