"""Jacobians and Hessians of others, and random ones, with faults as people make them.

``pressure_network_jacobian`` of SciPy's tests of ``root`` is not among the right ones: it is wrong
in its first rows, which are 0 (a stray ``* 0``). Nor is the Hessian of statsmodels'
``NegativeBinomial``: its last entry is not the derivative of its own score.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["FAULTS", "Array", "Fault", "Matrix", "Planted", "matrices"]

Array = npt.NDArray[np.float64]


class Matrix(NamedTuple):
    """A function of one vector and the matrix of its derivatives, as somebody else wrote them."""

    name: str
    fun: Callable[[Array], Any]
    jac: Callable[[Array], Any]
    x: Array
    symmetric: bool = False


class Planted(NamedTuple):
    """A wrong matrix, and what a report has to say of it."""

    matrix: Array
    codes: frozenset[str]
    said: str = ""


Fault = Callable[[Array, Array, np.random.Generator], "Planted | None"]


def scipys() -> Iterator[Matrix]:
    """Yield the matrices of SciPy's own functions and tests."""

    def tests(name: str) -> Any:
        return import_module(f"scipy.optimize.tests.test_{name}")

    rng = np.random.default_rng(0)
    squares = tests("least_squares")
    x = np.array([1.3, 0.7, 0.8, 1.9, 1.2])
    optimize = import_module("scipy.optimize")
    yield Matrix("rosen_hess", optimize.rosen_der, optimize.rosen_hess, x, True)
    yield Matrix("least_squares rosenbrock", squares.fun_rosenbrock, squares.jac_rosenbrock, x[:2])
    fit = squares.ExponentialFittingProblem(1, 0.1, 0.1, rng=0)
    yield Matrix("least_squares exponential", fit.fun, fit.jac, np.array([0.4, 0.3]))
    banded = squares.BroydenTridiagonal(40, "sparse")
    yield Matrix("least_squares broyden sparse", banded.fun, banded.jac, banded.x0)
    dense = squares.BroydenTridiagonal(15, "dense")
    yield Matrix("least_squares broyden dense", dense.fun, dense.jac, dense.x0)
    elec = tests("minimize_constrained").Elec(n_electrons=8)
    yield Matrix("Elec hessian", elec.grad, elec.hess, elec.x0, True)
    two = tests("differentiable_functions").ExVectorialFunction()
    yield Matrix("VectorFunction", two.fun, two.jac, np.array([1.0, 0.4]))
    ivp = import_module("scipy.integrate._ivp.tests.test_ivp")
    at = np.array([0.3, 0.2])
    yield Matrix(
        "solve_ivp rational",
        lambda y: ivp.fun_rational(5.0, y),
        lambda y: ivp.jac_rational(5.0, y),
        at,
    )
    himmel = tests("optimize")
    yield Matrix("himmelblau", himmel.himmelblau_grad, himmel.himmelblau_hess, 3 * at, True)
    A = rng.normal(size=(9, 4))
    special = import_module("scipy.special")
    yield Matrix(
        "special.softmax",
        special.softmax,
        lambda z: np.diag(special.softmax(z)) - np.outer(special.softmax(z), special.softmax(z)),
        rng.normal(size=6),
        True,
    )
    yield Matrix(
        "special.expit",
        lambda w: special.expit(A @ w),
        lambda w: (special.expit(A @ w) * special.expit(-A @ w))[:, None] * A,
        rng.normal(size=4),
    )


