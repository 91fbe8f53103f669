"""Pairs from SciPy and NumPy: special functions, laws, polynomials, splines, test problems.

Every function and every derivative is the library's own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.polynomial import Chebyshev, Hermite, HermiteE, Laguerre, Legendre, Polynomial
from pairs import Array, Pair, Pairs, after, elementwise, item, points
from scipy import interpolate, optimize, special, stats

__all__ = ["pairs"]

mpmath: Any = import_module("mpmath")  # has no types


def tests(name: str) -> Any:
    """Return a module of SciPy's own tests, which it installs beside itself."""
    return import_module(f"scipy.optimize.tests.test_{name}")


def exactly(function: Callable[[Any], Any]) -> Callable[[float], float]:
    """Return the derivative of an mpmath function, in 30 digits."""

    def derivative(x: float) -> float:
        with mpmath.workdps(40):
            return float(mpmath.diff(function, mpmath.mpf(x)).real)

    return derivative


def pairs() -> Pairs:
    """Yield all pairs of this module."""
    yield from bessel()
    yield from other_special()
    yield from distributions()
    yield from polynomials()
    yield from splines()
    yield from test_problems()


def bessel() -> Pairs:
    """Yield Bessel, Airy and Kelvin functions."""
    x = points(0.5, 20)
    kinds: dict[str, tuple[Any, Any, Any]] = {
        "jv": (special.jv, special.jvp, mpmath.besselj),
        "yv": (special.yv, special.yvp, mpmath.bessely),
        "iv": (special.iv, special.ivp, mpmath.besseli),
        "kv": (special.kv, special.kvp, mpmath.besselk),
    }
    for name, (f, df, mp) in kinds.items():
        for order in (0, 1, 2.5):
            yield elementwise(
                f"special.{name}({order}, x)",
                after(f, order),
                after(df, order),
                x,
                exactly(after(mp, order)),
            )
    spherical = {
        "jn": special.spherical_jn,
        "yn": special.spherical_yn,
        "in": special.spherical_in,
        "kn": special.spherical_kn,
    }
    for name, g in spherical.items():
        yield elementwise(
            f"special.spherical_{name}(2, x)",
            after(g, 2),
            after(partial(g, derivative=True), 2),
            points(1, 12),
        )
    for i, name, airy in ((0, "Ai", mpmath.airyai), (2, "Bi", mpmath.airybi)):
        yield elementwise(
            f"special.airy: {name}",
            item(special.airy, i),
            item(special.airy, i + 1),
            points(-8, 3),
            exactly(airy),
        )
    for name in ("ber", "bei", "ker", "kei"):
        yield elementwise(
            f"special.{name}",
            getattr(special, name),
            getattr(special, f"{name}p"),
            points(0.5, 9),
            exactly(after(getattr(mpmath, name), 0)),
        )


def other_special() -> Pairs:
    """Yield gamma functions and those that return their own derivative beside their value."""
    x = points(0.1, 30)
    yield elementwise("special.gammaln", special.gammaln, special.psi, x, exactly(mpmath.loggamma))
    near = points(1e-6, 1e-3)
    yield elementwise(
        "special.gammaln near 0", special.gammaln, special.psi, near, exactly(mpmath.loggamma)
    )
    for n in (0, 1, 2, 3):
        yield elementwise(
            f"special.polygamma({n}, x)",
            after(special.polygamma, n),
            after(special.polygamma, n + 1),
            x,
            exactly(after(mpmath.psi, n)),
        )
    both: dict[str, tuple[Callable[[Any], Any], Array]] = {
        "mathieu_cem(2, 1.5, x)": (after(special.mathieu_cem, 2, 1.5), points(5, 80)),
        "mathieu_sem(3, 0.7, x)": (after(special.mathieu_sem, 3, 0.7), points(5, 80)),
        "mathieu_modcem1(2, 1.5, x)": (
            after(special.mathieu_modcem1, 2, 1.5),
            points(0.2, 1.5),
        ),
        "pbdv(1.5, x)": (after(special.pbdv, 1.5), points(-3, 4)),
        "pbvv(0.5, x)": (after(special.pbvv, 0.5), points(0.3, 3)),
        "pbwa(0.5, x)": (after(special.pbwa, 0.5), points(-3, 3)),
        "pro_ang1(1, 3, 2, x)": (after(special.pro_ang1, 1, 3, 2.0), points(-0.9, 0.9)),
        "obl_ang1(0, 2, 1, x)": (after(special.obl_ang1, 0, 2, 1.0), points(-0.9, 0.9)),
        "pro_rad1(0, 1, 2, x)": (after(special.pro_rad1, 0, 1, 2.0), points(1.2, 4)),
    }
    for name, (function, x) in both.items():
        # Mathieu functions take degrees and differentiate by radians.
        unit = np.pi / 180 if name.startswith(("mathieu_cem", "mathieu_sem")) else 1.0
        yield elementwise(
            f"special.{name}",
            item(function, 0),
            item(function, 1, unit),
            x,
        )


