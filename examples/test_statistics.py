"""Likelihoods as statistics packages write them: log-likelihood, score, and Hessian.

Newton's method and standard errors rest on the Hessian. Its score is checked against the
log-likelihood, and the Hessian against the score. A parameter that must be positive is optimized
as its logarithm; the chain rule of that is what is forgotten most.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import expit, gammaln, psi

from pytest_gradcheck import GradCheck, check_gradients

Array: TypeAlias = npt.NDArray[np.float64]

RNG = np.random.default_rng(6)
X = np.column_stack([np.ones(50), RNG.normal(size=(50, 2))])
yes = (RNG.random(50) < expit(X @ [0.3, -0.8, 0.5])).astype(float)
grade = RNG.integers(3, size=50)
lifetimes = RNG.gamma(2.0, 1.5, 50)


def logit_loglike(beta: Array) -> float:
    z = X @ beta
    return float(np.sum(yes * z - np.logaddexp(0.0, z)))


def logit_score(beta: Array) -> Array:
    return np.asarray(X.T @ (yes - expit(X @ beta)))


def logit_hessian(beta: Array) -> Array:
    p = expit(X @ beta)
    return np.asarray(-(X.T * (p * (1 - p))) @ X)


BETA = np.array([0.1, -0.4, 0.7])


def test_logit(gradcheck: GradCheck) -> None:
    gradcheck(logit_loglike, logit_score, BETA)
    gradcheck.hessian(logit_score, logit_hessian, BETA)


def test_the_lower_triangle_is_enough_for_cholesky(gradcheck: GradCheck) -> None:
    gradcheck.hessian(logit_score, lambda b: np.tril(logit_hessian(b)), BETA, lower=True)


def test_scores_by_observation(gradcheck: GradCheck) -> None:
    """Robust standard errors need the score of each observation: a Jacobian of many rows."""
    gradcheck.jacobian(
        lambda b: yes * (X @ b) - np.logaddexp(0.0, X @ b),
        lambda b: (yes - expit(X @ b))[:, None] * X,
        BETA,
    )


def cutpoints(params: Array) -> Array:
    """Return ordered cut points of their logarithmic distances, with infinities at the ends."""
    first, step = params[2], np.exp(params[3])
    return np.array([-np.inf, first, first + step, np.inf])


def ordinal_loglike(params: Array) -> float:
    """Return the log-likelihood of a proportional-odds model of three grades."""
    cuts, z = cutpoints(params), X[:, 1:] @ params[:2]
    return float(np.sum(np.log(expit(cuts[grade + 1] - z) - expit(cuts[grade] - z))))


def ordinal_score(params: Array) -> Array:
    cuts, z = cutpoints(params), X[:, 1:] @ params[:2]
    above, below = expit(cuts[grade + 1] - z), expit(cuts[grade] - z)
    upper, lower = above * (1 - above) / (above - below), below * (1 - below) / (above - below)
    by_cut = [np.sum(upper[grade == k - 1]) - np.sum(lower[grade == k]) for k in (1, 2)]
    return np.concatenate(
        [X[:, 1:].T @ (lower - upper), [by_cut[0] + by_cut[1], by_cut[1] * np.exp(params[3])]]
    )


def test_ordinal_model_with_a_log_scale_parameter(gradcheck: GradCheck) -> None:
    gradcheck(ordinal_loglike, ordinal_score, np.array([0.3, -0.2, -0.5, 0.1]))


def gamma_score(params: Array) -> Array:
    """Return the score of a gamma law by the logarithms of its shape and its rate."""
    shape, rate = np.exp(params)
    by_shape = np.sum(np.log(rate) - psi(shape) + np.log(lifetimes))
    return np.array([by_shape * shape, np.sum(shape / rate - lifetimes) * rate])


def gamma_loglike(params: Array) -> float:
    shape, rate = np.exp(params)
    each = shape * np.log(rate) - gammaln(shape) + (shape - 1) * np.log(lifetimes)
    return float(np.sum(each - rate * lifetimes))


AT = np.array([0.4, -0.3])


def test_gamma_with_log_scale_parameters(gradcheck: GradCheck) -> None:
    gradcheck(gamma_loglike, gamma_score, AT)


def test_a_chain_rule_that_is_forgotten_is_named() -> None:
    report = check_gradients(gamma_loglike, lambda p: gamma_score(p) / np.exp(p), AT)
    assert [finding.code for finding in report.findings] == ["transformed"]
