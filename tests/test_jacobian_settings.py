"""Settings of checks of matrices: each holds in every form, or is refused by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import L2, Problem, ProblemError, Report, check_gradients
from pytest_gradcheck.context import Context, entered

Array = npt.NDArray[np.float64]
Params = dict[str, Array]

A = np.random.default_rng(3).normal(size=(4, 4))


def fun(p: Params) -> Array:
    return np.asarray(np.sin(A @ p["w"]) + p["b"] ** 2)


def jac(p: Params) -> Params:
    return {"w": np.cos(A @ p["w"])[:, None] * A, "b": np.diag(2 * p["b"])}


def grad(p: Params) -> Params:
    return {"w": 4 * p["w"] ** 3 + p["b"].sum(), "b": np.full(4, p["w"].sum())}


def hess(p: Params) -> Array:
    ones = np.ones((4, 4))
    return np.block([[np.diag(12 * p["w"] ** 2), ones], [ones, np.zeros((4, 4))]])


def push(p: Params, d: Params) -> Array:
    J = jac(p)
    return J["w"] @ d["w"] + J["b"] @ d["b"]


def drawn(rng: np.random.Generator) -> Params:
    return {"w": rng.normal(size=4), "b": rng.normal(size=4)}


Form = Callable[[Any, dict[str, Any]], Problem]

FORMS: dict[str, Form] = {
    "jacobian": lambda p, s: Problem.jacobian(fun, jac, p, **s),
    "hessian": lambda p, s: Problem.hessian(grad, hess, p, **s),
    "jvp": lambda p, s: Problem.jvp(fun, push, p, **s),
}

given = drawn(np.random.default_rng(0))

HOLDS: dict[str, tuple[Any, Any, Callable[[Report], bool]]] = {
    "eps": ("eps", 1e-6, lambda r: r.settings.eps == 1e-6),
    "only": ("only", ["*w"], lambda r: [p.checked > 0 for p in r.points[0].parameters] == [True]),
    "exclude": ("exclude", ["*b"], lambda r: len(r.points[0].parameters) == 1),
    "inplace": ("inplace", True, lambda r: r.settings.inplace),
    "noise": ("noise", 1e-9, lambda r: r.settings.noise == 1e-9),
    "mode": ("mode", "sample", lambda r: r.settings.mode == "sample"),
    "probe": ("mode", "probe", lambda r: r.settings.mode == "probe"),
    "seed": ("seed", 5, lambda r: r.seed == 5),
    "strict": ("strict", True, lambda r: r.settings.strict),
    "fail_on": ("fail_on", "bug", lambda r: r.settings.fail_on == "bug"),
}
"""A setting, a value of it, and what shows that it was heard."""

REFUSED: dict[str, Any] = {"workers": 2, "batched": True, "train": 3, "regularization": L2(0.1, 4)}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Form:
    return FORMS[str(request.param)]


@pytest.fixture(params=["call", "marker"])
def check(request: pytest.FixtureRequest, form: Form) -> Callable[[Any, dict[str, Any]], Report]:
    """Check with settings said in the Problem, or by what surrounds the check."""

    def checked(params: Any, settings: dict[str, Any]) -> Report:
        if request.param == "call":
            return run(form(params, settings))
        with entered(Context(layers=(("marker", settings),))):
            return run(form(params, {}))

    return checked


def run(problem: Problem) -> Report:
    from pytest_gradcheck.api import check_problem

    return check_problem(problem, raising=False)


@pytest.mark.parametrize("case", HOLDS)
def test_a_setting_holds_in_every_form(
    check: Callable[[Any, dict[str, Any]], Report], case: str
) -> None:
    name, value, is_heard = HOLDS[case]
    report = check({key: array.copy() for key, array in given.items()}, {name: value})
    assert report.passed, str(report)
    assert is_heard(report)


@pytest.mark.parametrize("name", REFUSED)
def test_a_setting_that_is_for_costs_is_refused_by_name(
    check: Callable[[Any, dict[str, Any]], Report], name: str
) -> None:
    with pytest.raises(ProblemError, match=name) as caught:
        check(given, {name: REFUSED[name]})
    assert caught.value.code == "bad-setting"


def test_seeds_draw_points_for_jacobians_and_hessians() -> None:
    for report in (
        check_gradients.jacobian(fun, jac, drawn, seeds=2),
        check_gradients.hessian(grad, hess, drawn, seeds=2),
    ):
        assert (report.passed, len(report.points)) == (True, 2)


def test_data_reach_both_functions_by_name() -> None:
    def scaled(w: Array, k: float) -> Array:
        return np.asarray(k * w**2)

    def slopes(k: float, w: Array) -> Array:
        return np.asarray(np.diag(2 * k * w))

    w = np.array([0.5, 2.0])
    assert check_gradients.jacobian(scaled, slopes, w, data={"k": 3.0}).passed
    assert check_gradients.hessian(scaled, slopes, w, data={"k": 3.0}).passed


@pytest.mark.parametrize("name", ["w", "b"])
def test_a_transposed_array_of_a_structure_is_told(name: str) -> None:
    def tall(p: Params) -> Array:
        return np.asarray(np.repeat(p["w"] * p["b"].sum(), 2))

    def turned(p: Params) -> Params:
        both = {
            "w": np.repeat(np.eye(4), 2, axis=0) * p["b"].sum(),
            "b": np.repeat(p["w"], 2)[:, None] * np.ones(4),
        }
        return {**both, name: both[name].T}

    with pytest.raises(ProblemError, match="it is transposed") as caught:
        check_gradients.jacobian(tall, turned, given)
    assert f"jac.{name} has shape (4, 8)" in str(caught.value)
    assert f"out.shape + {name}.shape = (8, 4)" in str(caught.value)


def test_imaginary_parts_between_real_numbers_are_refused_with_what_to_return() -> None:
    with pytest.raises(ProblemError, match="real: return the real part") as caught:
        check_gradients.jacobian(np.sin, lambda x: np.diag(np.cos(x)) + 1j, np.ones(2))
    assert caught.value.code == "nonnumeric-gradient"


def test_the_lower_triangle_may_lie_in_fortrans_order() -> None:
    def lower(p: Params) -> Array:
        return np.asfortranarray(np.tril(hess(p)))

    assert check_gradients.hessian(grad, lower, given, lower=True).passed
