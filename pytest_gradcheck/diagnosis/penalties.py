"""Causes in the penalty: an error that is proportional to theta, or to its signs."""

from __future__ import annotations

import numpy as np

from pytest_gradcheck.diagnosis.evidence import FIT, Cause, Evidence, Part, explained, gradient_at
from pytest_gradcheck.diagnosis.factors import ratio
from pytest_gradcheck.diagnosis.known_numbers import named_strength
from pytest_gradcheck.params.theta import FloatArray

__all__ = ["penalty", "penalty_alone"]

MISSING, WRONG = "missing-regularization", "wrong-regularization"

FEWEST = 3
"""Components that have to agree on the strength of a penalty."""

VARIED = 1.05
"""How much theta has to vary in size: what is constant is proportional to anything."""

NOTHING = 1e-9
"""A penalty weaker than this part of another is none: it is rounding."""

STEADY = 1e-2
"""How much what grows with a stretched parameter may differ between its components."""

FAR = 1e5
"""How far a parameter is stretched to see what grows with it in its gradient."""


def penalty(part: Part, evidence: Evidence) -> Cause | None:
    """Name an error that is a constant times theta, or times its signs."""
    wrong = part.wrong
    sizes = np.abs(part.theta[wrong])
    if np.count_nonzero(sizes) < FEWEST or sizes.max() < VARIED * sizes[sizes > 0].min():
        return None
    if ratio(part, wrong) is not None:
        return None  # the cost's own gradient is proportional to theta here: a factor, somewhere
    for name, basis in (("theta", part.theta), ("sign(theta)", np.sign(part.theta))):
        if name != "theta" and abs(basis[wrong].sum()) == np.count_nonzero(basis[wrong]):
            continue  # all of one sign: that is but a constant
        strength = _strength(part, basis)
        if strength is not None:
            return _cause(part, evidence, name, basis, strength)
    return None


def _strength(part: Part, basis: FloatArray) -> float | None:
    """Return what the numerical gradient has of the basis more than the analytic one."""
    wrong = part.wrong
    missing = part.numerical - part.analytic
    along = basis[wrong] / np.max(np.abs(basis[wrong]))
    strength = float(np.dot(missing[wrong], along) / np.dot(along, along))
    strength /= float(np.max(np.abs(basis[wrong])))
    off = np.abs(missing - strength * basis)[wrong]
    clear = np.abs(strength * basis[wrong]) > 10 * part.bars[wrong]
    if np.count_nonzero(clear) < FEWEST:
        return None
    if np.any(off > part.bars[wrong] + FIT * np.abs(strength * basis[wrong])):
        return None
    return strength if explained(part, part.numerical - strength * basis, where=wrong) else None


def _cause(part: Part, evidence: Evidence, name: str, basis: FloatArray, strength: float) -> Cause:
    said = named_strength(strength, evidence.clues.sizes())
    own = _own_strength(part, evidence, name, basis, strength)
    code = MISSING if strength > 0 and own == 0 else WRONG
    kind = "L2" if name == "theta" else "L1"
    if code == MISSING:
        why = f"the {kind} penalty of the cost is missing in the gradient"
    elif own and abs(own + strength) > STEADY * abs(own):
        share = own / (own + strength)
        why = f"the {kind} penalty of the gradient is {share:.3g} x that of the cost"
    elif strength > 0:
        why = f"the {kind} penalty is too weak in the gradient (2, 1/m?)"
    else:
        why = f"the {kind} penalty is too strong, or the cost does not penalize this"
    side = "too small" if strength > 0 else "too large"
    seen = f"{{wrong}} of {{size}} components are {side} by {abs(strength):.4g} x {name}"
    if said is not None:
        seen += f" ({said})"
    wrong, size = int(part.wrong.sum()), part.checked
    return Cause(code, seen, why, strength, wrong, size)


def _own_strength(
    part: Part, evidence: Evidence, name: str, basis: FloatArray, missing: float
) -> float:
    """Return how strong a penalty the gradient has of its own: 0 where nothing says there is one.

    With the penalty of the data switched off the gradient itself tells.
    """
    off = evidence.clues.unpenalized
    without = None if off is None else gradient_at(off, evidence.pair.theta.base)
    if without is None:
        grows = name == "theta" and missing > 0
        return _far_out(part, evidence, missing) if grows else 0.0
    added = part.analytic - without[part.parameter.slice]
    size = float(np.max(np.abs(basis)))
    if np.max(np.abs(added)) <= NOTHING * abs(missing) * size:
        return 0.0
    along = basis / size
    own = float(np.dot(added, along) / np.dot(along, along)) / size
    return own if np.all(np.abs(added - own * basis) <= FIT * abs(own) * size) else np.nan


def _far_out(part: Part, evidence: Evidence, missing: float) -> float:
    """Return what is left of a gradient when the parameter is stretched until it outgrows the rest.

    It is taken for a penalty only where it is a usual part of the right one.
    """
    stretched = evidence.pair.theta.base.copy()
    stretched[part.parameter.slice] *= FAR
    gradient = gradient_at(evidence.pair, stretched)
    if gradient is None:
        return 0.0
    relative_errors = gradient[part.parameter.slice][part.wrong] / (FAR * part.theta[part.wrong])
    own = float(np.median(relative_errors))
    if own == 0 or np.any(np.abs(relative_errors - own) > STEADY * abs(own)):
        return 0.0
    counts = evidence.clues.sizes().counts()
    usual = [-1.0, 2.0, *counts, *(2 * n for n in counts)]
    share = own / (own + missing) if own + missing else np.inf
    return own if any(abs(share * n - 1) <= 2 * STEADY for n in usual) else 0.0


def penalty_alone(part: Part, evidence: Evidence) -> Cause | None:
    """Name a gradient that is a constant times theta, and has nothing of the data."""
    theta, analytic = part.theta, part.analytic
    sizes = np.abs(theta[theta != 0])
    if sizes.size < FEWEST or sizes.max() < VARIED * sizes.min() or not analytic.any():
        return None
    along = theta / sizes.max()
    strength = float(np.dot(analytic, along) / np.dot(along, along)) / float(sizes.max())
    if not np.all(np.abs(analytic - strength * theta) <= 1e-9 * np.abs(strength * theta)):
        return None
    return Cause(
        "zero",
        f"the gradient is {strength:.4g} x theta and nothing else ({{wrong}} of {{size}} wrong)",
        "the part of the data was overwritten by the penalty's (= for +=)",
        None,
        int(part.wrong.sum()),
        part.checked,
    )
