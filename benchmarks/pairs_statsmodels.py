"""Pairs from statsmodels: log-likelihoods with their scores, norms, links, variances, penalties.

Every function and every derivative is the library's own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import statsmodels.api as sm
from pairs import Array, Pair, Pairs, elementwise, points
from statsmodels.base import _penalties as penalties
from statsmodels.discrete import conditional_models, count_model, discrete_model, truncated_model
from statsmodels.distributions.copula import transforms
from statsmodels.genmod.bayes_mixed_glm import BinomialBayesMixedGLM, PoissonBayesMixedGLM
from statsmodels.genmod.families import links, varfuncs
from statsmodels.othermod.betareg import BetaModel
from statsmodels.robust import norms

__all__ = ["pairs"]

COUNT = 60


def pairs() -> Pairs:
    """Yield all pairs of this module."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from discrete()
        yield from generalized()
        yield from survival_and_groups()
        yield from norms_and_penalties()
        yield from links_and_variances()
        yield from generators()


def design(seed: int = 0) -> Array:
    """Return a design matrix with a constant."""
    X = np.random.default_rng(seed).normal(size=(COUNT, 2))
    return np.column_stack([np.ones(COUNT), X])


def likelihood(name: str, model: Any, x: Array) -> Pair:
    """Return the pair of a model's log-likelihood and score."""
    rows = {"missing 1/m": lambda x: model.score(x) / COUNT}
    return Pair(f"statsmodels {name}", model.loglike, model.score, x, faults=rows)


def discrete() -> Pairs:
    """Yield models of discrete outcomes."""
    rng = np.random.default_rng(1)
    X = design()
    yes = (rng.random(COUNT) < 0.4).astype(float)
    counts = rng.poisson(1.5, COUNT).astype(float)
    several = rng.integers(3, size=COUNT)
    at, shaped = np.array([0.3, -0.2, 0.4]), np.array([0.3, -0.2, 0.4, 0.5])
    yield likelihood("Logit", discrete_model.Logit(yes, X), at)
    yield likelihood("Probit", discrete_model.Probit(yes, X), at)
    yield likelihood("Poisson", discrete_model.Poisson(counts, X), at)
    yield likelihood("MNLogit", discrete_model.MNLogit(several, X), points(-0.5, 0.5, 6))
    for kind in ("nb1", "nb2"):
        model = discrete_model.NegativeBinomial(counts, X, loglike_method=kind)
        yield likelihood(f"NegativeBinomial {kind}", model, shaped)
    model = discrete_model.NegativeBinomial(counts, X, loglike_method="geometric")
    yield likelihood("NegativeBinomial geometric", model, at)
    for p in (1, 2):
        model = discrete_model.NegativeBinomialP(counts, X, p=p)
        yield likelihood(f"NegativeBinomialP({p})", model, shaped)
        model = discrete_model.GeneralizedPoisson(counts, X, p=p)
        yield likelihood(f"GeneralizedPoisson({p})", model, np.array([0.3, -0.2, 0.2, 0.1]))
    counts = counts * (rng.random(COUNT) < 0.7)
    inflated = count_model.ZeroInflatedPoisson(counts, X)
    yield likelihood("ZeroInflatedPoisson", inflated, np.array([-0.4, 0.3, -0.2, 0.4]))
    for name in ("ZeroInflatedGeneralizedPoisson", "ZeroInflatedNegativeBinomialP"):
        model = getattr(count_model, name)(counts, X)
        yield likelihood(name, model, np.array([-0.4, 0.3, -0.2, 0.2, 0.15]))
    positive = counts + 1
    yield likelihood("TruncatedLFPoisson", truncated_model.TruncatedLFPoisson(positive, X), at)
    model = truncated_model.TruncatedLFNegativeBinomialP(positive, X)
    yield likelihood("TruncatedLFNegativeBinomialP", model, shaped)


