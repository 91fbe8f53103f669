"""Settings of checks of matrices: each holds in every form, or is refused by its name."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import L2, Problem, ProblemError, Report, check_gradients
from pytest_gradcheck.api import check_problem
from pytest_gradcheck.context import Context, use_context

Array = npt.NDArray[np.float64]
Params = dict[str, Array]

A = np.random.default_rng(3).normal(size=(4, 4))


def fun(p: Params) -> Array:
    return np.asarray(np.sin(A @ p["w"]) + p["b"] ** 2)


def jac(p: Params) -> Params:
    return {"w": np.cos(A @ p["w"])[:, None] * A, "b": np.diag(2 * p["b"])}


def grad(p: Params) -> Params:
    return {"w": 4 * p["w"] ** 3 + p["b"].sum(), "b": p["w"].sum() + p["b"] ** 3}


def hess(p: Params) -> Array:
    ones = np.ones((4, 4))
    return np.block([[np.diag(12 * p["w"] ** 2), ones], [ones, np.diag(3 * p["b"] ** 2)]])


def push(p: Params, d: Params) -> Array:
    J = jac(p)
    return J["w"] @ d["w"] + J["b"] @ d["b"]


def drawn(rng: np.random.Generator) -> Params:
    return {"w": rng.normal(size=4), "b": rng.normal(size=4)}


@dataclass(frozen=True)
class Form:
    """A way to hand over a function and its derivative, which may be wrong by factors.

    Attributes
    ----------
    problem : callable
        Takes params, factors of the derivative by the two parameters, and settings.
    fun : callable
        Takes params; returns outputs, or the gradient.
    in_place : callable
        The same of two functions that look at arrays of their own.
    """

    problem: Callable[[Any, dict[str, float], dict[str, Any]], Problem]
    fun: Callable[[Any], Any]
    in_place: Callable[[Params, dict[str, float], dict[str, Any]], Problem]


def times(p: Params, k: dict[str, float]) -> Params:
    """Return the Jacobian with factors."""
    return {name: k.get(name, 1.0) * array for name, array in jac(p).items()}


def hess_times(p: Params, k: dict[str, float]) -> Array:
    """Return the Hessian with factors of its blocks on the diagonal."""
    matrix = hess(p)
    for name, part in {"w": slice(0, 4), "b": slice(4, 8)}.items():
        matrix[part, part] *= k.get(name, 1.0)
    return matrix


def push_times(p: Params, d: Params, k: dict[str, float]) -> Array:
    return push(p, {name: k.get(name, 1.0) * array for name, array in d.items()})


FORMS: dict[str, Form] = {
    "jacobian": Form(
        lambda p, k, s: Problem.jacobian(fun, lambda p: times(p, k), p, **s),
        fun,
        lambda p, k, s: Problem.jacobian(lambda: fun(p), lambda: times(p, k), p, **s),
    ),
    "hessian": Form(
        lambda p, k, s: Problem.hessian(grad, lambda p: hess_times(p, k), p, **s),
        grad,
        lambda p, k, s: Problem.hessian(lambda: grad(p), lambda: hess_times(p, k), p, **s),
    ),
    "jvp": Form(
        lambda p, k, s: Problem.jvp(fun, lambda p, d: push_times(p, d, k), p, **s),
        fun,
        lambda p, k, s: Problem.jvp(lambda: fun(p), lambda d: push_times(p, d, k), p, **s),
    ),
}

given = drawn(np.random.default_rng(0))

REFUSED: dict[str, Any] = {"workers": 2, "batched": True, "train": 3, "regularization": L2(0.1, 4)}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Form:
    return FORMS[str(request.param)]


Check = Callable[..., Report]


@pytest.fixture(params=["call", "marker"])
def check(request: pytest.FixtureRequest, form: Form) -> Check:
    """Check with settings said in the Problem, or by what surrounds the check."""

    def checked(
        settings: dict[str, Any], params: Any = given, make: Any = form.problem, **factors: float
    ) -> Report:
        if request.param == "call":
            return run(make(params, factors, settings))
        with use_context(Context(sources=(("marker", settings),))):
            return run(make(params, factors, {}))

    return checked


def run(problem: Problem) -> Report:
    return check_problem(problem, raising=False)


def wrong(report: Report) -> set[str]:
    """Return the names of the parameters with a wrong entry, without those of an input."""
    found = [c for c in report.components if c.verdict in ("suspect", "bug")]
    return {component.parameter.rpartition(".")[2] for component in found}


@pytest.mark.parametrize("name", REFUSED)
def test_a_setting_that_is_for_costs_is_refused_by_name(check: Check, name: str) -> None:
    with pytest.raises(ProblemError, match=f"{name}=") as caught:
        check({name: REFUSED[name]})
    assert caught.value.code == "bad-setting"


@pytest.mark.parametrize("mode", ["full", "probe", "sample", "auto"])
def test_every_mode_passes_what_is_right_and_finds_a_wrong_parameter(
    check: Check, mode: str
) -> None:
    assert check({"mode": mode}).verdict == "ok"
    report = check({"mode": mode}, b=1.5)
    assert (report.passed, wrong(report)) == (False, {"b"})


def test_the_mode_says_what_is_looked_at(check: Check) -> None:
    full, sample, probe = (
        check({"mode": mode, "samples": 2}) for mode in ("full", "sample", "probe")
    )
    outputs = len(full.points[0].outputs)
    for whole, some, seen in zip(full.parameters, sample.parameters, probe.parameters, strict=True):
        assert whole.checked == whole.covered == 4 * outputs
        assert some.checked == some.covered == 2 * outputs
        assert seen.checked < seen.covered == 4 * outputs


def test_the_classical_check_has_its_step_and_no_more_calls(check: Check, form: Form) -> None:
    eps = 1e-4
    report = check({"eps": eps}, w=1.5)
    assert report.evaluations <= 2 * 8 + 4
    assert wrong(report) == {"w"}
    sides = []
    for step in (eps, -eps):
        moved = {**given, "w": given["w"] + step * np.eye(4)[0]}
        out = form.fun(moved)
        sides.append(np.concatenate(list(out.values())) if isinstance(out, dict) else out)
    due = (sides[0] - sides[1]) / (2 * eps)
    mine = [c for c in report.components if c.index == (0,) and c.parameter.endswith("w")]
    assert mine
    for component in mine:
        assert component.entry is not None
        assert component.numerical == pytest.approx(due[component.entry[0]], rel=1e-12)
        assert component.error_bar == 0


@pytest.mark.parametrize("setting", [{"only": "*w"}, {"exclude": ["*b"]}])
def test_what_is_left_out_is_not_looked_at(check: Check, setting: dict[str, Any]) -> None:
    assert check(setting, b=1.5).passed
    report = check(setting, w=1.5)
    assert wrong(report) == {"w"}
    assert [p.name.rpartition(".")[2] for p in report.parameters] == ["w"]


def test_a_setting_that_matches_no_parameter_is_refused(check: Check) -> None:
    with pytest.raises(ProblemError, match="matches no parameter"):
        check({"only": "W7"})


def test_a_slight_fault_passes_where_only_bugs_fail(check: Check) -> None:
    slight = 1 + 1e-4
    assert check({}, b=slight).verdict == "suspect"
    assert not check({}, b=slight).passed
    report = check({"fail_on": "bug"}, b=slight)
    assert (report.passed, report.verdict) == (True, "suspect")
    assert not check({"fail_on": "bug"}, b=1.5).passed


def test_the_thresholds_move_the_verdict(check: Check) -> None:
    assert check({"suspect": 1e-2, "bug": 1e-1}, b=1 + 1e-4).verdict == "ok"
    assert check({"suspect": 1e-7, "bug": 1e-6}, b=1 + 1e-4).verdict == "bug"


def test_arrays_in_place_are_checked_and_put_back(check: Check, form: Form) -> None:
    own = {name: array.copy() for name, array in given.items()}
    assert check({"inplace": True}, own, form.in_place).verdict == "ok"
    report = check({"inplace": True}, own, form.in_place, w=1.5)
    assert wrong(report) == {"w"}
    for name, array in given.items():
        assert own[name].tobytes() == array.tobytes()
    with pytest.raises(ProblemError):
        check({}, own, form.in_place)


def test_float32_in_place_has_wider_bars_and_still_shows_a_fault(check: Check, form: Form) -> None:
    own = {name: array.astype(np.float32) for name, array in given.items()}
    report = check({"inplace": True}, own, form.in_place)
    assert report.passed
    assert any("float32" in note for note in report.notes)
    assert wrong(check({"inplace": True}, own, form.in_place, w=1.1)) == {"w"}
    assert own["w"].dtype == np.float32
    assert check({}, own).passed  # in float64, where the functions take it


def test_a_known_noise_widens_the_bars(check: Check) -> None:
    exact, coarse = check({}), check({"noise": 1e-6})
    assert exact.passed
    assert coarse.passed
    for fine, wide in zip(exact.parameters, coarse.parameters, strict=True):
        assert wide.resolution > 10 * fine.resolution
    assert wrong(check({"noise": 1e-6}, b=1.5)) == {"b"}


def test_calls_that_differ_are_refused_but_for_a_noise_that_is_known() -> None:
    calls = itertools.count()

    def trembling(p: Params) -> Array:
        return np.asarray(fun(p) * (1 + 1e-6 * np.sin(next(calls))))

    for problem in (
        Problem.jacobian(trembling, jac, given),
        Problem.jvp(trembling, push, given),
    ):
        with pytest.raises(ProblemError) as caught:
            run(problem)
        assert caught.value.code == "nondeterministic-cost"
        known = run(replace(problem, settings={"noise": 1e-5}))
        assert known.verdict in ("ok", "inconclusive")


def at_kinks(form: str, settings: dict[str, Any]) -> Report:
    x = np.array([0.0, 0.7, -0.3])
    if form == "jacobian":
        return check_gradients.jacobian(np.abs, lambda x: np.diag(np.sign(x)), x, **settings)
    if form == "jvp":
        return check_gradients.jvp(np.abs, lambda x, d: np.sign(x) * d, x, **settings)
    return check_gradients.hessian(np.abs, lambda x: np.diag(np.sign(x)), x, **settings)


@pytest.mark.parametrize("name", FORMS)
def test_a_kink_fails_a_strict_check_alone(name: str) -> None:
    assert (at_kinks(name, {}).passed, at_kinks(name, {}).verdict) == (True, "kink")
    assert (at_kinks(name, {"strict": True}).passed) is False


def test_strict_fails_no_check_of_what_is_right(check: Check) -> None:
    assert check({"strict": True}).passed


def test_seeds_draw_points_of_their_own(check: Check, form: Form) -> None:
    report = check({"seeds": 3}, drawn)
    assert (report.passed, len(report.points)) == (True, 3)
    assert [p.name for p in report.points] == [f"random initialization {i}" for i in (1, 2, 3)]
    assert wrong(check({"seeds": 3}, drawn, w=1.5)) == {"w"}
    again = check({"seeds": 3, "seed": 5}, drawn, w=1.5)
    assert again.seed == 5
    assert again.components == check({"seeds": 3, "seed": 5}, drawn, w=1.5).components
    with pytest.raises(ProblemError, match="seeds=3 draws random initializations"):
        check({"seeds": 3}, given)


def test_inputs_of_a_pushforward_may_be_drawn_one_by_one() -> None:
    def scaled(x: Array, k: float) -> Array:
        return np.asarray(k * x**2)

    def tangent(x: Array, k: float, dx: Array, dk: float) -> Array:
        return np.asarray(2 * k * x * dx + dk * x**2)

    report = check_gradients.jvp(
        scaled, tangent, lambda rng: rng.normal(size=3), lambda rng: rng.uniform(1, 2), seeds=2
    )
    assert (report.passed, len(report.points)) == (True, 2)
    report = check_gradients.jvp(scaled, tangent, lambda rng: rng.normal(size=3), 2.0)
    assert report.points[0].name == "random initialization 1"


def test_data_reach_a_pushforward_and_its_pullback_by_name() -> None:
    def scaled(w: Array, k: float) -> Array:
        return np.asarray(k * w**2)

    def tangent(w: Array, dw: Array, k: float) -> Array:
        return np.asarray(2 * k * w * dw)

    w = np.array([0.5, 2.0])
    data = {"k": 3.0, "keep_prob": 0.5}
    assert check_gradients.jvp(scaled, tangent, w, data=data, vjp=tangent).passed
    report = check_gradients.jvp(scaled, tangent, w, data=data, vjp=lambda w, u: 2 * w * u)
    assert [finding.code for finding in report.findings] == ["adjoint"]
    assert any("keep_prob" in note for note in report.notes)
    assert not check_gradients.jvp(scaled, lambda w, d: 2 * w * d, w, data=data).passed


def test_a_matrix_in_place_takes_arrays_and_no_object_that_owns_them() -> None:
    class Net:
        def __init__(self) -> None:
            self.w = np.array([0.5, 2.0])

    net = Net()
    with pytest.raises(ProblemError, match="a Net that owns them") as caught:
        check_gradients.jacobian(lambda: net.w**2, lambda: np.diag(2 * net.w), net, inplace=True)
    assert caught.value.code == "unknown-params"


def test_data_reach_both_functions_by_name() -> None:
    def scaled(w: Array, k: float) -> Array:
        return np.asarray(k * w**2)

    def slopes(k: float, w: Array) -> Array:
        return np.asarray(np.diag(2 * k * w))

    w = np.array([0.5, 2.0])
    assert check_gradients.jacobian(scaled, slopes, w, data={"k": 3.0}).passed
    assert check_gradients.hessian(scaled, slopes, w, data={"k": 3.0}).passed


@pytest.mark.parametrize("name", ["w", "b"])
def test_a_transposed_array_of_a_structure_is_reported(name: str) -> None:
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
