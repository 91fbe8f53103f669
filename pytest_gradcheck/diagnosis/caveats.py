"""Warnings, which a right pair may get as well: kinks, untested and undecided components."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

import numpy as np

from pytest_gradcheck.numdiff.differences import Approximation
from pytest_gradcheck.numdiff.directions import ProbeResult
from pytest_gradcheck.numdiff.ladder import EPSILON, Kind
from pytest_gradcheck.numdiff.noise import Noise, NoiseKind
from pytest_gradcheck.params.theta import FloatArray, Parameter, Theta
from pytest_gradcheck.report.report import Finding
from pytest_gradcheck.settings import Settings
from pytest_gradcheck.verdict.judge import Judgement, Verdict, judged

__all__ = ["branch", "coarse", "kink", "precision", "stationary", "unnamed", "vacuous"]

POOR = 1e-3
"""A check warns if it cannot resolve this relative error, that of a bug."""


COARSEST_TOLERANCE = 3e-5
"""Jumps beyond this part of the cost are more often those of low precision than of a tolerance."""

RETURNED = (NoiseKind.FLOAT32, NoiseKind.FLOAT16, NoiseKind.BFLOAT16)
"""Types that a cost may be rounded to in the end."""

JUMPS = "the cost jumps here, and has no slope"


def kink(
    parameter: Parameter,
    approximation: Approximation,
    gradient: FloatArray,
    judgement: Judgement,
    point: str,
) -> Iterator[Finding]:
    """Warn of kinks: both slopes, and the position of the gradient."""
    part = parameter.slice
    at_kink = parameter.start + np.flatnonzero(approximation.of_kind(Kind.KINK, part))
    if not at_kink.size:
        yield from _kink_of_a_direction(parameter.name, approximation, point)
        return
    far = np.array([number in approximation.nearby for number in at_kink.tolist()])
    number = int(at_kink[np.lexsort((far, judgement.errors[at_kink]))[-1]])
    left, right = approximation.sides[number]
    name = parameter.component_name(parameter.index(number))
    valid = judgement.verdicts[number] == Verdict.KINK
    outside = not min(left, right) <= gradient[number] <= max(left, right)
    where = _where(valid, number in approximation.nearby, outside)
    yield Finding.warning(
        "kink",
        f"{name}: the cost has a kink here, with slope {left:.4g} on the left and {right:.4g} on "
        f"the right; the gradient {gradient[number]:.4g} lies {where}"
        + (f" ({at_kink.size} kinks in {parameter.name})" if at_kink.size > 1 else ""),
        parameter=parameter.name,
        point=point,
    )


def _where(valid: bool, nearby: bool, outside: bool) -> str:
    """Describe the position of a gradient relative to the two slopes at a kink."""
    if valid and nearby:
        return "outside them, and is a limit of right gradients nearby: a valid subgradient"
    if valid:
        return "between them: a valid subgradient"
    if outside or not nearby:
        return "outside them: no subgradient"
    return "at no limit of the gradients nearby: no subgradient"


def _kink_of_a_direction(name: str, approximation: Approximation, point: str) -> Iterator[Finding]:
    if name in approximation.seen and approximation.seen[name].kind == Kind.KINK:
        message = (
            f"{name}: the cost has a kink along a random direction, and the gradient lies between "
            "its two slopes: a valid subgradient"
        )
        yield Finding.warning("kink", message, parameter=name, point=point)


def vacuous(parameter: Parameter, approximation: Approximation, point: str) -> Iterator[Finding]:
    """Warn that nothing was tested where analytic and numerical gradient are 0."""
    part = parameter.slice
    if approximation.of_kind(Kind.KINK, part).any():
        return
    if approximation.values[part][approximation.checked[part]].any():
        return
    if parameter.name in approximation.seen and approximation.seen[parameter.name].residual:
        return
    yield Finding.warning(
        "vacuous",
        f"{parameter.name}: analytic and numerical gradient are 0 throughout, so nothing was "
        "tested: check at a point where the cost depends on it",
        parameter=parameter.name,
        point=point,
    )


def branch(
    parameter: Parameter, approximation: Approximation, gradient: FloatArray, point: str
) -> Iterator[Finding]:
    """Warn of special branches at the very point: the slopes in them and around them."""
    mine = [n for n in approximation.around if parameter.start <= n < parameter.stop]
    if not mine:
        return
    number = mine[0]
    name = parameter.component_name(parameter.index(number))
    inside, around = float(approximation.values[number]), approximation.around[number]
    yield Finding.warning(
        "branch",
        f"{name}: at the very point the cost has the slope {inside:.4g}, and {around:.4g} around "
        f"it: a special branch (if abs(x) < 1e-8: ...) that is not the limit of what surrounds it; "
        f"the gradient is {gradient[number]:.4g}"
        + (f" ({len(mine)} such components of {parameter.name})" if len(mine) > 1 else ""),
        parameter=parameter.name,
        point=point,
    )


def stationary(
    theta: Theta, approximation: Approximation, noise: Noise, point: str
) -> Iterator[Finding]:
    """Warn of a stationary point, at which little is proved.

    If the cost moves with no parameter, nothing was tested. It may have moved in a long step alone.
    """
    if not noise.moved:
        untested = [one for p in theta.selected for one in vacuous(p, approximation, point)]
        yield from untested
        if untested:
            return
    elsewhere = "0.9 x theta" if theta.base.any() else "random parameters"
    message = (
        "both gradients are 0 here beside rounding in every component, as at a minimum, where that "
        f"of any multiple of the cost is: little is proved. Check at another point, {elsewhere} say"
    )
    yield Finding.warning("stationary", message, point=point)


def precision(
    parameter: Parameter,
    approximation: Approximation,
    judgement: Judgement,
    noise: Noise,
    point: str,
) -> Iterator[Finding]:
    """Warn of undecided components, with their number and the reason."""
    part = parameter.slice
    undecided = judgement.verdicts[part] == Verdict.INCONCLUSIVE
    seen = approximation.seen.get(parameter.name)
    if not undecided.any():
        if seen is not None and (seen.wide or seen.kind == Kind.JUMP):
            reason = JUMPS if seen.kind == Kind.JUMP else _noise_reason(noise)
            message = f"{parameter.name}: a random direction cannot be decided: {reason}"
            yield Finding.warning("precision", message, parameter=parameter.name, point=point)
        return
    if np.any(approximation.of_kind(Kind.JUMP, part) & undecided):
        reason = JUMPS
    else:
        reason = _noise_reason(noise)
    yield Finding.warning(
        "precision",
        f"{parameter.name}: {undecided.sum()} of {approximation.checked[part].sum()} components "
        f"cannot be decided: {reason}",
        parameter=parameter.name,
        point=point,
    )


def unnamed(
    approximation: Approximation,
    judgement: Judgement,
    settings: Settings,
    theta: Theta,
    point: str,
    explained: Collection[str | None],
) -> Iterator[Finding]:
    """Report residuals along random directions that no component explains.

    Those of parameters in `explained` already have a cause.
    """
    for name, seen in approximation.seen.items():
        if judged(seen, settings) < Verdict.SUSPECT or (seen.crowded and name in explained):
            continue
        mine = [p for p in theta.selected if name is None or p.name == name]
        parts = [approximation.checked[p.slice] for p in mine]
        wrong = sum(
            np.count_nonzero(judgement.verdicts[p.slice][part] >= Verdict.SUSPECT)
            for p, part in zip(mine, parts, strict=True)
        )
        message = (
            f"{name or 'theta'}: its slope along a random direction is off by "
            f"{abs(seen.residual):.2g} (error bar {seen.error_bar:.1g}), beside {wrong} wrong "
            f"components of {sum(map(np.count_nonzero, parts))} that were differenced: "
            f"{_why_unnamed(seen)}"
        )
        yield Finding.cause("unnamed", message, parameter=name, point=point)


def _why_unnamed(seen: ProbeResult) -> str:
    if seen.crowded:
        return "too many are wrong to be named one by one, so some were sampled"
    return "more is wrong than the search could name; correct these, or raise search_calls"


def coarse(
    approximation: Approximation, judgement: Judgement, noise: Noise, point: str
) -> Iterator[Finding]:
    """Warn of the resolution of a noisy cost, though every component could be decided."""
    if noise.relative <= 100 * EPSILON:
        return
    worst = float(judgement.resolutions.max())
    decided = not np.any(judgement.verdicts[approximation.checked] == Verdict.INCONCLUSIVE)
    if decided and worst > POOR:
        small = (
            f"a relative error under {worst:.0e} goes unseen in the smallest components"
            if worst < 1
            else "the smallest components are not tested at all"
        )
        message = f"{_noise_reason(noise)}; {small}"
        yield Finding.warning("precision", message, point=point)


def _noise_reason(noise: Noise) -> str:
    """Describe the noise that hides a slope, by its kind if that is known."""
    jumps = f"{math.sqrt(12) * noise.level:.1g}, {noise.relative:.1g} of its size"
    if noise.kind is NoiseKind.DECIMALS:
        return f"the cost is rounded to {noise.digits} decimals: return it as it is"
    if noise.kind in RETURNED:
        return (
            f"the cost is rounded to {noise.kind.value}, and moves in steps of {jumps}: compute in "
            "float64 for the check, and leave an offset out of it"
        )
    if noise.kind is NoiseKind.GIVEN:
        return f"the noise of the cost that was given ({noise.relative:.1g} of its size) hides it"
    if noise.kind is NoiseKind.JUMPS and noise.relative > COARSEST_TOLERANCE:
        return (
            f"the cost moves in jumps ({jumps}), as where it computes in bfloat16 or float16, "
            "looks values up in a table, or stops at a loose tolerance: compute in float64, or "
            "tighten the tolerance, for the check"
        )
    if noise.kind is NoiseKind.JUMPS:
        return (
            f"the cost jumps ({jumps}) between thetas nearby, as where an iteration or a solver "
            "stops at a tolerance: tighten the tolerance for the check, or give it as noise="
        )
    return _spread_reason(noise)


def _spread_reason(noise: Noise) -> str:
    """Describe noise of unknown kind that hides a slope."""
    if not (noise.magnitude or noise.moved):
        return (
            "the cost is 0 and stands still, as where its terms cancel: the slope may be what "
            "rounding leaves of theirs"
        )
    if noise.relative < 100 * EPSILON:
        return (
            f"|J| = {noise.magnitude:.2g} is so large beside its slope that its rounding "
            f"({noise.level:.1g}) hides it: scale the cost, or leave constants (an offset) out of "
            "it"
        )
    if 3e-9 < noise.relative < 3e-6:
        return (
            f"the cost computes in float32 (noise {noise.relative:.1g} of its size): compute in "
            "float64 for the check; or it stops at a tolerance, which is to be tightened"
        )
    return (
        f"the cost is noisy ({noise.level:.1g}, {noise.relative:.1g} of its size), as where it "
        "stops at a tolerance, or computes in bfloat16 or float16"
    )
