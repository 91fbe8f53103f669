"""The engine: tries every rule on every wrong parameter, and words the causes that are sure.

A cause that several parameters share is one finding, and the cause of most parameters wins. If many
parameters are wrong, all rules are tried on some of them, and only the successful rules on the
others: the work is linear in parameters and in components.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_gradcheck.diagnosis.evidence import Evidence, ParameterEvidence
from pytest_gradcheck.diagnosis.hypotheses import (
    Hypothesis,
    Rule,
    comes_true,
    information,
    is_sure,
    near_misses,
)
from pytest_gradcheck.diagnosis.rules import RULES, WHERE_RULES
from pytest_gradcheck.diagnosis.rules.changes import CHANGE_RULES, changes
from pytest_gradcheck.diagnosis.rules.propagation import Spread, stale, upstream
from pytest_gradcheck.diagnosis.sharper import sharpened
from pytest_gradcheck.diagnosis.words import listed
from pytest_gradcheck.params.theta import Indices
from pytest_gradcheck.report.report import Finding

__all__ = ["causes"]

ASKED = 24
"""Wrong parameters on which all rules are tried; on the others only those that succeeded."""

HERE = {1: "is", 2: "are"}
NEARBY = {
    1: "should be 0 here, and changes nearby by",
    2: "should be 0 here, and change nearby by",
}
"""The verb between one name, or several, and the observation."""

SHARPENED = 4
"""Parameters without a cause that are differenced again to more digits, at most."""

DOUBT = 6.0
"""Extra bits that a cause needs while other parameters are unexplained."""


@dataclass(frozen=True)
class Candidate:
    """A hypothesis that holds for one parameter."""

    part: ParameterEvidence
    rule: Rule
    hypothesis: Hypothesis
    bits: float

    @property
    def code(self) -> str:
        """The code of its finding."""
        return self.hypothesis.code or self.rule.code

    @property
    def key(self) -> tuple[str, ...]:
        """A key that parameters with the same cause share."""
        hypothesis = self.hypothesis
        factor = hypothesis.factor
        if factor is None:
            return (self.rule.name, self.code, hypothesis.observation, hypothesis.why)
        return (self.code, f"{factor:.4g}")

    def sureness(self) -> float:
        """Return its bits, less those of the alternatives tried."""
        return self.bits - math.log2(self.hypothesis.tried)

    def agreement(self, other: Candidate) -> float:
        """Return the bits of the agreement of two fitted factors."""
        mine, others = self.hypothesis.factor, other.hypothesis.factor
        if self.hypothesis.free == 0 or mine is None or others is None or mine == others:
            return math.inf
        return math.log2(abs(mine) / abs(mine - others))


@dataclass(frozen=True)
class Cause:
    """A cause of one parameter, or of several together."""

    candidates: tuple[Candidate, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return tuple(candidate.part.name for candidate in self.candidates)

    def is_sure(self, more: float = 0.0) -> bool:
        """Return whether all of them together exclude chance; a number is fitted once for all."""
        first = max(self.candidates, key=lambda candidate: candidate.bits)
        bits = first.bits
        for other in self.candidates:
            if other is not first:
                own = information(other.part, other.hypothesis.but(free=0))
                bits += min(own, first.agreement(other) + other.bits)
        return is_sure(bits, first.hypothesis, more)


def causes(evidence: Evidence) -> tuple[Finding, ...]:
    """Return the causes at a point, those of most parameters first."""
    wrong = evidence.wrong_parts
    legible = [p for p in wrong if p.is_legible and not (p.sparse or p.where)]
    candidates = _candidates(legible, RULES, evidence)
    found = _sure(_grouped(candidates), len(wrong))
    explained = {name for cause in found for name in cause.names}
    sharper = _sharper([p for p in legible if p.name not in explained], evidence)
    if sharper:
        names = {part.name for part in sharper}
        kept = [candidate for candidate in candidates if candidate.part.name not in names]
        found = _sure(_grouped([*kept, *_candidates(sharper, RULES, evidence)]), len(wrong))
        explained = {name for cause in found for name in cause.names}
    if not explained:
        near = _of_changes(evidence)
        if near:
            return near
        for look in (upstream, stale):
            with evidence.clues.guard.of(f"the rule {look.__name__}"):
                spread = look(evidence)
                if spread is not None:
                    return (_of_spread(spread, evidence.point),)
    rest = [part for part in wrong if part.name not in explained]
    found += _where(rest, evidence)
    return tuple(_worded(cause, evidence.point) for cause in found)


def _of_changes(evidence: Evidence) -> tuple[Finding, ...]:
    """Return the causes that show near a stationary point, and not at it."""
    with evidence.clues.guard.of("the look near a stationary point"):
        parts = changes(evidence)
        candidates = [c for part in parts for c in _tried(part, CHANGE_RULES, evidence)]
        found = _sure(_grouped(candidates), len(evidence.wrong_parts))
        return tuple(_worded(cause, evidence.point, NEARBY) for cause in found)
    return ()


def _sharper(parts: Sequence[ParameterEvidence], evidence: Evidence) -> list[ParameterEvidence]:
    """Return the parameters about which further calls tell more digits."""
    with evidence.clues.guard.of("the search for more digits"):
        some = parts[:SHARPENED]
        both = [(sharpened(part, evidence, _doubtful(part, evidence)), part) for part in some]
        return [sharp for sharp, part in both if sharp is not part]
    return []


def _doubtful(part: ParameterEvidence, evidence: Evidence) -> Indices:
    """Return the components that alone contradict a cause."""
    for rule in RULES:
        for hypothesis in rule.hypotheses(part, evidence):
            places = near_misses(part, hypothesis)
            if places.size and is_sure(information(part, hypothesis), hypothesis):
                return places
    return np.zeros(0, np.intp)


def _candidates(
    parts: Sequence[ParameterEvidence], rules: Sequence[Rule], evidence: Evidence
) -> list[Candidate]:
    """Return the hypotheses that hold, of every part and every rule."""
    first = [c for part in parts[:ASKED] for c in _tried(part, rules, evidence)]
    if len(parts) <= ASKED:
        return first
    seen = tuple(rule for rule in rules if any(c.rule is rule for c in first))
    return first + [c for part in parts[ASKED:] for c in _tried(part, seen, evidence)]


def _tried(
    part: ParameterEvidence, rules: Sequence[Rule], evidence: Evidence
) -> Iterator[Candidate]:
    """Yield the hypotheses that hold for a part, up to the first that is sure by itself."""
    for rule in rules:
        with evidence.clues.guard.of(f"the rule {rule.name}"):
            for hypothesis in rule.hypotheses(part, evidence):
                if comes_true(part, hypothesis):
                    bits = information(part, hypothesis)
                    if bits > 0 or hypothesis.free:
                        yield Candidate(part, rule, hypothesis, bits)
                    if is_sure(bits, hypothesis):
                        return


def _grouped(candidates: Sequence[Candidate]) -> list[Cause]:
    """Group candidates by the cause that they share."""
    groups: dict[tuple[str, ...], dict[str, Candidate]] = {}
    for candidate in candidates:
        group = groups.setdefault(candidate.key, {})
        group[candidate.part.name] = max(
            group.get(candidate.part.name, candidate), candidate, key=Candidate.sureness
        )
    return [Cause(tuple(group.values())) for group in groups.values()]


def _sure(groups: Sequence[Cause], wrong: int) -> list[Cause]:
    """Return the causes that are sure, for each parameter that of most parameters.

    A cause of few parameters needs more bits while others are unexplained.
    """
    found: list[Cause] = []
    taken: set[str] = set()
    for cause in sorted(groups, key=lambda cause: -len(cause.names)):
        left = tuple(c for c in cause.candidates if c.part.name not in taken)
        if left and Cause(left).is_sure():
            found.append(Cause(left))
            taken.update(c.part.name for c in left)
    if len(taken) == wrong:
        return found
    return [cause for cause in found if cause.is_sure(DOUBT)]


def _where(rest: Sequence[ParameterEvidence], evidence: Evidence) -> list[Cause]:
    """Return the places of unexplained errors: rows, columns, a few entries.

    Parameters that are wrong in the same places have one cause.
    """
    looked = [part for part in rest if part.is_legible and (part.where or not part.open)]
    groups: dict[tuple[str, str], list[Candidate]] = {}
    for candidate in _candidates(looked, WHERE_RULES, evidence):
        said = candidate.hypothesis
        groups.setdefault((said.observation, said.why), []).append(candidate)
    causes = [Cause(tuple(group)) for group in groups.values()]
    return [cause for cause in causes if cause.is_sure()]


def _worded(cause: Cause, point: str, seen: Mapping[int, str] = HERE) -> Finding:
    first = max(cause.candidates, key=lambda candidate: candidate.hypothesis.free)
    hypothesis = first.hypothesis
    names = cause.names
    verb = seen[min(len(names), 2)]
    why = hypothesis.why or first.rule.why
    message = f"{listed(names)} {verb} {hypothesis.observation}{f': {why}' if why else ''}"
    parameter = names[0] if len(names) == 1 else None
    return Finding.cause(
        first.code,
        message,
        parameter=parameter,
        factor=hypothesis.factor,
        point=point,
        parameters=names,
    )


def _of_spread(spread: Spread, point: str) -> Finding:
    return Finding.cause(
        spread.code,
        spread.message,
        parameter=spread.parameter,
        point=point,
        parameters=spread.names,
    )
