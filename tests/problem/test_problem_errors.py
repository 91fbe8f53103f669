"""Every reason for which a pair cannot be checked: its code, the entry, and the way out."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import ProblemError, check_gradients, gradcheck

Array = npt.NDArray[np.float64]


def sphere(p: dict[str, Any]) -> float:
    return float(sum(np.sum(np.square(v)) for v in p.values()))


def gradient(p: dict[str, Any]) -> dict[str, Any]:
    return {key: 2 * v for key, v in p.items()}


def given() -> dict[str, Any]:
    return {"W1": np.arange(1.0, 7.0).reshape(2, 3), "b1": np.ones((2, 1))}


def drawn(scale: float) -> Callable[..., Any]:
    rng = np.random.default_rng(0)
    return lambda p: sphere(p) * (1 + scale * rng.random())


def drawn_gradient(p: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    return {key: 2 * v * (1 if key == "W1" else rng.random()) for key, v in p.items()}


def shrinking(p: dict[str, Any]) -> float:
    p["b1"] *= 0.5
    return 1.0


def updating(p: dict[str, Any]) -> dict[str, Any]:
    answer = gradient(p)
    p["W1"] -= 0.1 * answer["W1"]
    return answer


def rebinding(p: dict[str, Any]) -> dict[str, Any]:
    answer = gradient(p)
    p["b1"] = p["b1"] - 0.1
    return answer


def failing(p: dict[str, Any]) -> Any:
    return p["W9"]


owned = given()
locked = given()
locked["b1"].setflags(write=False)
one = np.ones(4)
tied = {"W1": one, "b1": one[1:3]}

Row = tuple[Any, Any, Any, dict[str, Any], str]

ERRORS: dict[str, list[Row]] = {
    "nondeterministic-cost": [
        (drawn(1.0), gradient, given(), {}, r"two calls .* dropout still on.*dropout='freeze'"),
        (drawn(1e-3), gradient, given(), {}, "two calls of the cost"),
    ],
    "nondeterministic-gradient": [
        (
            lambda p, rng: sphere(p),
            drawn_gradient,
            given(),
            {"data": {"rng": np.random.default_rng(0)}},
            r"two calls of the gradient .* for b1\[0, 0\].*dropout",
        ),
    ],
    "mutated-params": [
        (shrinking, gradient, given(), {}, "the cost changes .*: b1 was not.*work on a copy"),
        (sphere, updating, given(), {}, "the gradient changes .*: W1 was not"),
        (sphere, rebinding, given(), {}, "the gradient changes .*: b1 was not"),
        (shrinking, gradient, given(), {"inplace": True}, "the cost changes .*: b1"),
        (sphere, updating, given(), {"inplace": True}, "the gradient changes .*: W1"),
    ],
    "unreached-params": [
        (lambda p: sphere(owned), gradient, given(), {}, "does not move .*inplace=True"),
        (lambda p: sphere(owned), gradient, given(), {"eps": 1e-7}, "inplace=True"),
    ],
    "unbound-argument": [
        (lambda p, X: 0.0, gradient, given(), {}, "argument X of the cost"),
        (sphere, lambda p, q: p, given(), {"data": {"Y": 1}}, "p, q: one of them takes the params"),
    ],
    "nonscalar-cost": [
        (lambda p: np.ones(3), gradient, given(), {}, r"shape \(3,\).*its sum or its mean"),
        (lambda p: [0.1, 0.2], gradient, given(), {}, "sum"),
        (lambda p: None, gradient, given(), {}, "None: is its return statement missing"),
        (lambda p: "0.5", gradient, given(), {}, "'0.5' of type str"),
        (lambda p: True, gradient, given(), {}, "True of type bool"),
        (lambda p: {"loss": 0.5}, gradient, given(), {}, "type dict"),
        (lambda p: (), gradient, given(), {}, "type tuple"),
        (lambda p: np.zeros(0), gradient, given(), {}, "type ndarray"),
        (lambda p: (np.ones(2), "cache"), gradient, given(), {}, r"shape \(2,\)"),
        (lambda p: [0.5, np.ones(3)], gradient, given(), {}, "returned a list"),
        (lambda p: object(), gradient, given(), {}, "type object"),
    ],
    "nonfinite-cost": [
        (lambda p: np.nan, gradient, given(), {}, "the cost is nan.*log-sum-exp"),
        (lambda p: float("inf"), gradient, given(), {}, "the cost is inf"),
    ],
    "complex-cost": [(lambda p: 1 + 1j, gradient, given(), {}, "complex.*real part")],
    "missing-gradient": [
        (sphere, lambda p: {"dW1": p["W1"]}, given(), {}, "no entry for b1.*exclude="),
        (sphere, lambda p: None, given(), {}, "None, where W1, b1"),
        (sphere, True, given(), {}, r"grad=True, sphere returns \(cost, gradients\)"),
    ],
    "shape-mismatch": [
        (
            sphere,
            lambda p: {"dW1": p["W1"], "db1": np.ones((2, 8))},
            given(),
            {},
            r"db1 has shape \(2, 8\), where b1 has shape \(2, 1\): it was not summed",
        ),
    ],
    "nonnumeric-gradient": [
        (sphere, lambda p: {**gradient(p), "b1": "?"}, given(), {}, "b1 is no array of real"),
        (sphere, lambda p: {**gradient(p), "b1": 1j * p["b1"]}, given(), {}, "b1 .*complex128"),
    ],
    "no-parameters": [
        (sphere, gradient, {}, {}, "an empty dict: hand over its float arrays"),
        (sphere, gradient, {"n": 3, "act": "relu"}, {}, r"n \(an int\), act \(a str\).*astype"),
        (sphere, gradient, np.arange(3), {}, r"int64 and shape \(3,\).*astype\(float\)"),
        (sphere, gradient, 3, {}, r"write 3\.0"),
        (sphere, gradient, None, {}, "NoneType"),
        (sphere, gradient, "W1", {}, "a str"),
    ],
    "readonly-params": [
        (sphere, gradient, locked, {"inplace": True}, "b1 is read-only.*inplace=True out"),
        (sphere, gradient, (1.0, np.ones(2)), {"inplace": True}, r"\[0\] is a number in .*tuple"),
        (sphere, gradient, 2.0, {"inplace": True}, "theta is a number"),
    ],
    "tied-params": [
        (sphere, gradient, tied, {"inplace": True}, "b1 and W1 share memory.*one of them"),
        (sphere, gradient, {"a": one, "b": one}, {"inplace": True}, "b and a share memory"),
    ],
    "cost-raised": [
        (failing, gradient, given(), {}, r"failing raised KeyError: 'W9' \(its call number 1\)"),
    ],
    "gradient-raised": [(sphere, failing, given(), {}, "failing raised KeyError: 'W9'")],
    "bad-setting": [
        (sphere, gradient, given(), {"esp": 1e-7}, "'esp' .did you mean 'eps'"),
        (sphere, gradient, given(), {"mode": "fulll"}, "mode .*did you mean 'full'"),
    ],
}

ROWS = [
    pytest.param(code, *row, id=f"{code}-{number}")
    for code, rows in ERRORS.items()
    for number, row in enumerate(rows, 1)
]


@pytest.mark.parametrize("check", [gradcheck, check_gradients], ids=repr)
@pytest.mark.parametrize(("code", "cost", "grad", "params", "how", "message"), ROWS)
def test_what_keeps_a_pair_from_being_checked_is_named(
    code: str, cost: Any, grad: Any, params: Any, how: dict[str, Any], message: str, check: Any
) -> None:
    with pytest.raises(ProblemError, match=message) as error:
        check(cost, grad, params, **how)
    assert error.value.code == code
    assert str(error.value).startswith(f"{code}: ")
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize("code", ["cost-raised", "gradient-raised"])
def test_the_users_own_traceback_is_kept(code: str) -> None:
    pair = (failing, gradient) if code == "cost-raised" else (sphere, failing)
    with pytest.raises(ProblemError) as error:
        check_gradients(*pair, given())
    cause = error.value.__cause__
    assert isinstance(cause, KeyError)
    assert traceback.extract_tb(cause.__traceback__)[-1].name == "failing"


def test_a_cost_that_raises_wherever_a_component_moves_is_reported_with_component_and_step() -> (
    None
):
    def cost(params: dict[str, Array]) -> float:
        if params["w"][3] != 1:
            raise KeyError("no such row")
        return float(params["w"] @ params["w"])

    message = r"cost raised KeyError: 'no such row' .* at w\[3\] \+ 6.*e-06"
    with pytest.raises(ProblemError, match=message) as error:
        check_gradients(cost, lambda p: {"w": 2 * p["w"]}, {"w": np.ones(9)})
    assert error.value.code == "cost-raised"
    assert isinstance(error.value.__cause__, KeyError)


def test_a_cost_that_raises_once_on_the_way_is_looked_at_from_the_other_side() -> None:
    calls: list[int] = []

    def cost(w: Array) -> float:
        calls.append(1)
        if len(calls) == 17:
            raise RuntimeError
        return float(w @ w)

    assert check_gradients(cost, lambda w: 2 * w, np.ones(9)).verdict == "ok"


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_let_through(raised: type[BaseException]) -> None:
    def cost(w: Array) -> float:
        raise raised

    with pytest.raises(raised):
        check_gradients(cost, lambda w: w, np.ones(2))


def test_a_mutation_that_happens_only_later_is_noticed() -> None:
    calls: list[int] = []

    def cost(w: Array) -> float:
        calls.append(1)
        value = float(w @ w)
        if len(calls) == 20:
            w[3] += 1e-3
        return value

    with pytest.raises(ProblemError, match=r"the cost changes .*theta"):
        check_gradients(cost, lambda w: 2 * w, np.ones(9))


def test_a_constant_cost_with_a_zero_gradient_is_not_unreached() -> None:
    report = check_gradients(lambda w: 2.0, lambda w: 0 * w, np.ones(3))
    assert report.passed
    assert "vacuous" in {finding.code for finding in report.findings}


def test_a_cost_whose_gradient_is_zero_here_is_not_unreached() -> None:
    report = check_gradients(lambda w: float(np.sum(w**4)), lambda w: w + 1, np.zeros(2))
    assert report.verdict == "bug"


HERE = np.array([0.9, -1.1, 0.7, 1.3, -0.8, 1.2])
AWAY = np.array([1.0, 0.8, -1.2, 0.7, 1.1, 1.3])
"""Nearly at right angles to `HERE`: no multiple of it comes near the top of a hill over there."""


def hill(x: Array, exponent: float) -> Any:
    """Return a Gaussian that is exp(-exponent) at `HERE`, where one looks from its foot."""
    away = (x - HERE - AWAY) / np.sqrt(AWAY @ AWAY / exponent).astype(x.dtype)
    return np.exp(-(away @ away))


@pytest.mark.parametrize("offset", [2.885383, 317.3])
@pytest.mark.parametrize("exponent", [18.0, 22.0, 30.0])
@pytest.mark.parametrize("mode", ["full", "probe"])
def test_a_slope_that_float32_cannot_show_is_not_unreached(
    mode: Literal["full", "probe"], exponent: float, offset: float
) -> None:
    def cost(x: Array) -> float:
        return float(np.float32(offset) + np.float32(hill(x, exponent)))

    def slopes(x: Array) -> Array:
        return np.asarray(-2 * exponent / (AWAY @ AWAY) * (x - HERE - AWAY) * hill(x, exponent))

    report = check_gradients(cost, slopes, HERE, mode=mode)

    assert report.verdict == "inconclusive"
    assert any("float32" in finding.message for finding in report.findings)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-5])
def test_a_network_in_float32_that_owns_its_arrays_is_unreached(scale: float) -> None:
    mine = HERE.astype(np.float32)

    def cost(x: Array) -> float:
        return float(np.float32(0.7) + np.float32(scale) * (mine @ mine))

    with pytest.raises(ProblemError, match="unreached-params"):
        check_gradients(cost, lambda x: 2 * scale * x, HERE)


@pytest.mark.parametrize(
    ("still", "known"),
    [
        (2.885383, 1e-15),
        (float(np.float32(2.885383)), 1e-7),
        (float(np.float16(2.885383)), 1e-3),
        (2.890625, 1e-2),  # in bfloat16
    ],
)
def test_a_cost_that_stands_still_is_wrong_nowhere_beside_its_rounding(
    still: float, known: float
) -> None:
    """What a coarser type shows of a slope is less, and what it hides is no bug."""

    def said(part: float) -> str:
        try:
            return check_gradients(lambda x: still, lambda x: part * x, HERE).verdict
        except ProblemError as error:
            return error.code

    assert [said(part) for part in (0.0, 1e-40)] == ["ok", "ok"]
    assert [said(part) for part in (0.2 * known, known)] == ["inconclusive"] * 2
    assert [said(part) for part in (100 * known, 3.0)] == ["unreached-params"] * 2


def test_what_rounding_leaves_of_terms_that_cancel_is_not_unreached() -> None:
    """Of equal rows all shares are equal, whatever the bias is: their logarithms add up to 0."""

    def cost(b: Array) -> float:
        shares = np.exp(np.stack([b, b])) / (2 * np.exp(b))
        return float(np.sum(np.log(shares.sum(axis=0))))

    left = np.array([7e-15, 0.0, -4e-15])
    report = check_gradients(cost, lambda b: left, np.zeros(3))
    assert report.verdict == "inconclusive"
    assert any("terms cancel" in finding.message for finding in report.findings)
    with pytest.raises(ProblemError, match="unreached-params"):
        check_gradients(cost, lambda b: 100 * left, np.zeros(3))


def test_a_sum_in_another_order_is_not_called_nondeterministic() -> None:
    calls: list[int] = []

    def cost(w: Array) -> float:
        calls.append(1)
        return float(w @ w) * (1 + (len(calls) % 2) * 2e-16)

    assert check_gradients(cost, lambda w: 2 * w, np.ones(3)).passed


def test_nan_in_the_gradient_is_no_problem_of_determinism() -> None:
    report = check_gradients(
        lambda w: float(w @ w), lambda w: np.array([2.0, np.nan, np.inf]), np.ones(3)
    )
    verdicts = [(component.name, component.verdict) for component in report.components]
    assert sorted(verdicts) == [("theta[1]", "nonfinite"), ("theta[2]", "nonfinite")]


@pytest.mark.parametrize(
    ("cost", "message"),
    [
        (lambda x: ("text", None), "the output of .*lambda.* a str"),
        (lambda x: (np.arange(3), None), "ndarray"),
        (lambda x: None, "NoneType"),
    ],
)
def test_a_layer_without_a_float_output_has_no_scalar_cost(cost: Any, message: str) -> None:
    with pytest.raises(ProblemError, match=message) as error:
        check_gradients.layer(cost, lambda d, c: d, np.ones(3))
    assert error.value.code == "nonscalar-cost"


def test_a_layer_that_raises_is_called_by_its_own_name() -> None:
    def conv_forward(x: Array) -> Any:
        raise IndexError("stride")

    with pytest.raises(ProblemError, match=r"conv_forward raised IndexError: stride") as error:
        check_gradients.layer(conv_forward, lambda d, c: d, np.ones(3))
    assert error.value.code == "cost-raised"
    assert isinstance(error.value.__cause__, IndexError)


def test_a_function_without_a_pullback_is_reported() -> None:
    with pytest.raises(ProblemError, match=r"to return \(out, pullback\), .* ndarray") as error:
        check_gradients.vjp(lambda x: x**2, np.ones(3))
    assert error.value.code == "missing-gradient"


def test_a_gradient_below_the_rounding_of_a_flat_cost_is_not_refused() -> None:
    theta = np.array([0.3, -1.2, 0.7])

    report = check_gradients(lambda x: 2.0, lambda x: np.full(3, 1e-18), theta)

    assert report.verdict in ("ok", "inconclusive")
    with pytest.raises(ProblemError, match="does not move"):
        check_gradients(lambda x: 2.0, lambda x: np.full(3, 1e-12), theta)


@pytest.mark.parametrize("level", [1e-12, 1e-9, 3e-8])
def test_two_calls_that_differ_by_noise_are_no_nondeterminism(level: float) -> None:
    rng = np.random.default_rng(0)
    report = check_gradients(
        lambda w: float(np.sin(w).sum()) * (1 + level * rng.uniform(-1, 1)),
        lambda w: np.cos(w) * (1 + level * rng.uniform(-1, 1, w.shape)),
        np.linspace(0.3, 1.2, 9),
    )
    assert report.passed


def test_sums_in_float32_whose_order_changes_are_no_nondeterminism() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(400, 3))

    def cost(w: Array) -> float:
        terms = (np.tanh(inputs @ w) ** 2).astype(np.float32)
        return float(np.cumsum(rng.permutation(terms))[-1])

    def grad(w: Array) -> Array:
        out = np.tanh(inputs @ w)
        return np.asarray(2 * (out * (1 - out**2)) @ inputs)

    report = check_gradients(cost, grad, np.array([0.5, -0.8, 0.3]))
    assert report.verdict in ("ok", "inconclusive")
    report = check_gradients(cost, lambda w: -grad(w), np.array([0.5, -0.8, 0.3]))
    assert not report.passed


def test_noise_that_the_user_knows_of_is_no_nondeterminism() -> None:
    rng = np.random.default_rng(0)

    def cost(w: Array) -> float:
        return float(np.sin(w).sum()) * (1 + 1e-4 * rng.uniform(-1, 1))

    with pytest.raises(ProblemError, match="nondeterministic-cost"):
        check_gradients(cost, np.cos, np.linspace(0.3, 1.2, 9))
    report = check_gradients(cost, np.cos, np.linspace(0.3, 1.2, 9), noise=1e-3)
    assert not any(c.verdict in ("suspect", "bug") for c in report.components)


@pytest.mark.parametrize("left", [0.0, 3.0])
@pytest.mark.parametrize("inplace", [False, True])
def test_gradients_that_accumulate_are_distinguished_from_dropout(
    left: float, inplace: bool
) -> None:
    x, total = np.array([0.3, 0.4]), np.full(2, left)

    def grad(params: dict[str, Array]) -> dict[str, Array]:
        total[...] += np.cos(params["x"])
        return {"x": total}

    with pytest.raises(ProblemError, match=r"nondeterministic-gradient.*accumulate") as caught:
        check_gradients(lambda p: float(np.sum(np.sin(p["x"]))), grad, {"x": x}, inplace=inplace)
    assert "dropout" not in str(caught.value)
    assert "zero_grad()" in str(caught.value)