FAMILIES: dict[str, tuple[Any, str]] = {
    "Gaussian": (sm.families.Gaussian(), "real"),
    "Gaussian log": (sm.families.Gaussian(links.Log()), "positive"),
    "Poisson": (sm.families.Poisson(), "count"),
    "Poisson sqrt": (sm.families.Poisson(links.Sqrt()), "count"),
    "Binomial": (sm.families.Binomial(), "binary"),
    "Binomial probit": (sm.families.Binomial(links.Probit()), "binary"),
    "Binomial cloglog": (sm.families.Binomial(links.CLogLog()), "binary"),
    "Binomial loglog": (sm.families.Binomial(links.LogLog()), "binary"),
    "Binomial cauchy": (sm.families.Binomial(links.Cauchy()), "binary"),
    "Gamma log": (sm.families.Gamma(links.Log()), "positive"),
    "Gamma inverse": (sm.families.Gamma(links.InversePower()), "positive"),
    "InverseGaussian log": (sm.families.InverseGaussian(links.Log()), "positive"),
    "NegativeBinomial": (sm.families.NegativeBinomial(alpha=0.7), "count"),
}


def generalized() -> Pairs:
    """Yield generalized linear models, linear regression and beta regression."""
    rng = np.random.default_rng(2)
    X = design(1)
    outcomes = {
        "real": rng.normal(size=COUNT),
        "positive": rng.gamma(2.0, 0.7, COUNT),
        "count": rng.poisson(2.0, COUNT).astype(float),
        "binary": (rng.random(COUNT) < 0.5).astype(float),
    }
    for name, (family, outcome) in FAMILIES.items():
        model = sm.GLM(outcomes[outcome], X, family=family)
        inside = name in ("Gamma inverse", "Poisson sqrt")
        x = np.array([3.0, 0.2, -0.3]) if inside else np.array([0.4, 0.2, -0.3])
        yield Pair(
            f"statsmodels GLM {name}",
            partial(model.loglike, scale=1.0),
            partial(model.score, scale=1.0),
            x,
        )
    ordinary = sm.OLS(outcomes["real"], X)
    yield Pair(
        "statsmodels OLS, scale 1.3",
        lambda x: ordinary.loglike(x, scale=1.3),
        lambda x: ordinary.score(x, scale=1.3),
        np.array([0.4, 0.2, -0.3]),
    )
    yield likelihood("OLS, profiled", ordinary, np.array([0.4, 0.2, -0.3]))
    share = np.clip(rng.beta(2, 3, COUNT), 0.01, 0.99)
    yield likelihood("BetaModel", BetaModel(share, X), np.array([-0.3, 0.1, 0.2, 1.5]))


def survival_and_groups() -> Pairs:
    """Yield proportional hazards, conditional models and Bayesian mixed models."""
    rng = np.random.default_rng(3)
    X = design(2)[:, 1:]
    times, status = np.ceil(10 * rng.exponential(size=COUNT)), rng.integers(2, size=COUNT)
    for ties in ("breslow", "efron"):
        model = sm.PHReg(times, X, status=status, ties=ties)
        yield likelihood(f"PHReg {ties}", model, np.array([0.3, -0.4]))
    groups = np.repeat(np.arange(12), 5)
    yes, counts = rng.integers(2, size=COUNT), rng.poisson(2.0, COUNT)
    at = np.array([0.3, -0.4])
    model = conditional_models.ConditionalLogit(yes, X, groups=groups)
    yield likelihood("ConditionalLogit", model, at)
    model = conditional_models.ConditionalPoisson(counts, X, groups=groups)
    yield likelihood("ConditionalPoisson", model, at)
    model = conditional_models.ConditionalMNLogit(rng.integers(3, size=COUNT), X, groups=groups)
    yield likelihood("ConditionalMNLogit", model, points(-0.5, 0.5, 4))
    effects = np.eye(12)[groups]
    kinds = {"Binomial": (BinomialBayesMixedGLM, yes), "Poisson": (PoissonBayesMixedGLM, counts)}
    for name, (kind, outcome) in kinds.items():
        model = kind(outcome, X, effects, np.zeros(12, int))
        x = 0.3 * np.random.default_rng(5).normal(size=2 + 1 + 12)
        yield Pair(f"statsmodels {name} mixed", model.logposterior, model.logposterior_grad, x)
        yield _variational(name, model)


