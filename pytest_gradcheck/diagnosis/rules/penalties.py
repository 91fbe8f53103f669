"""Causes in the penalty: an error proportional to theta, or to its signs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pytest_gradcheck.diagnosis.evidence import Evidence, Mask, ParameterEvidence, gradient_at
from pytest_gradcheck.diagnosis.hypotheses import Hypothesis, comes_true, rule
from pytest_gradcheck.diagnosis.known_numbers import named_strength
from pytest_gradcheck.params.theta import FloatArray

__all__ = ["penalty", "penalty_alone"]

MISSING, WRONG = "missing-regularization", "wrong-regularization"

VARIED = 1.05
"""The least variation of the sizes of theta: a constant is proportional to any constant."""

NOTHING = 1e-9
"""A penalty below this part of another is rounding."""

STEADY = 1e-2
"""Tolerance between components of the part that grows with a stretched parameter."""

ROUND = 1e-6
"""The tolerance of a number of few digits."""

STRETCH = 1e5
"""The factors by which a parameter is stretched, to see which part of its gradient grows."""

SHARES = {
    0.5: "half",
    2.0: "twice",
    -1.0: "minus",
}
"""Words for the gradient's penalty relative to the cost's."""


@rule(
    MISSING,
    "the cost has a penalty, its gradient does not",
    also={WRONG: "both have one, but not the same"},
)
def penalty(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypotheses of an error that is a constant times theta, or times its signs.

    That is in every component, or in all but the first or last of a vector, which is a bias.
    """
    if evidence.is_layer or part.n_wrong < 2:
        return
    for name, basis in (("theta", part.theta), ("sign(theta)", np.sign(part.theta))):
        for where in _penalized(part):
            found = _hypothesis(part, evidence, name, np.where(where, basis, 0.0))
            if found is not None:
                yield found.but(tried=1 if where.all() else 4)


def _penalized(part: ParameterEvidence) -> Iterator[Mask]:
    """Yield the components that may be penalized: all of them, or all but an end of a vector."""
    yield np.ones(part.size, np.bool_)
    if len(part.shape) == 1 and part.n_wrong < part.size and part.n_wrong > part.n_right:
        places = np.flatnonzero(part.wrong)
        numbers = np.arange(part.size)
        yield (numbers >= places[0]) & (numbers <= places[-1])


def _hypothesis(
    part: ParameterEvidence, evidence: Evidence, name: str, basis: FloatArray
) -> Hypothesis | None:
    sizes = np.abs(part.theta[part.wrong])
    if not sizes.any() or sizes.max() < VARIED * sizes[sizes > 0].min():
        return None
    if name != "theta" and abs(basis[part.wrong].sum()) == np.count_nonzero(basis[part.wrong]):
        return None  # all of one sign: just a constant
    fitted = _strength(part, basis)
    if fitted is None:
        return None
    strength, error = fitted
    prediction = part.numerical - strength * basis
    bars = part.bars + error * np.abs(basis)
    if not comes_true(part, Hypothesis(prediction, bars, "")):
        return None
    explained = _explained(part, evidence, name, basis, strength)
    if explained is None:
        return None
    code, why = explained
    said = named_strength(strength, evidence.numbers)
    side = "too small" if strength > 0 else "too large"
    return Hypothesis(
        prediction,
        bars,
        f"{side} by {abs(strength):.4g} x {name}{f' ({said})' if said else ''}",
        why,
        code=code,
        factor=strength,
        free=1,
    )


def _strength(part: ParameterEvidence, basis: FloatArray) -> tuple[float, float] | None:
    """Return the coefficient of the basis in numerical - analytic, and its error bar."""
    mine = part.wrong & (basis != 0)
    if not mine.any():
        return None
    missing, along = (part.numerical - part.analytic)[mine], basis[mine]
    window = part.bars[mine] + part.precision * (np.abs(part.analytic[mine]) + 1e-3 * part.scale)
    with np.errstate(all="ignore"):
        weights = (along / window) ** 2
        if not np.isfinite(weights).all() or not weights.any():
            return None
        strength = float(np.average(missing / along, weights=weights))
        error = float(np.average(window / np.abs(along), weights=weights))
    return (strength, error) if np.isfinite([strength, error]).all() else None