def statsmodelss() -> Iterator[Matrix]:
    """Yield scores with their Hessians, and log-likelihoods by observation with their scores."""
    sm: Any = import_module("statsmodels.api")
    dm: Any = import_module("statsmodels.discrete.discrete_model")

    rng = np.random.default_rng(1)
    X = np.column_stack([np.ones(40), rng.normal(size=(40, 2))])
    yes, counts = (rng.random(40) < 0.4).astype(float), rng.poisson(1.5, 40).astype(float)
    several, y = rng.integers(3, size=40), rng.normal(size=40)
    at = np.array([0.3, -0.2, 0.4])
    shaped = np.append(at, 0.5)
    models: dict[str, tuple[Any, Array]] = {
        "Logit": (dm.Logit(yes, X), at),
        "Probit": (dm.Probit(yes, X), at),
        "Poisson": (dm.Poisson(counts, X), at),
        "MNLogit": (dm.MNLogit(several, X), np.linspace(-0.5, 0.5, 6)),
        "NegativeBinomial": (dm.NegativeBinomial(counts, X), shaped),
        "NegativeBinomialP": (dm.NegativeBinomialP(counts, X), shaped),
        "GeneralizedPoisson": (dm.GeneralizedPoisson(counts, X), np.append(at, 0.1)),
    }
    for name, (model, x) in models.items():
        if name != "NegativeBinomial":
            yield Matrix(f"{name} hessian", model.score, model.hessian, x, True)
        if name != "MNLogit":  # its log-likelihoods by observation are a table of choices
            yield Matrix(f"{name} score_obs", model.loglikeobs, model.score_obs, x)
    families = sm.families
    for name, family, target in (
        ("Gaussian", families.Gaussian(), y),
        ("Gamma log", families.Gamma(families.links.Log()), counts + 0.5),
        ("Binomial cloglog", families.Binomial(families.links.CLogLog()), yes),
        ("InverseGaussian log", families.InverseGaussian(families.links.Log()), counts + 0.5),
        ("Poisson sqrt", families.Poisson(families.links.Sqrt()), counts),
    ):
        glm = sm.GLM(target, X, family=family)
        start = at if "sqrt" not in name else np.array([1.3, -0.1, 0.2])
        score, hessian = partial(glm.score, scale=1.0), partial(glm.hessian, scale=1.0)
        yield Matrix(f"GLM {name} hessian", score, partial(hessian, observed=True), start, True)
    survival = sm.PHReg(np.abs(y) + 0.1, X[:, 1:], status=yes)
    yield Matrix("PHReg hessian", survival.score, survival.hessian, at[1:], True)


def random_ones(count: int, seed: int = 0) -> Iterator[Matrix]:
    """Yield random functions of every size and scale, and their matrices."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        m, n = int(rng.integers(3, 14)), int(rng.integers(2, 9))
        A, B = rng.normal(size=(m, n)), rng.normal(size=(m, n))
        x = rng.normal(size=n) * 10.0 ** rng.uniform(-2, 2)
        u = x / np.linalg.norm(x) * n**0.5
        s = float(np.linalg.norm(x) / np.linalg.norm(u))
        sizes = 10.0 ** rng.uniform(-4, 4, m) if number % 3 == 0 else np.ones(m)
        yield _random(number, (A, B), x, s, sizes)


def _random(number: int, both: tuple[Array, Array], x: Array, s: float, w: Array) -> Matrix:
    """Return one of eight kinds of functions of ``x / s``, each row in its own size."""
    A, B = both
    name, scale = f"random {number}", w[:, None] / s
    thin = np.where(np.abs(B) > 0.8, A, 0.0)

    def z(x: Array, by: Array = A) -> Array:
        return np.asarray(by @ (x / s))

    def slopes(each: Array, by: Array = A) -> Array:
        return np.asarray(scale * each[:, None] * by)

    kinds: list[tuple[Callable[[Array], Array], Callable[[Array], Array]]] = [
        (lambda x: w * np.sin(z(x)), lambda x: slopes(np.cos(z(x)))),
        (lambda x: w * np.exp(z(x) / 3), lambda x: slopes(np.exp(z(x) / 3) / 3)),
        (
            lambda x: w * (z(x) ** 2 + z(x, B) ** 3),
            lambda x: slopes(2 * z(x)) + slopes(3 * z(x, B) ** 2, B),
        ),
        (lambda x: w * np.maximum(z(x), 0.1 * z(x)), lambda x: slopes(np.where(z(x) > 0, 1, 0.1))),
        (lambda x: w * np.tanh(z(x, thin)), lambda x: slopes(np.cosh(z(x, thin)) ** -2, thin)),
        (
            lambda x: A.T @ np.sin(z(x)) / s,
            lambda x: A.T @ (np.cos(z(x))[:, None] * A) / s**2,
        ),
        (lambda x: w * np.log1p(np.exp(z(x))), lambda x: slopes(1 / (1 + np.exp(-z(x))))),
        (lambda x: w * (np.cos(z(x)) + 1e3), lambda x: slopes(-np.sin(z(x)))),
    ]
    fun, jac = kinds[number % len(kinds)]
    return Matrix(name, fun, jac, x, number % len(kinds) == 5)


def matrices(random: int = 31) -> list[Matrix]:
    """Return them all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [*scipys(), *statsmodelss(), *random_ones(random)]


