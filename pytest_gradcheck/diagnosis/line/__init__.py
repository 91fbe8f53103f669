"""Find the line of the user's backward pass at which an error enters.

A backward pass computes the derivative of the cost with respect to the values of the forward pass.
These derivatives can be differenced like those of the parameters. The search has four steps:
*record* what both passes compute, *perturb* the values of the forward pass in their frames, *pair*
them with the values of the backward pass, and *tell* the first line whose value is wrong although
its inputs are right. Where several lines are left, small edits of each are tried (`repair`). An
edit that makes the whole gradient right shows the line.
"""

from __future__ import annotations

import ast
import random
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from pytest_gradcheck.diagnosis.line.case import Case, case_of
from pytest_gradcheck.diagnosis.line.marks import (
    Faults,
    Graph,
    Leaf,
    final,
    is_multiple,
    leaves_of,
    marked,
    recomputed,
)
from pytest_gradcheck.diagnosis.line.misplaced import Misplaced, misplaced
from pytest_gradcheck.diagnosis.line.pairing import Pairs, Values, bases_of, factor_of, paired
from pytest_gradcheck.diagnosis.line.perturb import Slope, Slopes
from pytest_gradcheck.diagnosis.line.recording import clock
from pytest_gradcheck.diagnosis.line.recording.recorder import Recorder
from pytest_gradcheck.diagnosis.line.recording.source import Sources, Statement
from pytest_gradcheck.diagnosis.line.recording.tracing import is_free
from pytest_gradcheck.diagnosis.line.recording.values import Value
from pytest_gradcheck.diagnosis.line.repair import Bench, Known, Script, repaired
from pytest_gradcheck.diagnosis.line.suspects import Suspects, suspects, weight_of
from pytest_gradcheck.diagnosis.line.telling import Located, message_of, where_of
from pytest_gradcheck.params.theta import FloatArray
from pytest_gradcheck.report.report import Finding

__all__ = ["Case", "case_of", "line_of", "locate"]

CALLS = 200
"""Calls of the cost and of the gradient in all."""

SLOPES = 120
"""Calls of the cost with a perturbed value, which are among these."""

SECONDS = 2.0
"""Time that the search may take, or the time of the check where that is longer."""

SMALL = 1_000
"""Calls of the cost up to which a check is small, and does not limit the time of the search."""

PART = 0.2
"""Fraction of the time of a larger check within which new edits are tried."""

SUSPECTED = 24
"""Statements of which edits are tried, at most."""

EQUAL = 2
"""Likelihood from which on all statements count the same that an edit makes right."""

VALUE_NAMES = ("data", "value", "val", "v", "x", "primal", "item")
GRADIENT_NAMES = ("grad", "g", "adjoint", "adj", "bar", "derivative", "deriv", "d")
"""Attributes under which objects keep a number and its derivative."""


def line_of(case: Case, point: str) -> tuple[Finding, ...]:
    """Return a finding of the line at which the error enters, or none where it is not known."""
    located = locate(case)
    if located is None or not located.is_told:
        return ()
    parameter = case.parameters[0] if len(case.parameters) == 1 else None
    found = Finding.cause(
        "line",
        message_of(located),
        parameter=parameter,
        point=point,
        parameters=case.parameters,
    )
    return (replace(found, where=where_of(located)),)


def locate(case: Case) -> Located | None:
    """Return where the error enters, or None where nothing is known."""
    if not is_free():
        return None
    with _as_it_was():
        return _located(case)


@contextmanager
def _as_it_was() -> Iterator[None]:
    """Restore the random generators and the warning filters, which calls may change."""
    numpy_state, state = np.random.get_state(), random.getstate()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(state)


