"""The rules by which other tools accept a gradient, for a cost and a gradient of one flat vector.

SciPy's and numdifftools' own functions are called; the rules of tools that take no NumPy pair are
written down here from their sources, at the defaults they have there. ``RULES`` maps the name of
each to a function ``accepts(cost, grad, x)``. Each rule's docstring names its source.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numdifftools
import numpy as np
import numpy.typing as npt
from scipy.optimize import check_grad
from scipy.optimize._numdiff import check_derivative

__all__ = ["RULES", "SLOW", "Array", "Flat", "accepts", "verdicts"]

Array = npt.NDArray[np.float64]

RNG_SEED = 0
"""torch's and JAX's directions are the same in every run; so are these."""


class Flat(NamedTuple):
    """A cost and its gradient as functions of one vector."""

    cost: Callable[[Array], float]
    grad: Callable[[Array], Array]
    x: Array


def two_sided(flat: Flat, step: float) -> Array:
    """Return the two-sided differences of a cost at a fixed step."""
    x = flat.x.copy()
    result = np.empty(x.size)
    for i in range(x.size):
        kept = x[i]
        x[i] = kept + step
        up = flat.cost(x)
        x[i] = kept - step
        result[i] = (up - flat.cost(x)) / (2 * step)
        x[i] = kept
    return result


def along(flat: Flat, direction: Array, step: float) -> float:
    """Return the two-sided difference of a cost along a direction."""
    up, down = flat.cost(flat.x + step * direction), flat.cost(flat.x - step * direction)
    return (up - down) / (2 * step)


def scipy_check_grad(flat: Flat) -> bool:
    """Accept where ``scipy.optimize.check_grad`` returns 1e-5 at most.

    It returns the norm of the difference to forward differences at a step of 1.5e-8, and leaves the
    verdict to the caller; 1e-5 is the bound in scikit-learn's tests (``manifold/tests``).
    """
    return bool(check_grad(flat.cost, flat.grad, flat.x) <= 1e-5)


def scipy_check_derivative(flat: Flat) -> bool:
    """Accept where ``scipy.optimize._numdiff.check_derivative`` returns 1e-6 at most.

    Its docstring: "If accuracy is on the order of 1e-6 or lower, then it is likely that your jac
    implementation is correct". Three-point differences; relative above 1, absolute below.
    """

    def value(x: Array) -> Array:
        return np.atleast_1d(flat.cost(x))

    def jacobian(x: Array) -> Array:
        return np.atleast_2d(flat.grad(x))

    return bool(check_derivative(value, jacobian, flat.x) <= 1e-6)


def course_norm(flat: Flat) -> bool:
    """Accept by the course's assignment: the figure for all of theta is 2e-7 at most.

    A. Ng, Improving Deep Neural Networks, "Gradient Checking": eps 1e-7, two-sided, the norm of the
    difference over the sum of the norms; above 2e-7 it prints "there is a mistake".
    """
    return course_figure(flat) <= 2e-7


def course_bug(flat: Flat) -> bool:
    """Accept by the course's lecture: the same figure is below 1e-3, "seriously worried"."""
    return course_figure(flat) < 1e-3


def course_figure(flat: Flat) -> float:
    """Return the course's figure for the whole of theta."""
    numerical, analytic = two_sided(flat, 1e-7), flat.grad(flat.x)
    size = float(np.linalg.norm(numerical) + np.linalg.norm(analytic))
    return float(np.linalg.norm(numerical - analytic)) / size if size else 0.0


def course_components(flat: Flat) -> bool:
    """Accept by the lecture's advice to look at components: none beyond 1e-5 at eps 1e-7."""
    return _largest_relative(two_sided(flat, 1e-7), flat.grad(flat.x)) <= 1e-5


def cs231n(flat: Flat) -> bool:
    """Accept by the notes of Stanford's cs231n: no component beyond 1e-4 at a step of 1e-5.

    "Neural Networks Part 3", Gradient checks: relative error above 1e-2 "usually means the gradient
    is probably wrong", below 1e-4 "usually okay for objectives with kinks"; ``grad_check_sparse``
    of its assignments: ``|a - n| / (|a| + |n|)``, h = 1e-5.
    """
    return _largest_relative(two_sided(flat, 1e-5), flat.grad(flat.x)) <= 1e-4