def _variational(name: str, model: Any) -> Pair:
    half = 2 + 1 + 12

    def elbo(x: Array) -> Any:
        return model.vb_elbo(x[:half], x[half:])

    def gradient(x: Array) -> Array:
        return np.concatenate(model.vb_elbo_grad(x[:half], x[half:]))

    x = np.append(0.3 * np.random.default_rng(6).normal(size=half), points(0.3, 1, half))
    return Pair(f"statsmodels {name} variational bound", elbo, gradient, x)


def norms_and_penalties() -> Pairs:
    """Yield robust norms with their influence functions, and penalties."""
    made: dict[str, Any] = {
        "LeastSquares": norms.LeastSquares(),
        "HuberT": norms.HuberT(),
        "RamsayE": norms.RamsayE(),
        "AndrewWave": norms.AndrewWave(),
        "TrimmedMean": norms.TrimmedMean(),
        "Hampel": norms.Hampel(),
        "TukeyBiweight": norms.TukeyBiweight(),
        "TukeyQuartic": norms.TukeyQuartic(),
        "StudentT": norms.StudentT(),
    }
    for name, norm in made.items():
        yield elementwise(f"statsmodels norm {name}", norm.rho, norm.psi, points(-6, 6, 15))
    weights = points(0.5, 2, 6)
    spread: dict[str, Any] = {
        "L2": penalties.L2(weights),
        "PseudoHuber": penalties.PseudoHuber(0.3, weights),
        "SCAD": penalties.SCAD(0.8, weights=weights),
        "SCADSmoothed": penalties.SCADSmoothed(0.8, c0=0.2, weights=weights),
    }
    for name, penalty in spread.items():
        yield Pair(f"statsmodels penalty {name}", penalty.func, penalty.deriv, points(-2, 2, 6))


LINKS: dict[str, Any] = {
    "Logit": links.Logit(),
    "Power(0.4)": links.Power(0.4),
    "InversePower": links.InversePower(),
    "InverseSquared": links.InverseSquared(),
    "Sqrt": links.Sqrt(),
    "Log": links.Log(),
    "LogC": links.LogC(),
    "Probit": links.Probit(),
    "Cauchy": links.Cauchy(),
    "CLogLog": links.CLogLog(),
    "LogLog": links.LogLog(),
    "NegativeBinomial": links.NegativeBinomial(alpha=0.6),
}


def links_and_variances() -> Pairs:
    """Yield links and their inverses, first and second derivatives, and variance functions."""
    p = points(0.03, 0.97)
    for name, link in LINKS.items():
        yield elementwise(f"statsmodels link {name}", link, link.deriv, p)
        z = link(p)
        inverse = link.inverse_deriv
        yield elementwise(f"statsmodels link {name} inverse", link.inverse, inverse, z)
    for name in ("Logit", "Log", "Probit", "CLogLog", "Power(0.4)", "Cauchy"):
        link = LINKS[name]
        yield elementwise(f"statsmodels link {name} second", link.deriv, link.deriv2, p)
    variances: dict[str, Any] = {
        "Power(1.5)": varfuncs.Power(1.5),
        "Binomial": varfuncs.Binomial(n=5),
        "NegativeBinomial": varfuncs.NegativeBinomial(0.8),
    }
    for name, variance in variances.items():
        yield elementwise(f"statsmodels variance {name}", variance, variance.deriv, 5 * p)


def before(function: Callable[..., Any], last: float) -> Callable[[Array], Any]:
    """Return a function of the argument that comes before the one given here."""
    return lambda x: function(x, last)


def generators() -> Pairs:
    """Yield the generators of Archimedean copulas."""
    t = points(0.05, 0.95)
    kinds: dict[str, tuple[Callable[[], Any], float]] = {
        "Frank": (transforms.TransfFrank, 2.5),
        "Clayton": (transforms.TransfClayton, 1.4),
        "Gumbel": (transforms.TransfGumbel, 2.2),
    }
    for name, (kind, theta) in kinds.items():
        made = kind()
        yield elementwise(
            f"statsmodels copula generator {name}",
            before(made.evaluate, theta),
            before(made.deriv, theta),
            t,
        )
        yield elementwise(
            f"statsmodels copula generator {name}, second",
            before(made.deriv, theta),
            before(made.deriv2, theta),
            t,
        )
