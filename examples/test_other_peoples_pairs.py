"""Pairs that nobody here wrote: SciPy's, scikit-learn's and statsmodels' own.

They show how functions are handed over as they are, and they keep the check honest: right
gradients of others must pass, and the same gradients with one small fault must fail at the very
component that has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import rosen, rosen_der
from sklearn._loss import HalfBinomialLoss, HalfMultinomialLoss
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model._linear_loss import LinearModelLoss
from statsmodels.discrete.discrete_model import Logit, NegativeBinomial, Poisson

from pytest_gradcheck import GradCheck, GradientError

Array: TypeAlias = npt.NDArray[np.float64]

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3))
COUNTS = rng.poisson(np.exp(0.3 * X[:, 0] + 0.2)).astype(float)
BINARY = (X @ [1.0, -2.0, 0.5] + rng.logistic(size=40) > 0).astype(float)
CLASSES = rng.integers(0, 3, size=40).astype(float)


# SciPy: a cost and its gradient, both of a flat vector.


def test_rosenbrock_function_of_scipy(gradcheck: GradCheck) -> None:
    gradcheck(rosen, rosen_der, np.array([1.3, 0.7, 0.8, 1.9, 1.2]))


# scikit-learn: one function that returns both. True stands for the gradient.


def test_logistic_loss_of_scikit_learn(gradcheck: GradCheck) -> None:
    loss = LinearModelLoss(base_loss=HalfBinomialLoss(), fit_intercept=True)
    data = {"X": X, "y": BINARY, "l2_reg_strength": 0.3}
    gradcheck(loss.loss_gradient, True, rng.normal(size=4), data=data)


def test_multinomial_loss_of_scikit_learn(gradcheck: GradCheck) -> None:
    loss = LinearModelLoss(base_loss=HalfMultinomialLoss(n_classes=3), fit_intercept=True)
    # Its coefficients are a matrix in Fortran order, one column for each feature.
    coef = np.asfortranarray(rng.normal(size=(3, 4)))
    gradcheck(loss.loss_gradient, True, coef, data={"X": X, "y": CLASSES})


def gaussian_process() -> GaussianProcessRegressor:
    """Fit nothing: the check is of the likelihood at any hyperparameters."""
    kernel = RBF(length_scale=[1.0, 2.0, 0.5]) + WhiteKernel(0.1)
    return GaussianProcessRegressor(kernel, optimizer=None).fit(X, np.sin(X[:, 0]))


def test_marginal_likelihood_of_a_gaussian_process(gradcheck: GradCheck) -> None:
    model = gaussian_process()
    theta = model.kernel_.theta  # logarithms of the hyperparameters
    gradcheck(model.log_marginal_likelihood, True, theta, data={"eval_gradient": True})


# statsmodels: methods of a model, log-likelihood and score.


@pytest.mark.parametrize(
    ("model", "params"),
    [
        (Logit(BINARY, X), [0.5, -1.0, 0.2]),
        (Poisson(COUNTS, X), [0.2, 0.1, -0.1]),
        (NegativeBinomial(COUNTS, X), [0.2, 0.1, -0.1, 0.5]),
    ],
    ids=["logit", "poisson", "negative binomial"],
)
def test_score_of_statsmodels(gradcheck: GradCheck, model: Any, params: list[float]) -> None:
    gradcheck(model.loglike, model.score, np.array(params))


# The same pairs with one fault each, of one component in a hundred.


def off_by_one_percent(gradient: Callable[..., Any], number: int) -> Callable[..., Array]:
    """Return a gradient of which one component is a hundredth too large."""

    def faulty(theta: Array) -> Array:
        result = np.array(gradient(theta))
        result[number] *= 1.01
        return result

    return faulty


@pytest.mark.parametrize(
    ("cost", "grad", "theta"),
    [
        (rosen, rosen_der, [1.3, 0.7, 0.8, 1.9, 1.2]),
        (Logit(BINARY, X).loglike, Logit(BINARY, X).score, [0.5, -1.0, 0.2]),
        (Poisson(COUNTS, X).loglike, Poisson(COUNTS, X).score, [0.2, 0.1, -0.1]),
        (
            lambda theta: gaussian_process().log_marginal_likelihood(theta),
            lambda theta: gaussian_process().log_marginal_likelihood(theta, True)[1],
            [0.0, 0.7, -0.7, -2.3],
        ),
    ],
    ids=["rosenbrock", "logit", "poisson", "gaussian process"],
)
@pytest.mark.parametrize("number", [0, 2])
def test_one_percent_in_one_component_is_found_and_named(
    gradcheck: GradCheck,
    cost: Callable[..., Any],
    grad: Callable[..., Any],
    theta: list[float],
    number: int,
) -> None:
    with pytest.raises(GradientError) as failure:
        gradcheck(cost, off_by_one_percent(grad, number), np.array(theta))
    (worst,) = failure.value.report.components
    assert worst.name == f"theta[{number}]"


def test_a_penalty_on_the_intercept_is_found_there_and_nowhere_else(gradcheck: GradCheck) -> None:
    """Add lambda times the coefficients to the gradient, and forget that the intercept is free."""
    loss = LinearModelLoss(base_loss=HalfBinomialLoss(), fit_intercept=True)

    def faulty(coef: Array) -> tuple[float, Array]:
        value, gradient = loss.loss_gradient(coef, X, BINARY)
        return value + 0.15 * float(coef[:-1] @ coef[:-1]), gradient + 0.3 * coef

    with pytest.raises(GradientError) as failure:
        gradcheck(faulty, True, np.array([0.3, -0.2, 0.4, 0.5]))
    assert [c.name for c in failure.value.report.components] == ["theta[3]"]