def _largest_relative(numerical: Array, analytic: Array) -> float:
    size = np.abs(numerical) + np.abs(analytic)
    off = np.abs(numerical - analytic)
    return float(np.max(np.divide(off, size, out=np.zeros_like(off), where=size != 0)))


def torch_slow(flat: Flat) -> bool:
    """Accept by ``torch.autograd.gradcheck``: allclose with atol 1e-5, rtol 1e-3, at eps 1e-6."""
    return bool(np.allclose(flat.grad(flat.x), two_sided(flat, 1e-6), rtol=1e-3, atol=1e-5))


def torch_fast(flat: Flat) -> bool:
    """Accept by ``torch.autograd.gradcheck(fast_mode=True)``: one direction, of one sign.

    ``_vec_from_tensor`` draws it from ``torch.rand`` and scales it to length 1; ``_adjusted_atol``
    multiplies the absolute tolerance by its sum.
    """
    u = np.random.default_rng(RNG_SEED).random(flat.x.size)
    u /= np.linalg.norm(u)
    analytic, numerical = float(flat.grad(flat.x) @ u), along(flat, u, 1e-6)
    return bool(np.isclose(analytic, numerical, rtol=1e-3, atol=1e-5 * u.sum()))


def jax(flat: Flat) -> bool:
    """Accept by ``jax.test_util.check_grads`` in reverse mode, order 1.

    One normal direction, the same in every run; step 1e-4 (``EPS``), atol and rtol 1e-5
    (``default_gradient_tolerance`` of float64), the upstream gradient normal as well.
    """
    rng = np.random.RandomState(RNG_SEED)
    tangent = rng.randn(flat.x.size)
    cotangent = rng.randn()
    expected = along(flat, tangent, 1e-4) * cotangent
    actual = float(flat.grad(flat.x) @ tangent) * cotangent
    return bool(np.isclose(actual, expected, rtol=1e-5, atol=1e-5))


def autograd(flat: Flat) -> bool:
    """Accept by ``autograd.test_util.check_grads`` in reverse mode, order 1.

    One normal direction, EPS / 2 = 5e-7 to either side; TOL and RTOL 1e-6. It draws from NumPy's
    global generator; here the direction is the same in every run.
    """
    rng = np.random.RandomState(RNG_SEED)
    direction, upstream = rng.randn(flat.x.size), rng.randn()
    exact = float(flat.grad(flat.x) @ direction) * upstream
    numeric = along(flat, direction, 5e-7) * upstream
    off = abs(exact - numeric)
    return bool(off < 1e-6 or off / abs(exact + numeric) < 1e-6)


def with_numdifftools(flat: Flat) -> bool:
    """Accept where ``numdifftools.Gradient`` agrees to a relative 1e-6 of the largest component.

    It takes about 30 calls a component, extrapolates, and gives an error estimate that users rarely
    ask for.
    """
    numerical = np.atleast_1d(numdifftools.Gradient(flat.cost)(flat.x))
    analytic = flat.grad(flat.x)
    size = float(np.max(np.abs(analytic)))
    return bool(np.allclose(analytic, numerical, rtol=1e-6, atol=1e-6 * size))


RULES: dict[str, Callable[[Flat], bool]] = {
    "scipy check_grad": scipy_check_grad,
    "scipy check_derivative": scipy_check_derivative,
    "course, norm 2e-7": course_norm,
    "course, norm 1e-3": course_bug,
    "course, components 1e-5": course_components,
    "cs231n, 1e-4": cs231n,
    "torch gradcheck": torch_slow,
    "torch gradcheck, fast": torch_fast,
    "jax check_grads": jax,
    "autograd check_grads": autograd,
    "numdifftools, 1e-6": with_numdifftools,
}

SLOW = ("numdifftools, 1e-6",)


def accepts(rule: str, flat: Flat) -> bool:
    """Return whether a rule accepts a pair; one that raises or meets NaN does not."""
    try:
        with np.errstate(all="ignore"):
            return RULES[rule](flat)
    except (ArithmeticError, ValueError, AssertionError, np.linalg.LinAlgError):
        return False


def verdicts(flat: Flat, slow: bool = True) -> dict[str, bool]:
    """Return what every rule says, by its name."""
    return {rule: accepts(rule, flat) for rule in RULES if slow or rule not in SLOW}
