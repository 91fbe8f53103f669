"""Nonlinear least squares with SciPy: residuals, their Jacobian, bounds, and a sparse Jacobian.

``least_squares`` trusts the Jacobian that it is handed. A wrong one does not fail: the fit takes
more steps, or ends beside the minimum.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse
from scipy.optimize import least_squares

from pytest_gradcheck import GradCheck, check_gradients

Array: TypeAlias = npt.NDArray[np.float64]

RNG = np.random.default_rng(5)
t = np.linspace(0.0, 4.0, 30)
TRUE = np.array([2.5, 1.3, 0.5])
sigma = RNG.uniform(0.5, 2.0, t.size)
y = TRUE[0] * np.exp(-TRUE[1] * t) + TRUE[2] + 0.05 * sigma * RNG.normal(size=t.size)


def residuals(x: Array) -> Array:
    """Return the residuals of an exponential decay, each over its standard deviation."""
    return np.asarray((x[0] * np.exp(-x[1] * t) + x[2] - y) / sigma)


def jacobian(x: Array) -> Array:
    decay = np.exp(-x[1] * t)
    return np.stack([decay, -x[0] * t * decay, np.ones_like(t)], axis=1) / sigma[:, None]


def test_jacobian_at_the_start(gradcheck: GradCheck) -> None:
    gradcheck.jacobian(residuals, jacobian, np.array([1.0, 1.0, 0.0]))


def test_jacobian_at_the_fit(gradcheck: GradCheck) -> None:
    fit = least_squares(
        residuals, [1.0, 1.0, 0.0], jacobian, bounds=([0.0, 0.0, -1.0], [10.0, 5.0, 1.0])
    )
    assert np.allclose(fit.x, TRUE, atol=0.2)
    gradcheck.jacobian(residuals, jacobian, fit.x)


def test_weights_that_are_left_out_are_named() -> None:
    report = check_gradients.jacobian(residuals, lambda x: jacobian(x) * sigma[:, None], TRUE)
    assert [finding.code for finding in report.findings] == ["scale"]
    assert "times sigma, row by row" in report.findings[0].message


N = 2_000
"""Points of a bar, whose temperature is held at both ends and heated between."""


def balance(u: Array) -> Array:
    """Return what is left of the balance of heat at each point, conduction and radiation."""
    flow = 2 * u
    flow[1:] -= u[:-1]
    flow[:-1] -= u[1:]
    return np.asarray(flow + 1e-4 * (u**4 - 1.0) - 1e-3)


def balance_jacobian(u: Array) -> sparse.csr_array:
    beside = -np.ones(N - 1)
    bands: Any = [beside, 2 + 4e-4 * u**3, beside]
    return sparse.csr_array(sparse.diags_array(bands, offsets=[-1, 0, 1]))


def test_sparse_jacobian(gradcheck: GradCheck) -> None:
    """Three columns out of three move different outputs: some 30 calls, and not 4,000."""
    report = gradcheck.jacobian(balance, balance_jacobian, np.linspace(1.0, 2.0, N))
    assert report.evaluations < 60


@pytest.mark.parametrize("row", [0, 1_234])
def test_an_entry_that_the_sparse_matrix_lacks_is_named(row: int) -> None:
    def thinner(u: Array) -> sparse.csr_array:
        matrix = balance_jacobian(u).tolil()
        matrix[row, row + 1] = 0.0
        return sparse.csr_array(matrix)

    report = check_gradients.jacobian(balance, thinner, np.linspace(1.0, 2.0, N))
    assert [component.name for component in report.components] == [f"jac[{row}, {row + 1}]"]
