"""The text about the line at which an error enters: a sentence and an excerpt."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_gradcheck.diagnosis.line.marks import Graph, Marks
from pytest_gradcheck.diagnosis.line.misplaced import Misplaced
from pytest_gradcheck.diagnosis.line.pairing import Values
from pytest_gradcheck.diagnosis.line.recording.source import Statement
from pytest_gradcheck.diagnosis.line.recording.values import Value
from pytest_gradcheck.diagnosis.line.repair import Edit
from pytest_gradcheck.diagnosis.words import listed

__all__ = ["Located", "message_of", "where_of"]

LINES = 3
"""Lines of the longest range that is reported."""

AROUND = 3
"""Statements shown on either side of the line."""

WIDEST = 64
"""Columns of source that are shown."""

MARK = {"right": "right", "wrong": "WRONG", "unknown": "?"}


@dataclass(frozen=True)
class Located:
    """Where the error enters.

    Attributes
    ----------
    statements : tuple of Statement
        One statement, or those of a short range.
    edits : mapping
        The edits that make the whole gradient right, by statement.
    graph, marks, values
        All values of the run, their marks, and the values of the backward pass.
    parameters : tuple of str
        Those whose gradient is wrong.
    lost : Misplaced or None
        A right value that is not returned.
    """

    statements: tuple[Statement, ...]
    edits: Mapping[Statement, Edit]
    graph: Graph
    marks: Marks
    values: Values
    parameters: tuple[str, ...]
    lost: Misplaced | None = None

    @property
    def is_told(self) -> bool:
        """Whether it is a single statement or a short range."""
        files = {statement.file for statement in self.statements}
        if len(files) != 1:
            return False
        return self.statements[-1].end - self.statements[0].line < max(LINES, _length(self))


def _length(located: Located) -> int:
    """Return the number of lines of a single statement, else 0."""
    first = located.statements[0]
    return first.end - first.line + 1 if len(located.statements) == 1 else 0


def where_of(located: Located) -> tuple[str, int]:
    """Return the file and the line; the file is relative to the current folder if it is in it."""
    statement = located.statements[0]
    path = (
        os.path.relpath(statement.file)
        if statement.file.startswith(os.getcwd())
        else statement.file
    )
    return path, statement.line


def message_of(located: Located) -> str:
    """Return a sentence, and an excerpt of the backward pass with a mark for each line."""
    return "\n".join([_sentence(located), *_excerpt(located)])


def _sentence(located: Located) -> str:
    first, last = located.statements[0], located.statements[-1]
    downstream = listed(located.parameters[:4]) + (", ..." if len(located.parameters) > 4 else "")
    if first is not last:
        return (
            f"{first.place} to {last.line}: the error in {downstream} enters here; what comes "
            "before is right"
        )
    if located.lost is not None:
        return f"{first.place}: {located.lost.sentence}"
    mine = [v for v in located.values if v.statement is first and v.number in located.marks.wrong]
    mine = mine or [v for v in located.values if v.statement is first]
    mine = [v for v in mine if v.expression is not None] or mine  # no arguments
    name = mine[0].text if mine else "its value"
    sentence = f"{first.place}: {name} is wrong (upstream of {downstream})"
    if mine and name in located.parameters + tuple(f"d{p}" for p in located.parameters):
        sentence = f"{first.place}: {name} is wrong"
    sources = [source for source in _right_reads(located, mine) if source != name]
    if sources:
        made = (
            "which it is made of, is right"
            if len(sources) == 1
            else "which it is made of, are right"
        )
        sentence += f": {listed(sources)}, {made}"
    edit = located.edits.get(first)
    if edit is not None:
        sentence += f"; with `{edit.text}` in its place the whole gradient is right"
    return sentence


def _right_reads(located: Located, mine: Sequence[Value]) -> list[str]:
    """Return the right inputs of a wrong value, in the backward pass."""
    backward = {value.number for value in located.values}
    return list(
        dict.fromkeys(
            located.graph.values[number].text
            for value in mine[:1]
            for number in sorted(value.reads)
            if number in backward
            and number in located.marks.right
            and located.graph.values[number].array is not None
        )
    )[:3]


def _excerpt(located: Located) -> list[str]:
    """Return the statements around the line, with their marks."""
    statements = _around(located)
    width = max(len(s.place) for s in statements)
    lines = []
    for statement in statements:
        here = "  <- enters here" if statement in located.statements else ""
        text = (
            statement.text if len(statement.text) <= WIDEST else statement.text[: WIDEST - 1] + "…"
        )
        mark = MARK[_state(located, statement)]
        lines.append(f"  {statement.place:{width}}  {mark:5}  {text}{here}")
    return lines


def _around(located: Located) -> list[Statement]:
    first, last = located.statements[0], located.statements[-1]
    function = {v.statement for v in located.values if _same_function(v, located)}
    shown = sorted(
        (s for s in function | set(located.statements) if s is not None and not s.is_loop),
        key=lambda s: s.line,
    )
    before = [s for s in shown if s.line < first.line][-AROUND:]
    within = [s for s in shown if first.line <= s.line <= last.line]
    after = [s for s in shown if s.line > last.line][:AROUND]
    return [*before, *within, *after]


def _same_function(value: Value, located: Located) -> bool:
    codes = _codes(located.values, located.statements)
    return (
        value.statement is not None
        and value.statement.file == located.statements[0].file
        and (value.code in codes)
    )


def _codes(values: Values, statements: Iterable[Statement]) -> set[object]:
    wanted = set(statements)
    return {value.code for value in values if value.statement in wanted}


def _state(located: Located, statement: Statement) -> str:
    """Return the mark of a statement."""
    mine = {value.number for value in located.values if value.statement is statement}
    if statement in located.statements and len(located.statements) == 1:
        return "wrong"
    if mine & located.marks.shown:
        return "wrong"
    return "right" if mine & located.marks.right else "unknown"