def sign(J: Array, x: Array, rng: np.random.Generator) -> Planted:
    """Turn the sign round."""
    return Planted(-J, frozenset({"sign"}))


def factor(J: Array, x: Array, rng: np.random.Generator) -> Planted:
    """Leave a 2 out, or a mean over the outputs."""
    return Planted(J * [0.5, 2.0, 1 / len(J)][rng.integers(3)], frozenset({"scale"}))


def transposed(J: Array, x: Array, rng: np.random.Generator) -> Planted:
    """Exchange rows and columns of a square one, or fill it in the other order."""
    return Planted(J.T.reshape(J.shape), frozenset({"transposed"}))


def row(J: Array, x: Array, rng: np.random.Generator) -> Planted:
    """Let a row be wrong: its sign, a factor, or anything."""
    wrong, i = J.copy(), int(rng.integers(len(J)))
    kind = rng.integers(3)
    wrong[i] *= [-1.0, 1.7, 1.0][kind]
    wrong[i] += [0, 0, 1][kind] * rng.normal(size=J.shape[1]) * np.abs(J[i]).max()
    return Planted(wrong, frozenset({["sign", "scale", "partial"][kind]}), f"row {i}")


def column(J: Array, x: Array, rng: np.random.Generator) -> Planted:
    """Let a column be wrong: its sign, a factor, or anything."""
    wrong, j = J.copy(), int(rng.integers(J.shape[1]))
    kind = rng.integers(3)
    wrong[:, j] *= [-1.0, 1.7, 1.0][kind]
    wrong[:, j] += [0, 0, 1][kind] * rng.normal(size=len(J)) * np.abs(J).max(axis=1)
    return Planted(wrong, frozenset({["sign", "scale", "partial"][kind]}), f"column {j}")


def entry(J: Array, x: Array, rng: np.random.Generator) -> Planted | None:
    """Let one entry be wrong."""
    places = np.argwhere(np.abs(J) > 0.1 * np.abs(J).max(axis=1, keepdims=True))
    wrong, (i, j) = J.copy(), places[rng.integers(len(places))]
    wrong[i, j] *= [1.01, 1.5, 0.0, -1.0][rng.integers(4)]
    return Planted(wrong, frozenset({"partial", "asymmetric", "sign", "scale", "zero"}), "")


def exchanged(J: Array, x: Array, rng: np.random.Generator) -> Planted:
    """Exchange two rows."""
    i, k = sorted(rng.choice(len(J), 2, replace=False).tolist())
    wrong = J.copy()
    wrong[[i, k]] = J[[k, i]]
    return Planted(wrong, frozenset({"swapped", "shifted", "transposed"}))


def weight(J: Array, x: Array, rng: np.random.Generator) -> Planted:
    """Leave the weights of the residuals out, or square them."""
    w = rng.uniform(0.5, 2.0, len(J))
    return Planted(J * w[:, None], frozenset({"scale"}))


def block(J: Array, x: Array, rng: np.random.Generator) -> Planted | None:
    """Turn the sign of a block round."""
    if min(J.shape) < 3:
        return None
    wrong = J.copy()
    wrong[: len(J) // 2, : J.shape[1] // 2] *= -1
    return Planted(wrong, frozenset({"partial", "sign", "asymmetric"}))


def chain(J: Array, x: Array, rng: np.random.Generator) -> Planted:
    """Leave the chain rule of a logarithm out, or take it twice."""
    return Planted(J * x, frozenset({"transformed", "scale"}))


def off_diagonal(J: Array, x: Array, rng: np.random.Generator) -> Planted | None:
    """Count the pairs of a Hessian twice."""
    if J.shape[0] != J.shape[1] or not np.allclose(J, J.T):
        return None
    return Planted(2 * J - np.diag(np.diag(J)), frozenset({"scale", "symmetrized"}))


FAULTS: tuple[Fault, ...] = (
    sign,
    factor,
    transposed,
    row,
    column,
    entry,
    exchanged,
    weight,
    block,
    chain,
    off_diagonal,
)
"""Each returns a wrong matrix, or None where the fault cannot be made."""
