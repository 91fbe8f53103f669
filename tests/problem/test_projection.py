"""Constrained parameters: differences along projected steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import ProblemError, check_gradients, gradcheck

Array = npt.NDArray[np.float64]

RNG = np.random.default_rng(31)
B = RNG.normal(size=(4, 4))
SPD = B @ B.T + 4 * np.eye(4)
WEIGHTS = RNG.dirichlet(np.ones(5))
TARGET = RNG.normal(size=5)
UNIT = TARGET / np.linalg.norm(TARGET)
M = RNG.normal(size=(5, 5))


def symmetric(d: Array) -> Array:
    return np.asarray((d + d.T) / 2)


def log_det(S: Array) -> float:
    assert np.allclose(S, S.T), "S is symmetric"
    np.linalg.cholesky(S)
    return float(np.linalg.slogdet(S)[1])


def log_det_grad(S: Array) -> Array:
    return np.asarray(np.linalg.inv(S))


def test_a_cost_of_symmetric_matrices_that_asserts_it_is_checked() -> None:
    report = gradcheck(log_det, log_det_grad, SPD, project=symmetric)
    assert report.verdict == "ok"
    assert report.parameters[0].checked == 16


def test_an_off_diagonal_counted_twice_is_recognized_by_its_place() -> None:
    """Textbooks give 2 M - diag(M) for a symmetric matrix, where M is due along the projection."""

    def doubled(S: Array) -> Array:
        return np.asarray(2 * log_det_grad(S) - np.diag(np.diag(log_det_grad(S))))

    report = check_gradients(log_det, doubled, SPD, project=symmetric)
    said = [f.message for f in report.findings if f.severity == "cause"]
    assert said[0].startswith(
        "the gradient off the diagonal is 2.000 x the numerical gradient along the projection: the"
    )


def test_a_factor_of_some_components_is_recognized_by_their_names() -> None:
    def wrong(w: Array) -> Array:
        return np.asarray((-np.log(w) - 1) * np.array([1.0, 1.0, 1.0, 1.0, 3.0]))

    report = check_gradients(entropy, wrong, WEIGHTS, project=lambda d: d - d.mean())
    assert not report.passed
    assert "column" not in str(report)


def test_components_keep_their_names() -> None:
    def wrong(S: Array) -> Array:
        g = np.array(np.linalg.inv(S))
        g[1, 2] *= 1.5
        return g

    def cost(p: dict[str, Array]) -> float:
        return log_det(p["S"])

    report = check_gradients(
        cost, lambda p: {"S": wrong(p["S"])}, {"S": SPD}, project={"S": symmetric}
    )
    assert {component.name for component in report.components} == {"S[1, 2]", "S[2, 1]"}
    assert {component.output for component in report.components} == {None}


def entropy(w: Array) -> float:
    assert abs(w.sum() - 1) < 1e-9
    assert np.all(w > 0)
    return float(-np.sum(w * np.log(w)))


def test_a_cost_on_the_simplex_is_checked() -> None:
    project = lambda d: d - d.mean()  # noqa: E731 - as users write it
    assert gradcheck(entropy, lambda w: -np.log(w) - 1, WEIGHTS, project=project).verdict == "ok"
    # A constant more in the gradient makes no difference on the simplex.
    assert gradcheck(entropy, lambda w: -np.log(w), WEIGHTS, project=project).verdict == "ok"
    assert not check_gradients(entropy, lambda w: -np.log(w) - w, WEIGHTS, project=project).passed


def test_a_cost_on_the_sphere_is_checked() -> None:
    def cost(x: Array) -> float:
        assert abs(np.linalg.norm(x) - 1) < 1e-6
        return float(x @ M @ x)

    def tangent(d: Array) -> Array:
        return np.asarray(d - UNIT * (UNIT @ d))

    right = lambda x: (M + M.T) @ x  # noqa: E731
    assert gradcheck(cost, right, UNIT, project=tangent).passed
    assert not check_gradients(cost, lambda x: 2 * M @ x, UNIT, project=tangent).passed


def test_a_skew_matrix_has_a_diagonal_that_is_not_moved() -> None:
    skew = B - B.T
    report = gradcheck(
        lambda R: float(np.sum(R * B)), lambda R: B, skew, project=lambda d: (d - d.T) / 2
    )
    assert report.verdict == "ok"
    assert report.parameters[0].checked == 12


def test_a_structure_is_projected_as_a_whole_or_by_names() -> None:
    params = {"S": SPD, "b": 0.5}

    def cost(p: dict[str, Any]) -> float:
        return float(log_det(p["S"]) * p["b"])

    def grad(p: dict[str, Any]) -> dict[str, Any]:
        return {"S": p["b"] * np.linalg.inv(p["S"]), "b": log_det(p["S"])}

    whole = lambda d: {"S": symmetric(d["S"]), "b": d["b"]}  # noqa: E731
    assert gradcheck(cost, grad, params, project=whole).verdict == "ok"
    assert gradcheck(cost, grad, params, project={"S": symmetric}).verdict == "ok"


def test_jacobians_and_joint_costs_are_projected_as_well() -> None:
    def fun(S: Array) -> Array:
        assert np.allclose(S, S.T)
        return np.asarray(S @ np.arange(1.0, 5))

    def jac(S: Array) -> Array:
        return np.asarray(np.einsum("ij,k->ijk", np.eye(4), np.arange(1.0, 5)))

    assert gradcheck.jacobian(fun, jac, SPD, project=symmetric).verdict == "ok"
    report = check_gradients.jacobian(fun, lambda S: 2 * jac(S), SPD, project=symmetric)
    assert not report.passed
    both = lambda S: (log_det(S), log_det_grad(S))  # noqa: E731
    assert gradcheck(both, True, SPD, project=symmetric).verdict == "ok"


@pytest.mark.parametrize(
    ("project", "said"),
    [
        (lambda d: np.tril(d) + np.tril(d, -1).T, "not symmetric"),
        (lambda d: d / 2, "project(project(d)) is not project(d)"),
        (lambda d: 0 * d, "allows no change at all"),
        (lambda d: d["S"], "raised"),
        (3, "not 3"),
        ({"T": symmetric}, "'T' is no parameter"),
    ],
)
def test_what_is_no_projection_is_refused_by_name(project: Any, said: str) -> None:
    with pytest.raises(ProblemError) as caught:
        gradcheck(log_det, log_det_grad, SPD, project=project)
    assert caught.value.code == "bad-setting"
    assert said in str(caught.value)


@pytest.mark.parametrize("settings", [{"mode": "probe"}, {"train": 2}, {"batched": True}])
def test_what_cannot_be_projected_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ProblemError) as caught:
        gradcheck(log_det, log_det_grad, SPD, project=symmetric, **settings)
    assert caught.value.code == "bad-setting"