def _located(case: Case) -> Located | None:
    start = clock.now()
    sources = Sources(case.functions)
    until = start + max(SECONDS, case.seconds)
    quick = start + PART * case.seconds if case.calls > SMALL else until
    forward, backward = Recorder(sources, until), Recorder(sources, until)
    forward.run(case.cost.call)
    gradient = backward.run(case.gradient)
    forward.finish()
    backward.finish()
    faults = case.faults.of(np.asarray(gradient))
    if forward.failure or backward.failure or faults is None:
        return None
    passes = _Passes(forward, backward)
    slopes = Slopes(case.cost, sources, until, SLOPES)
    pairs = paired(
        passes.backward,
        passes.forward,
        slopes,
        final(backward.values, passes.forward),
        lambda value: is_multiple(passes.graph, value.number),
        passes.owned(),
    )
    passes.graph.depends = _dependence(case, sources, quick, passes.backward)
    leaves = leaves_of(passes.backward, passes.graph, faults)
    again = recomputed(passes.backward, passes.forward)
    marks = marked(passes.graph, passes.backward, pairs, leaves, again)
    foreign = passes.foreign | sum(1 << number for number in again.same)
    found = suspects(passes.graph, marks, passes.blameable, foreign, backward.callers.direct)
    lost: Misplaced | None = None
    if not found.ranks:
        seen = (leaves[number].part for number in marks.returned)
        lost = misplaced(passes.backward, seen, faults, backward.exits)
        told = _idle(passes.backward) if lost is None else (lost.statement,)
        if told:
            return Located(told, {}, passes.graph, marks, passes.backward, case.parameters, lost)
    known = _known_values(passes.backward, passes.graph, pairs, leaves, faults)
    left = CALLS - (SLOPES - slopes.calls) - 3
    tried = _tried(found, passes)
    callers = backward.callers.of(v.code for v in backward.values if v.statement in tried)
    rounds = passes.graph.rounds_before
    bench = Bench(case.gradient, faults, sources, known, quick, left, rounds, callers)
    edits = repaired(bench, tried)
    chosen = _chosen(found, tuple(edits))
    return Located(chosen, edits, passes.graph, marks, passes.backward, case.parameters)