DISTRIBUTIONS: dict[str, tuple[Any, tuple[float, float]]] = {
    "norm": (stats.norm(), (-4, 4)),
    "t(3)": (stats.t(3), (-6, 6)),
    "gamma(2.3)": (stats.gamma(2.3), (0.05, 9)),
    "beta(2, 3.5)": (stats.beta(2, 3.5), (0.02, 0.98)),
    "chi2(4)": (stats.chi2(4), (0.1, 15)),
    "expon": (stats.expon(), (0.05, 6)),
    "logistic": (stats.logistic(), (-9, 9)),
    "lognorm(0.8)": (stats.lognorm(0.8), (0.05, 8)),
    "cauchy": (stats.cauchy(), (-20, 20)),
    "gumbel_r": (stats.gumbel_r(), (-2, 7)),
    "gumbel_l": (stats.gumbel_l(), (-7, 2)),
    "weibull_min(1.7)": (stats.weibull_min(1.7), (0.05, 3)),
    "f(4, 9)": (stats.f(4, 9), (0.05, 6)),
    "pareto(2.5)": (stats.pareto(2.5), (1.05, 8)),
    "rayleigh": (stats.rayleigh(), (0.05, 4)),
    "maxwell": (stats.maxwell(), (0.05, 5)),
    "levy": (stats.levy(), (0.1, 30)),
    "invgauss(0.6)": (stats.invgauss(0.6), (0.05, 3)),
    "genextreme(0.2)": (stats.genextreme(0.2), (-2, 4)),
    "powerlaw(1.8)": (stats.powerlaw(1.8), (0.02, 0.98)),
    "hypsecant": (stats.hypsecant(), (-6, 6)),
    "halfnorm": (stats.halfnorm(), (0.05, 4)),
    "nakagami(1.3)": (stats.nakagami(1.3), (0.05, 3)),
    "burr(3, 1.5)": (stats.burr(3, 1.5), (0.1, 5)),
    "kappa3(1.2)": (stats.kappa3(1.2), (0.05, 8)),
    "laplace": (stats.laplace(), (-5, 5)),
}


def negative(function: Callable[[Array], Any]) -> Callable[[Array], Any]:
    """Return a function with the other sign."""
    return lambda x: -function(x)


def distributions() -> Pairs:
    """Yield distribution functions with their densities."""
    for name, (law, (low, high)) in DISTRIBUTIONS.items():
        yield elementwise(f"stats.{name}: cdf", law.cdf, law.pdf, points(low, high))
    for name in ("norm", "gamma(2.3)", "expon", "weibull_min(1.7)"):
        law, (low, high) = DISTRIBUTIONS[name]
        x = points(high, 3 * high)  # the tail: 1e-5 and far below
        yield elementwise(f"stats.{name}: sf", law.sf, negative(law.pdf), x)


def polynomials() -> Pairs:
    """Yield orthogonal polynomials and series, differentiated by themselves."""
    families: dict[str, Any] = {
        "legendre(6)": special.legendre(6),
        "chebyt(7)": special.chebyt(7),
        "chebyu(5)": special.chebyu(5),
        "hermite(5)": special.hermite(5),
        "hermitenorm(4)": special.hermitenorm(4),
        "laguerre(5)": special.laguerre(5),
        "genlaguerre(4, 0.5)": special.genlaguerre(4, 0.5),
        "jacobi(4, 1, 2)": special.jacobi(4, 1, 2),
        "gegenbauer(5, 0.75)": special.gegenbauer(5, 0.75),
    }
    for name, polynomial in families.items():
        yield elementwise(f"special.{name}", polynomial, polynomial.deriv(), points(-0.95, 0.95))
    coefficients = points(-2, 2, 9)
    for kind in (Polynomial, Chebyshev, Legendre, Hermite, HermiteE, Laguerre):
        series = kind(coefficients)
        name = f"numpy.polynomial.{kind.__name__}"
        yield elementwise(name, series, series.deriv(), points(-1.5, 1.5))


