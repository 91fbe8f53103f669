"""Pairs from scikit-learn: losses, linear models, networks, Gaussian processes, NCA, t-SNE, Huber.

Every function and every gradient is the library's own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from pairs import Array, Pair, Pairs, item, points
from sklearn._loss import loss as losses
from sklearn.datasets import make_classification
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor, kernels
from sklearn.linear_model._huber import _huber_loss_and_gradient
from sklearn.linear_model._linear_loss import LinearModelLoss
from sklearn.manifold._t_sne import _joint_probabilities, _kl_divergence
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.neural_network._base import DERIVATIVES

__all__ = ["pairs"]


def pairs() -> Pairs:
    """Yield all pairs of this module."""
    yield from raw_losses()
    yield from linear_models()
    yield from networks()
    yield from gaussian_processes()
    yield from others()


def joint(name: str, function: Callable[[Array], Any], x: Array, **more: Any) -> Pair:
    """Return the pair of a function that returns cost and gradient together."""
    return Pair(name, item(function, 0), item(function, 1), x, **more)


BASE: dict[str, Any] = {
    "HalfSquaredError": losses.HalfSquaredError(),
    "AbsoluteError": losses.AbsoluteError(),
    "PinballLoss(0.3)": losses.PinballLoss(quantile=0.3),
    "HuberLoss": losses.HuberLoss(delta=0.8),
    "HalfPoissonLoss": losses.HalfPoissonLoss(),
    "HalfGammaLoss": losses.HalfGammaLoss(),
    "HalfTweedieLoss(1.5)": losses.HalfTweedieLoss(power=1.5),
    "HalfTweedieLossIdentity(1.7)": losses.HalfTweedieLossIdentity(power=1.7),
    "HalfBinomialLoss": losses.HalfBinomialLoss(),
    "ExponentialLoss": losses.ExponentialLoss(),
    "HalfMultinomialLoss": losses.HalfMultinomialLoss(n_classes=3),
}


def targets(name: str, count: int) -> Array:
    """Return what a loss can be given as the truth."""
    rng = np.random.default_rng(count)
    if name.startswith(("HalfBinomial", "Exponential")):
        return rng.integers(2, size=count).astype(float)
    if name.startswith("HalfMultinomial"):
        return rng.integers(3, size=count).astype(float)
    if name.startswith(("HalfPoisson", "HalfGamma", "HalfTweedie")):
        return rng.gamma(2.0, 1.0, size=count)
    return rng.normal(size=count)


def raw_losses() -> Pairs:
    """Yield the losses of raw predictions."""
    for name, loss in BASE.items():
        columns = 3 if name.startswith("HalfMultinomial") else 1
        low = 0.3 if "Identity" in name else -2.0
        x = points(low, 2.0, 12 * columns)
        yield joint(f"sklearn {name}", summed(loss, targets(name, 12), columns), x)


def summed(loss: Any, y: Array, columns: int) -> Callable[[Array], Any]:
    """Return the sum of a loss over examples, and its gradient, by the raw predictions."""

    def both(raw: Array) -> Any:
        shaped = np.ascontiguousarray(raw.reshape(-1, columns) if columns > 1 else raw)
        return np.sum(loss.loss(y, shaped)), loss.gradient(y, shaped).ravel()

    return both


def linear_models() -> Pairs:
    """Yield the objectives of linear models, with and without a penalty and an intercept."""
    X = np.random.default_rng(3).normal(size=(40, 5))
    for name, base in BASE.items():
        if name.startswith(("AbsoluteError", "PinballLoss", "HuberLoss", "HalfTweedieLossId")):
            continue
        y = targets(name, 40)
        classes = 3 if name.startswith("HalfMultinomial") else 1
        for penalty, intercept in ((0.0, True), (0.7, True), (0.1, False)):
            model = LinearModelLoss(base_loss=base, fit_intercept=intercept)
            wide = 5 + intercept
            objective = partial(model.loss_gradient, X=X, y=y)
            faults = {"missing 1/m": item(partial(objective, l2_reg_strength=penalty), 1, 40.0)}
            if penalty:
                faults["missing penalty"] = item(objective, 1)
                faults["penalty twice"] = item(partial(objective, l2_reg_strength=2 * penalty), 1)
            yield joint(
                f"sklearn LinearModelLoss({name}), l2={penalty}, intercept={intercept}",
                partial(objective, l2_reg_strength=penalty),
                points(-0.6, 0.6, wide * classes),
                faults=faults,
                shape=(classes, wide) if classes > 1 else None,
            )


def networks() -> Pairs:
    """Yield multi-layer perceptrons; the last has thousands of parameters."""
    X, y = make_classification(60, 8, n_informative=5, n_classes=3, random_state=1)
    for activation in ("identity", "logistic", "tanh", "relu"):
        for alpha in (0.0, 0.5):
            yield _network(MLPClassifier, activation, alpha, (6, 5), X, y)
        yield _network(MLPRegressor, activation, 0.1, (7,), X, y.astype(float))
    yield _network(MLPRegressor, "tanh", 0.01, (6,), X, np.exp(y / 2), loss="poisson")
    X, y = make_classification(40, 30, n_informative=10, n_classes=4, random_state=2)
    yield _network(MLPClassifier, "tanh", 0.01, (60, 20), X, y)


def _network(
    kind: Any, activation: str, alpha: float, hidden: Any, X: Array, y: Any, **more: Any
) -> Pair:
    net = kind(
        hidden_layer_sizes=hidden,
        activation=activation,
        alpha=alpha,
        random_state=0,
        max_iter=1,
        **more,
    )
    net.partial_fit(X, y, **({"classes": np.unique(y)} if kind is MLPClassifier else {}))
    truth = net._label_binarizer.transform(y).astype(float) if kind is MLPClassifier else y
    truth = truth.reshape(len(X), -1)
    layers = [X.shape[1], *hidden, truth.shape[1]]
    parts = [*pairwise(layers)]
    net._coef_indptr, net._intercept_indptr = _places(parts)
    size = sum(rows * columns + columns for rows, columns in parts)

    def objective(x: Array) -> tuple[float, Array]:
        room = [[np.empty(0)] * len(parts) for _ in range(3)]
        activations = [X, *([np.empty(0)] * len(parts))]
        value, slope = net._loss_grad_lbfgs(x, X, truth, None, activations, *room)
        return value, slope

    def other(key: str, value: Any) -> Callable[[Array], Array]:
        def gradient(x: Array) -> Array:
            kept = getattr(net, key)
            setattr(net, key, value)
            try:
                return objective(x)[1]
            finally:
                setattr(net, key, kept)

        return gradient

    def wrong_derivative(x: Array) -> Array:
        kept = DERIVATIVES[activation]
        DERIVATIVES[activation] = DERIVATIVES["logistic" if activation != "logistic" else "tanh"]
        try:
            return objective(x)[1]
        finally:
            DERIVATIVES[activation] = kept

    faults = {
        "wrong activation derivative": wrong_derivative,
        "missing 1/m": lambda x: len(X) * objective(x)[1],
    }
    if alpha:
        faults["missing penalty"] = other("alpha", 0.0)
    name = f"sklearn {kind.__name__}({activation}, alpha={alpha}, {tuple(hidden)})"
    name += " poisson" if more else ""
    x = 0.5 * np.random.default_rng(7).normal(size=size)
    return joint(f"{name}, n={size}", objective, x, faults=faults, shape=parts[0])


def _places(parts: list[tuple[int, int]]) -> tuple[list[Any], list[Any]]:
    """Return where the weights and the intercepts of each layer stand in the vector."""
    coefs: list[Any] = []
    intercepts: list[Any] = []
    start = 0
    for rows, columns in parts:
        coefs.append((start, start + rows * columns, (rows, columns)))
        start += rows * columns
    for _, columns in parts:
        intercepts.append((start, start + columns))
        start += columns
    return coefs, intercepts


def gaussian_processes() -> Pairs:
    """Yield the log marginal likelihood of many kernels, by their hyperparameters."""
    rng = np.random.default_rng(11)
    X, noise = rng.uniform(-2, 2, (15, 2)), kernels.WhiteKernel(0.1)
    y = np.sin(X[:, 0]) + X[:, 1] ** 2 + 0.1 * rng.normal(size=15)
    made: dict[str, Any] = {
        "RBF": kernels.RBF(0.8),
        "ARD RBF": kernels.RBF([0.8, 1.7]),
        "Matern 0.5": kernels.Matern(0.9, nu=0.5),
        "Matern 1.5": kernels.Matern(0.9, nu=1.5),
        "Matern 2.5": kernels.Matern([0.9, 1.4], nu=2.5),
        "RationalQuadratic": kernels.RationalQuadratic(0.9, 1.3),
        "ExpSineSquared": kernels.ExpSineSquared(0.9, 2.5),
        "DotProduct": kernels.DotProduct(0.7),
        "Constant * RBF": kernels.ConstantKernel(1.5) * kernels.RBF(0.7),
        "RBF + DotProduct": kernels.RBF(0.7) + kernels.DotProduct(0.4),
        "RBF ** 2": kernels.RBF(0.7) ** 2,
    }
    for name, kernel in made.items():
        inputs = X[:, :1] if name == "ExpSineSquared" else X  # periodic in one dimension only
        process = GaussianProcessRegressor(kernel + noise, optimizer=None).fit(inputs, y)
        yield joint(
            f"sklearn GaussianProcessRegressor({name})",
            partial(process.log_marginal_likelihood, eval_gradient=True),
            np.array(process.kernel_.theta) + 0.05,
        )
    labels = (y > np.median(y)).astype(int)
    for name in ("RBF", "Matern 1.5", "Constant * RBF"):
        classifier = GaussianProcessClassifier(made[name], optimizer=None, max_iter_predict=1000)
        classifier.fit(X, labels)
        yield joint(
            f"sklearn GaussianProcessClassifier({name})",
            partial(classifier.log_marginal_likelihood, eval_gradient=True),
            np.array(made[name].theta) + 0.05,
        )


def others() -> Pairs:
    """Yield NCA, t-SNE and Huber's regression."""
    rng = np.random.default_rng(13)
    X, y = make_classification(25, 6, n_informative=4, random_state=4)
    analysis = NeighborhoodComponentsAnalysis()
    same = y[:, None] == y[None, :]

    def components(A: Array) -> Any:
        analysis.n_iter_ = 1
        return analysis._loss_grad_lbfgs(A, X, same)

    yield joint(
        "sklearn NeighborhoodComponentsAnalysis",
        components,
        0.5 * rng.normal(size=12),
        shape=(2, 6),
    )
    squares = np.square(X[:, None] - X[None]).sum(axis=2).astype(np.float32)
    P = _joint_probabilities(squares, 7.0, 0)
    for freedom in (1, 2):
        yield joint(
            f"sklearn t-SNE, {freedom} degrees of freedom",
            partial(_kl_divergence, P=P, degrees_of_freedom=freedom, n_samples=25, n_components=2),
            rng.normal(size=50),
            shape=(25, 2),
        )
    target = X @ rng.normal(size=6) + rng.standard_t(2, size=25)
    huber = partial(
        _huber_loss_and_gradient, X=X, y=target, epsilon=1.35, sample_weight=np.ones(25)
    )
    for alpha in (0.0, 0.5):
        yield joint(
            f"sklearn HuberRegressor, alpha={alpha}",
            partial(huber, alpha=alpha),
            np.append(rng.normal(size=7), 1.2),
            faults={"missing penalty": item(partial(huber, alpha=0.0), 1)} if alpha else {},
        )