def _tried(found: Suspects, passes: _Passes) -> dict[Statement, int]:
    """Return the statements of which edits are tried, with their likelihood.

    Unless there is one suspect, other statements follow: a value that goes to the wrong place, or
    decides which branch is taken, is no input of what is wrong.
    """
    is_one = len(_chosen(found, ())) == 1
    likeliest = sorted(found.ranks, key=lambda s: (-found.ranks[s], s.file, s.line))[:SUSPECTED]
    others = {
        value.statement: None
        for value in (() if is_one else passes.backward)
        if value.statement is not None
        if value.statement not in found.proven and value.statement not in found.ranks
        if weight_of(passes.graph, value) >= EQUAL
    }
    tried = {statement: found.ranks[statement] // 2 for statement in likeliest}
    tried.update(dict.fromkeys(list(others)[: SUSPECTED - len(tried)], 0))
    return tried


def _dependence(
    case: Case, sources: Sources, until: float, backward: Values
) -> Callable[[Value, Value], bool]:
    """Return a function that says whether a value depends on another; a factor of 0 hides that."""
    statements = {value.statement: None for value in backward if value.statement is not None}
    script = Script(sources, until, list(statements), {})
    if clock.now() < until:
        script.run(case.gradient)
    return script.depends


def _chosen(found: Suspects, healed: Sequence[Statement]) -> tuple[Statement, ...]:
    """Return the statements to name: those that an edit makes right, else the likeliest."""
    idle = tuple(s for s, rank in found.ranks.items() if s.is_idle and rank > 1)
    if idle:
        return idle
    if healed:
        ranks = {statement: found.ranks.get(statement, 0) // 2 for statement in healed}
        best = min(max(ranks.values()), EQUAL)
        chosen = [statement for statement in healed if ranks[statement] >= best]
        return tuple(sorted(chosen, key=lambda s: (s.file, s.line)))
    if len(found.statements) < 2:
        return found.statements
    least = max(found.ranks.values()) // 2
    first, last = found.statements[0].line, found.statements[-1].line
    if any(rank // 2 == least and not first <= s.line <= last for s, rank in found.ranks.items()):
        return ()
    return tuple(s for s in found.statements if s not in found.proven) or found.statements


def _idle(backward: Values) -> tuple[Statement, ...]:
    """Return the statement that assigns a name to itself, if there is one."""
    found = {v.statement: None for v in backward if v.statement is not None and v.statement.is_idle}
    return tuple(found) if len(found) == 1 else ()


class _Passes:
    """The values of the forward pass that the cost depends on, and those of the backward pass."""

    def __init__(self, forward: Recorder, backward: Recorder) -> None:
        self._recorded = backward
        graph = Graph(forward.values)
        ends = [number for key, number in forward.results if key in (None, 0)]
        reach = graph.made_of(ends)
        if not ends or reach & graph.foreign:
            reach = (1 << len(forward.values)) - 1
        self.forward: Values = [value for value in forward.values if reach >> value.number & 1]
        self._names = {name for value in self.forward for name, _ in value.names}
        self._evaluated = {(value.statement, _effect(value)) for value in self.forward}
        self._ran = {(value.statement, value.effect) for value in forward.values}
        self.graph = Graph(backward.values)
        self.backward: Values = [
            value
            for value in backward.values
            if value.statement is not None and not self._is_forward(value)
            if weight_of(self.graph, value)
        ]
        self.blameable = sum(1 << value.number for value in self.backward)
        self.foreign = sum(
            1 << value.number for value in backward.values if self._is_forward(value)
        )

    def _is_forward(self, value: Value) -> bool:
        """Return whether the cost depends on a value, or the forward pass merely hands it on."""
        if (value.statement, _effect(value)) in self._evaluated:
            return True
        handed_on = value.kind == "passed" and (value.statement, value.effect) in self._ran
        return (
            handed_on
            and not self._poses(value)
            and all(self._is_forward(self.graph.values[n]) for n in value.reads)
        )

    def _poses(self, value: Value) -> bool:
        """Return whether a value's name is that of a derivative of a forward value."""
        return any(base in self._names for name, _ in value.names for base in bases_of(name))

    def owned(self) -> dict[int, Value]:
        """Return forward values that stand beside their derivative in an object (``self.data``)."""
        by_handle = {
            (value.handle.statement, value.handle.execution): value
            for value in self.forward
            if value.handle is not None
        }
        found: dict[int, Value] = {}
        for value in self._recorded.values:
            if value.place[0] != "attribute":
                continue
            _, owner, name = value.place
            names = VALUE_NAMES if name in GRADIENT_NAMES else ()
            for other in (*names, *bases_of(name)):
                beside = self._recorded.at(("attribute", owner, other))
                handle = None if beside is None else self.graph.origin_of(beside, True).handle
                if handle is not None and (handle.statement, handle.execution) in by_handle:
                    found[value.number] = by_handle[handle.statement, handle.execution]
                    break
        return found


def _effect(value: Value) -> object:
    return None if value.expression is None else value.effect


def _known_values(
    backward: Values, graph: Graph, pairs: Pairs, leaves: Mapping[int, Leaf], faults: Faults
) -> dict[Statement, list[Known]]:
    """Return the conditions that values have to meet: as parts of the gradient, and derivatives."""
    found: dict[Statement, list[Known]] = defaultdict(list)
    made = [value for value in backward if value.kind != "passed"]
    last = {leaves[v.number].part.start: v.number for v in made if v.number in leaves}
    known: dict[int, Known] = {}
    for value in backward:
        if value.statement is None or value.effect is None or value.expression is None:
            continue  # an argument is not what its statement computes
        source = graph.origin_of(value)
        if source.number not in known:
            partner = pairs.named.get(source.number)
            slopes = pairs.slopes.get(partner.number) if partner is not None else None
            leaf = leaves.get(source.number)
            if leaf is not None and last.get(leaf.part.start) == source.number:
                due = faults.numerical[leaf.part] / leaf.scale
                agrees = _agrees_with(leaf, faults)
                known[source.number] = Known(0, None, agrees, due, leaf.order, leaf.part)
            elif slopes and source.number in pairs.sure and not source.inplace:
                known[source.number] = Known(0, None, _is_derivative(source, slopes))
        of_gradient = source.number in known and known[source.number].part is not None
        if source.number in known and (source is value or of_gradient):
            target = value.effect.target
            here = replace(
                known[source.number],
                execution=value.execution,
                entry=value.effect.entry,
                target="" if target is None else ast.unparse(target),
                is_row=source.region is not None,
            )
            found[value.statement].append(here)
    return found


def _is_derivative(value: Value, slopes: Sequence[Slope]) -> Callable[[FloatArray], bool | None]:
    def agrees(other: FloatArray) -> bool | None:
        if value.array is None or other.shape != value.array.shape:
            return None
        factor = factor_of(replace(value, array=other), slopes)
        return None if factor is None else factor == 1 or (None if factor else False)

    return agrees


def _agrees_with(leaf: Leaf, faults: Faults) -> Callable[[FloatArray], bool | None]:
    def agrees(value: FloatArray) -> bool | None:
        flat = leaf.scale * value.ravel(leaf.order)
        if flat.size != leaf.part.stop - leaf.part.start:
            return None  # a row of it
        gradient = faults.numerical.copy()
        gradient[leaf.part] = flat
        return faults.are_gone(gradient)

    return agrees