def splines() -> Pairs:
    """Yield interpolants, differentiated by themselves."""
    x, y = points(0, 10, 12), points(-3, 3, 12)[np.random.default_rng(5).permutation(12)]
    at = points(float(x[1]), float(x[-2]))
    made: dict[str, Any] = {
        "CubicSpline": interpolate.CubicSpline(x, y),
        "PchipInterpolator": interpolate.PchipInterpolator(x, y),
        "Akima1DInterpolator": interpolate.Akima1DInterpolator(x, y),
        "make_interp_spline(k=5)": interpolate.make_interp_spline(x, y, k=5),
        "make_interp_spline(k=2)": interpolate.make_interp_spline(x, y, k=2),
        "UnivariateSpline": interpolate.UnivariateSpline(x, y, s=1.0),
        "InterpolatedUnivariateSpline": interpolate.InterpolatedUnivariateSpline(x, y),
    }
    for name, spline in made.items():
        yield elementwise(f"interpolate.{name}", spline, spline.derivative(), at)
    grid = points(0, 5, 8)
    surface: Any = interpolate.RectBivariateSpline(grid, grid, np.sin(np.outer(grid, grid)))
    yield elementwise(
        "interpolate.RectBivariateSpline",
        lambda x: surface.ev(x, 2.2),
        lambda x: surface.ev(x, 2.2, dx=1),
        points(float(grid[1]), float(grid[-2])),
    )


def array_of(function: Callable[[Array], Any]) -> Callable[[Array], Any]:
    """Return a function whose list is an array."""
    return lambda x: np.array(function(x))


def test_problems() -> Pairs:
    """Yield the functions that SciPy's own tests minimize."""
    for n, scale in ((2, 1.0), (10, 1.0), (100, 0.5), (5, 1e3), (5, 1e-4)):
        x = scale * np.random.default_rng(n).normal(size=n)
        yield Pair(f"optimize.rosen, n={n}, at {scale:g}", optimize.rosen, optimize.rosen_der, x)
    problems, toy = tests("optimize"), tests("tnc").TestTnc()
    basins, constrained = tests("_basinhopping"), tests("minimize_constrained")
    x = np.array([0.3, -1.2])
    yield Pair("himmelblau", problems.himmelblau, problems.himmelblau_grad, x)
    entropy = problems.CheckOptimize()
    entropy.setup_method()
    yield Pair("maximum entropy", entropy.func, entropy.grad, np.array([0.4, -0.2, 0.9]))
    for number, size in ((1, 2), (3, 2), (4, 2), (5, 2), (38, 4), (45, 5)):
        f, g = getattr(toy, f"f{number}"), getattr(toy, f"g{number}")
        at = np.random.default_rng(number).normal(size=size)
        yield Pair(f"Schittkowski {number}", f, array_of(g), at)
    for name, function in {"func2d": basins.func2d, "easyderiv": basins.func2d_easyderiv}.items():
        yield _joint(f"basinhopping {name}", function, np.array([0.7, -0.4]))
    search = tests("linesearch").TestLineSearch()
    search.setup_method()
    for name, f, g in search.scalar_funcs:
        yield elementwise(f"line search {name}", f, g, points(-1, 2, 5))
    for name, f, g in search.line_funcs:
        yield Pair(f"line search {name}", f, g, points(-1, 2, 20))
    for kind in ("Maratos", "HyperbolicIneq", "Rosenbrock", "IneqRosenbrock", "EqIneqRosenbrock"):
        problem = getattr(constrained, kind)()
        yield Pair(f"constrained {kind}", problem.fun, problem.grad, points(0.2, 1.7, 2))
    electrons = constrained.Elec(n_electrons=8)
    yield Pair("constrained Elec", electrons.fun, electrons.grad, np.array(electrons.x0))
    quadratic = tests("slsqp").TestSLSQP()
    yield Pair("SLSQP quadratic", quadratic.fun, quadratic.jac, np.array([-1.1, 0.8]))


def _joint(name: str, function: Callable[[Array], Any], x: Array) -> Pair:
    return Pair(name, lambda x: function(x)[0], lambda x: function(x)[1], x)
