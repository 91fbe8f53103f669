"""Causes that a Jacobian, a Hessian or a pushforward tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse

from pytest_gradcheck import Report, check_gradients

Array = npt.NDArray[np.float64]
Edit = Callable[[Array], None]

RNG = np.random.default_rng(21)
A = RNG.normal(size=(8, 5))
S = RNG.normal(size=(5, 5))
X = 0.5 * RNG.normal(size=5) + 1.0
weights = RNG.uniform(0.5, 2.0, 8)
ROW, COLUMN, BLOCK = RNG.normal(size=5), RNG.normal(size=8), RNG.normal(size=(3, 2))


def residuals(x: Array) -> Array:
    return np.asarray(weights * np.tanh(A @ x))


def jac(x: Array) -> Array:
    return np.asarray((weights / np.cosh(A @ x) ** 2)[:, None] * A)


def told(report: Report) -> list[str]:
    assert not report.passed
    return [finding.code for finding in report.findings if finding.severity == "cause"]


def edited(edit: Edit) -> Report:
    def wrong(x: Array) -> Array:
        matrix = jac(x)
        edit(matrix)
        return matrix

    return check_gradients.jacobian(residuals, wrong, X)


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        (lambda J: -J, "sign", "jac is -1.000 x the numerical Jacobian"),
        (lambda J: 2 * J, "scale", "jac is 2.000 x"),
        (lambda J: J / 8, "scale", "1/8"),
        (lambda J: 0 * J, "zero", "0 throughout"),
        (lambda J: J.T.reshape(8, 5), "transposed", "order='F'"),
        (lambda J: J / weights[:, None], "scale", "weights is left out"),
        (lambda J: J * weights[:, None], "scale", "weights stands there twice, or squared"),
        (lambda J: J / np.sqrt(weights)[:, None], "scale", "the root of weights is left out"),
        (lambda J: J / 2, "scale", "0.500 x"),
        (lambda J: np.roll(J, 1, axis=0), "shifted", "rows 0-7 in another order"),
        (lambda J: J[:, [1, 0, 2, 3, 4]], "swapped", "columns 0 and 1 in another order"),
        (lambda J: J * np.linspace(1.5, 4.3, 8)[:, None], "scale", "a factor for each row"),
        (lambda J: J * np.exp(-X), "transformed", "times exp(-theta)"),
    ],
)
def test_a_fault_of_the_whole_matrix_is_named(
    wrong: Callable[[Array], Array], code: str, words: str
) -> None:
    report = check_gradients.jacobian(residuals, lambda x: wrong(jac(x)), X)
    assert told(report) == [code]
    assert words in report.findings[0].message


def place(*index: Any, value: Any = 1.0, factor: Any = 1.0, plus: Any = 0.0) -> Edit:
    def edit(matrix: Array) -> None:
        matrix[index] = factor * matrix[index] * value + plus

    return edit


@pytest.mark.parametrize(
    ("edit", "code", "words"),
    [
        (place(3, factor=-1), "sign", "row 3 (out[3]) is -1.000 x"),
        (place([1, 5], factor=1.7), "scale", "rows 1, 5 is 1.700 x"),
        (place(3, plus=ROW), "partial", "wrong in row 3 (out[3])"),
        (place(slice(None), 2, factor=-1), "sign", "column 2 (theta[2]) is -1.000 x"),
        (place(slice(None), 2, plus=COLUMN), "partial", "wrong in column 2 (theta[2])"),
        (place(slice(2, 5), slice(1, 3), factor=-1), "partial", "rows 2-4 of columns 1-2: -1.000"),
        (place(slice(2, 5), slice(1, 3), plus=BLOCK), "partial", "rows 2-4 of columns 1-2"),
        (place(2, 3, factor=1.5), "partial", "only in the derivative of out[2] by theta[3]"),
        (place([4, 1], slice(None), value=0, plus=jac(X)[[1, 4]]), "swapped", "rows 1 and 4"),
    ],
)
def test_a_fault_of_some_rows_columns_or_entries_is_named(
    edit: Edit, code: str, words: str
) -> None:
    report = edited(edit)
    assert told(report) == [code]
    assert words in report.findings[0].message


def test_a_sign_of_a_skew_block_is_no_other_order_of_its_entries() -> None:
    skew = np.cross(np.eye(3), RNG.normal(size=3))
    block = np.hstack([skew, RNG.normal(size=(3, 3))])

    def wrong(x: Array) -> Array:
        return np.asarray(block * np.repeat([-1.0, 1.0], 3))

    report = check_gradients.jacobian(lambda x: block @ x, wrong, RNG.normal(size=6))
    assert "shifted" not in told(report)
    assert "-1.000 x" in report.findings[0].message


def test_a_square_matrix_that_is_transposed_is_reported_though_its_shape_fits() -> None:
    report = check_gradients.jacobian(
        lambda x: np.sin(S @ x), lambda x: (np.cos(S @ x)[:, None] * S).T, X
    )
    assert told(report) == ["transposed"]


def test_the_chain_rule_of_one_logarithm_among_parameters_is_named() -> None:
    def natural(t: Array) -> Array:
        return np.concatenate([t[:3], [np.exp(t[3])], t[4:]])

    report = check_gradients.jacobian(lambda t: residuals(natural(t)), lambda t: jac(natural(t)), X)
    assert told(report) == ["transformed"]
    assert "column 3 (theta[3])" in report.findings[0].message


def tree(p: dict[str, Any]) -> Array:
    return residuals(np.concatenate([p["a"], p["b"]]))


def tree_jac(p: dict[str, Any], a: float, b: float) -> dict[str, Array]:
    J = jac(np.concatenate([p["a"], p["b"]]))
    return {"a": a * J[:, :3], "b": b * J[:, 3:]}


def test_the_columns_of_a_parameter_are_recognized_by_its_name() -> None:
    at = {"a": X[:3], "b": X[3:]}
    report = check_gradients.jacobian(tree, lambda p: tree_jac(p, 1, -1), at)
    assert told(report) == ["sign"]
    assert (report.findings[0].parameter, "columns of b" in report.findings[0].message) == (
        "b",
        True,
    )
    both = check_gradients.jacobian(tree, lambda p: tree_jac(p, 2, -1), at)
    assert {(f.code, f.parameter) for f in both.findings} == {("scale", "a"), ("sign", "b")}


def grad(x: Array) -> Array:
    return np.asarray(A.T @ (A @ x) ** 3)


def hess(x: Array) -> Array:
    return np.asarray(3 * (A.T * (A @ x) ** 2) @ A)


DIAGONAL = np.eye(5, dtype=bool)


@pytest.mark.parametrize(
    ("wrong", "codes", "words"),
    [
        (lambda H: -H, ["sign"], "hess is -1.000 x the numerical Hessian"),
        (lambda H: np.where(DIAGONAL, H, 2 * H), ["scale"], "off the diagonal 2.000 x"),
        (lambda H: np.where(DIAGONAL, H, H / 2), ["scale"], "counted once"),
        (lambda H: np.where(DIAGONAL, H / 2, H), ["scale"], "on the diagonal 0.500 x"),
        (np.tril, ["zero", "asymmetric"], "say lower=True"),
        (lambda H: np.where(np.arange(25).reshape(5, 5) == 8, 2 * H, H), ["asymmetric"], "[1, 3]"),
    ],
)
def test_a_fault_of_a_hessian_is_named(
    wrong: Callable[[Array], Array], codes: list[str], words: str
) -> None:
    report = check_gradients.hessian(grad, lambda x: wrong(hess(x)), X)
    assert told(report) == codes
    assert words in report.findings[0].message


def test_a_gauss_newton_matrix_in_the_place_of_a_hessian_is_reported() -> None:
    def J(x: Array) -> Array:
        return np.asarray(A * np.exp(A @ x)[:, None])

    def far(x: Array) -> Array:
        return np.asarray(np.exp(A @ x) - 3.0)

    at = 0.3 * X

    def second(x: Array) -> Array:
        return np.asarray((A.T * (far(x) * np.exp(A @ x))) @ A)

    assert check_gradients.hessian(
        lambda x: J(x).T @ far(x), lambda x: J(x).T @ J(x) + second(x), at
    ).passed
    report = check_gradients.hessian(lambda x: J(x).T @ far(x), lambda x: J(x).T @ J(x), at)
    assert told(report) == ["gauss-newton"]


def test_causes_of_a_pushforward_are_reported_for_it() -> None:
    report = check_gradients.jvp(residuals, lambda x, dx: -jac(x) @ dx, X)
    assert told(report) == ["sign"]
    assert report.findings[0].message.startswith("the pushforward is -1.000 x")


def test_causes_of_a_sparse_matrix_are_reported_for_its_stored_entries() -> None:
    def banded(x: Array) -> Array:
        y = x**2
        y[1:] += np.sin(x[:-1])
        return y

    def banded_jac(x: Array) -> Any:
        return sparse.diags_array([np.cos(x[:-1]), 2 * x], offsets=[-1, 0], format="csc")

    at = np.linspace(0.5, 2.0, 60)
    report = check_gradients.jacobian(banded, lambda x: 2 * banded_jac(x), at)
    assert told(report) == ["scale"]
    assert check_gradients.jacobian(banded, banded_jac, at).passed


@pytest.mark.parametrize("seed", range(20))
def test_random_errors_have_no_cause_but_their_places(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(size=(8, 5))
    report = check_gradients.jacobian(residuals, lambda x: jac(x) * (1 + 0.1 * noise), X)
    assert told(report) == []