def _explained(
    part: ParameterEvidence, evidence: Evidence, name: str, basis: FloatArray, strength: float
) -> tuple[str, str] | None:
    """Return the code of a missing strength, and the change of the penalty; None if unsure.

    Errors are proportional to theta for other reasons, too: without a known penalty the strength
    has to be a round number.
    """
    kind = "L2" if name == "theta" else "L1"
    own = _own_strength(part, evidence, name, basis)
    if own is not None and abs(own) > NOTHING * abs(strength):
        if abs(own + strength) <= STEADY * abs(own):
            return WRONG, f"the cost does not penalize this, and the gradient has an {kind} penalty"
        share = own / (own + strength)
        nearest = min(SHARES, key=lambda known: abs(share - known))
        word = SHARES[nearest] if abs(share / nearest - 1) <= STEADY else f"{share:.3g} x"
        return WRONG, f"the {kind} penalty of the gradient is {word} that of the cost"
    said = named_strength(strength, evidence.numbers)
    if own is None and said is None and not _is_round(strength, evidence):
        return None
    if own is None and said is not None and said.startswith("2 ") and " / " in said:
        return None  # a penalty of lambd / m is missing, or one of lambd / (2m) is subtracted
    if strength < 0:
        return WRONG, f"the {kind} penalty is too strong, or the cost does not penalize this"
    if own is None and said is not None and (" / 2" in said or "(2 x" in said):
        return WRONG, f"the {kind} penalty of the gradient is half that of the cost"
    return MISSING, f"the {kind} penalty of the cost is missing in the gradient"


def _is_round(strength: float, evidence: Evidence) -> bool:
    """Return whether a strength, perhaps times the number of examples, has three digits at most."""
    counts = [1, *evidence.numbers.examples]
    sizes = [abs(strength) * n for count in counts for n in (count, 2 * count)]
    return any(abs(size - float(f"{size:.3g}")) <= ROUND * size for size in sizes)


def _own_strength(
    part: ParameterEvidence, evidence: Evidence, name: str, basis: FloatArray
) -> float | None:
    """Return the strength of the penalty in the gradient, or None if it is unknown.

    With the penalty of the data switched off the gradient itself tells.
    """
    off = evidence.clues.unpenalized
    without = None if off is None else gradient_at(off, evidence.pair.theta.base)
    if without is None:
        return _far_out(part, evidence) if name == "theta" else None
    added = part.analytic - without[part.parameter.slice]
    columns = np.stack([part.theta, np.sign(part.theta)], axis=1) * (basis != 0)[:, None]
    size = np.abs(columns).max(axis=0)
    fitted, *_ = np.linalg.lstsq(columns / size, added, rcond=None)
    close = np.abs(added - columns / size @ fitted) <= 1e-6 * np.abs(fitted).max()
    own = (fitted / size)[0 if name == "theta" else 1]
    return float(own) if np.all(close | (np.abs(added) <= NOTHING * part.scale)) else None


def _far_out(part: ParameterEvidence, evidence: Evidence) -> float | None:
    """Return the coefficient of theta in the gradient far out, if nothing else is left there.

    In some direction the data's part vanishes or grows less, since units saturate or are off.
    """
    base, place = evidence.pair.theta.base, part.parameter.slice
    mine = part.wrong & (part.theta != 0)
    for signs in _directions(part.size):
        shares = []
        for stretch in (STRETCH, 10 * STRETCH):
            stretched = base.copy()
            stretched[place] *= stretch * signs
            gradient = gradient_at(evidence.pair, stretched)
            if gradient is None:
                return None
            shares.append((gradient[place] / np.where(mine, stretched[place], 1.0))[mine])
        both = np.concatenate(shares)
        own = float(np.median(both))
        if np.all(np.abs(both - own) <= STEADY * abs(own)):
            return own
    return None


def _directions(size: int) -> Iterator[FloatArray]:
    """Yield signs to multiply theta by: all positive, all negative, mixed."""
    yield np.ones(size)
    yield -np.ones(size)
    rng = np.random.default_rng([0x70656E616C7479, size])
    for _ in range(3):
        yield rng.choice([-1.0, 1.0], size)


@rule("zero", "the gradient was never filled in")
def penalty_alone(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypothesis that the gradient is the penalty's alone.

    Its strength has to be in sight: other costs have the gradient theta as well.
    """
    theta, analytic = part.theta, part.analytic
    sizes = np.abs(theta[theta != 0])
    if evidence.is_layer or sizes.size < 3 or sizes.max() < VARIED * sizes.min():
        return
    along = theta / sizes.max()
    strength = float(np.dot(analytic, along) / np.dot(along, along)) / float(sizes.max())
    said = named_strength(strength, evidence.numbers) if strength else None
    if said is not None:
        yield Hypothesis(
            strength * theta,
            np.zeros(part.size),
            f"{strength:.4g} x theta ({said}) and nothing else",
            "the part of the data was overwritten by the penalty's (= for +=)",
            free=1,
        )
