"""Record every value that a run computes, with its statement and its inputs."""

from __future__ import annotations

import ast
from dataclasses import replace
from types import CodeType, FrameType
from typing import Any

import numpy as np

from pytest_gradcheck.diagnosis.line.recording.foreign import Foreign, is_foreign
from pytest_gradcheck.diagnosis.line.recording.source import Effect, Sources, Statement
from pytest_gradcheck.diagnosis.line.recording.tracing import Activation, Tracer
from pytest_gradcheck.diagnosis.line.recording.values import (
    COMPONENTS,
    MISSING,
    Scope,
    Value,
    entries,
    entry,
    hashable,
    is_container,
    is_float,
    is_path,
    is_row,
)
from pytest_gradcheck.diagnosis.line.recording.work import (
    NOTHING,
    Callers,
    Live,
    Spot,
    Whole,
    Work,
    arguments_of,
    call_of,
    handle_of,
    last_name,
    may_change,
    spelled,
    written_out,
)

__all__ = ["Recorder"]

VALUES = 5_000
"""Values of a run after which recording stops."""

ROWS = 200
"""Rows of an array that are recorded one by one."""


class Recorder(Tracer):
    """Records every value of a run.

    A place is ``("local", function, name)``, ``("entry", id of a container, key)``, ``("attribute",
    id of an object, name)``, ``("row", id of an array, index)``, ``("array", id)`` for one that is
    written into, or ``("returned", function, entry)``.

    Attributes
    ----------
    values : list of Value
    results : list of (entry, number)
        The values that the outermost functions return.
    exits : dict
        The return statement of each function, and under None that of the outermost.
    callers : Callers
    """

    def __init__(self, sources: Sources, until: float) -> None:
        super().__init__(sources, until)
        self.values: list[Value] = []
        self.results: list[tuple[Any, int]] = []
        self.exits: dict[CodeType | None, Statement] = {}
        self.callers = Callers()
        self._foreign = Foreign()
        self._at: dict[tuple[Any, ...], int] = {}
        self._objects: dict[int, int] = {}
        self._versions: dict[int, int] = {}
        self._rows: dict[int, int] = {}
        self._whole = Whole()
        self._live = Live()
        self._work: dict[int, Work] = {}
        self._kept: list[Any] = []

    def finish(self) -> None:
        """Copy all values, and release the user's objects."""
        for value in self.values:
            value.freeze()
        self._kept.clear()

    def at(self, place: tuple[Any, ...]) -> Value | None:
        """Return the last value that was assigned to a place."""
        number = self._at.get(place)
        return None if number is None else self.values[number]

    # Callbacks of the tracer.

    def entered(self, activation: Activation, frame: FrameType) -> None:
        """Bind arguments to the values that the caller passes."""
        self._work[activation.serial] = Work()
        below = self.caller(frame)
        self.callers.called(activation, below)
        given = self._work[below.serial].everything if below is not None else set()
        given_to = [(n, frame.f_locals.get(n, MISSING)) for n in arguments_of(frame.f_code)]
        self._foreign.enter((value for _, value in given_to), below is None)
        for name, value, known in [(*item, self._known(item[1])) for item in given_to]:
            place = ("local", activation.serial, name)
            if known is not None:
                self.values[known].names.add((name, None))
                self._at[place] = known
                if below is not None:  # the caller chooses the value
                    spot = Spot(place, self.values[known].text, None, NOTHING, set())
                    self._hand_on(below, spot, known, value)
            elif value is not MISSING and not is_container(value) and not callable(value):
                # It is computed in the line of the call, if the caller is the user's.
                spot = Spot(place, name, (name, None), NOTHING, given)
                self._add(below or activation, spot, value)

    def started(self, activation: Activation, frame: FrameType, statement: Statement) -> None:
        """Look up the inputs of a statement that is about to run."""
        scope = Scope(frame)
        work = self._work[activation.serial] = Work()
        for effect in statement.effects:
            found = work.reads[effect] = set()
            parts = work.parts[effect] = {}
            for key, part in written_out(effect.value).items():
                self._read(part, activation, scope, parts.setdefault(key, set()))
            self._read(effect.value, activation, scope, found)
            target = effect.target
            if isinstance(target, ast.Subscript):
                self._read(target.slice, activation, scope, found)
            if effect.augmented:
                self._read(target, activation, scope, found)
            self._expect(effect, work, scope)

    def finished(self, activation: Activation, frame: FrameType, statement: Statement) -> None:
        """Record the values that a statement has written."""
        scope = Scope(frame)
        work = self._work[activation.serial]
        for effect, reads in work.reads.items():
            if effect.target is not None:
                self._write(activation, scope, effect, reads | work.returned_to(effect))
            else:
                self._filled(activation, scope, effect, reads | work.returned)
        self._written_into(activation, work)

    def left(self, activation: Activation, frame: FrameType, value: Any) -> None:
        """Record the values that a function returns, for its caller as well."""
        statement = activation.statement
        if statement is None or not statement.is_return:
            return
        work = self._work[activation.serial]
        self._written_into(activation, work)
        apart = {effect.entry: effect for effect in statement.effects}
        several, below = isinstance(value, (tuple, list, dict)), self.caller(frame)
        self.exits[activation.code] = self.exits[None] = statement  # the outermost comes last
        if below is not None:
            self._work[below.serial].entries = {}
            if not several and is_container(value):
                self._reach(value, ("returned",), self._work[below.serial].returned)
        for key, item in entries(value)[1] if several else [(None, value)]:
            effect = apart.get(key, NOTHING)
            reads = work.reads.get(effect, work.everything) | work.returned
            number = self._return(activation, key, item, effect, reads)
            if number is not None and below is not None:
                self._work[below.serial].returned.add(number)
                self._work[below.serial].entries[key] = number
            elif number is not None:
                self.results.append((key, number))

    def _return(
        self, activation: Activation, key: Any, item: Any, effect: Effect, reads: set[int]
    ) -> int | None:
        """Return the number of a value that a function returns."""
        known = self._known(item)
        spot = Spot(("returned", activation.serial, hashable(key)), "", None, effect, reads)
        if known is not None:
            value = self.values[known]
            if not is_path(effect.value) or value.statement is activation.statement:
                return known
            return self._hand_on(activation, replace(spot, text=value.text), known, item)
        if item is None or is_container(item) or callable(item):
            return None
        name = (key, None) if isinstance(key, str) else None
        text = key if isinstance(key, str) else "the value returned"
        return self._add(activation, replace(spot, text=text, name=name), item).number

    # Inputs of a statement.

    def _known(self, value: Any, place: tuple[Any, ...] | None = None) -> int | None:
        """Return the newest value of an object."""
        at = None if place is None else self._at.get(place)
        if isinstance(value, (np.ndarray, float, np.floating)):
            at = self._objects.get(id(value)) if at is None else at
            version = self._versions.get(id(value))
            if version is not None and (at is None or version > at):
                return version
        return at

    def _read(
        self, node: ast.AST | None, activation: Activation, scope: Scope, found: set[int]
    ) -> None:
        """Add the values that an expression reads."""
        if node is None:
            return
        if isinstance(node, ast.Name):
            self._reach(scope.named(node.id), ("local", activation.serial, node.id), found)
        elif isinstance(node, ast.Attribute):
            base = scope.resolve(node.value)
            if base is MISSING or isinstance(base, (np.ndarray, np.generic)):
                self._read(node.value, activation, scope, found)
            elif is_foreign(base):
                found |= self._foreign.read(base, self.values, node.attr)
            else:
                self._reach(scope.resolve(node), ("attribute", id(base), node.attr), found)
        elif isinstance(node, ast.Subscript):
            self._read_entry(node, activation, scope, found)
        else:
            for child in ast.iter_child_nodes(node):
                self._read(child, activation, scope, found)

    def _read_entry(
        self, node: ast.Subscript, activation: Activation, scope: Scope, found: set[int]
    ) -> None:
        self._read(node.slice, activation, scope, found)
        base, key = scope.resolve(node.value), scope.index(node.slice)
        if isinstance(base, (dict, list, tuple)) and key is not MISSING:
            item = entry(base, key)
            if item is not MISSING:
                self._reach(item, ("entry", id(base), hashable(key)), found)
                return
        if isinstance(base, np.ndarray) and key is not MISSING:
            row = self._at.get(("row", id(base), repr(key)), self._whole.before(base, key))
            if row is not None:
                found.add(row)
                return
        self._read(node.value, activation, scope, found)

    def _reach(self, item: Any, place: tuple[Any, ...], found: set[int], depth: int = 2) -> None:
        """Add the value of an object, or the values in a container."""
        known = self._known(item, place)
        if known is not None:
            found.add(known)
        elif isinstance(item, np.ndarray):
            if isinstance(item.base, np.ndarray):
                self._reach(item.base, ("view",), found)
        elif is_foreign(item):
            found |= self._foreign.read(item, self.values)
        elif depth and item is not MISSING and is_container(item):
            kind, inside = entries(item)
            for key, part in inside:
                self._reach(part, (kind, id(item), hashable(key)), found, depth - 1)

    def _expect(self, effect: Effect, work: Work, scope: Scope) -> None:
        """Copy the arrays that an effect may write into."""
        target = effect.target
        into = scope.written(target)[0] if isinstance(target, ast.Subscript) else None
        if isinstance(into, np.ndarray):
            self._live.freeze(into)
        added_to = scope.resolve(target) if effect.augmented else None
        if isinstance(added_to, np.ndarray):
            self._live.freeze(added_to)
            work.arrays[effect] = added_to
        for array in may_change(effect, scope):
            if array.size <= COMPONENTS:
                self._live.freeze(array)
                work.checksums.append((array, hash(array.tobytes())))

    # Values that a statement writes.

    def _write(self, activation: Activation, scope: Scope, effect: Effect, reads: set[int]) -> None:
        target = effect.target
        item = scope.resolve(target)
        added_to = self._work[activation.serial].arrays.get(effect)
        if isinstance(target, ast.Name):
            place: tuple[Any, ...] = ("local", activation.serial, target.id)
            spot = Spot(place, target.id, (target.id, None), effect, reads)
        elif isinstance(target, ast.Attribute):
            base = scope.resolve(target.value)
            self._kept.append(base)
            text = ast.unparse(target)
            place = ("attribute", id(base), target.attr)
            spot = Spot(place, text, (target.attr, None), effect, reads)
        elif isinstance(target, ast.Subscript):
            base, key = scope.written(target)
            text = ast.unparse(target.value)
            if isinstance(base, np.ndarray):
                spot = Spot(("array", id(base)), text, last_name(target.value), effect, reads)
                self._write_into(activation, spot, base, key)
                return
            self._kept.append(base)
            name = (key, None) if isinstance(key, str) else (*last_name(target.value)[:1], key)
            place = ("entry", id(base), hashable(key))
            spot = Spot(place, f"{text}[{key!r}]", (name[0], hashable(name[1])), effect, reads)
        else:
            return
        if item is MISSING:
            return
        if added_to is item:
            self._write_into(activation, spot, item, MISSING)
        else:
            self._bind(activation, spot, item)

    def _bind(self, activation: Activation, spot: Spot, item: Any) -> None:
        """Record a value in a place."""
        effect = spot.effect
        self._foreign.make(item)
        if is_container(item):
            self._kept.append(item)
            self._at.pop(spot.place, None)
            self._bind_entries(activation, spot, item, 2)
            return
        known = None if isinstance(effect.value, ast.Constant) else self._known(item)
        if known is None:
            self._add(activation, spot, item).handle = handle_of(activation, spot)
            return
        source = self.values[known]
        copied = is_path(effect.value) and not effect.augmented and not effect.unpacked
        if copied and isinstance(effect.target, ast.Name):
            copy = self._add(activation, spot, item)
            copy.kind, copy.handle = "copied", handle_of(activation, spot)
            return
        source.names |= {spot.name} if spot.name else set()
        if source.handle is None:
            source.handle = handle_of(activation, spot)
            source.text = source.text if source.place[0] == "local" else spot.text
        if isinstance(effect.value, ast.Call) and not effect.unpacked:
            self._hand_on(activation, spot, known, item)
        else:
            self._at[spot.place] = known

    def _bind_entries(self, activation: Activation, spot: Spot, items: Any, depth: int) -> None:
        """Record the values in a container."""
        work = self._work[activation.serial]
        kind, inside = entries(items)
        parts = work.parts.get(spot.effect, {})
        for key, item in inside:
            if item is None or callable(item) or isinstance(item, str):
                continue
            label = f".{key}" if kind == "attribute" else f"[{key!r}]"
            base = spot.name[0] if spot.name else ""
            name = (key, None) if isinstance(key, str) else (base, hashable(key))
            place = (kind, id(items), hashable(key))
            reads = parts[key] | work.returned if key in parts else spot.reads
            inner = replace(spot, place=place, text=spot.text + label, name=name, reads=reads)
            inner = replace(inner, keys=(*spot.keys, key))
            known = self._known(item, place)
            if is_container(item):
                if depth > 1:
                    self._kept.append(item)
                    self._bind_entries(activation, inner, item, depth - 1)
            elif known is None:
                value = self._add(activation, inner, item)
                value.handle = handle_of(activation, inner)
                value.kind = "given" if is_path(spot.effect.value) else "computed"
            else:
                value = self.values[known]
                value.names.add(name)
                value.handle = value.handle or handle_of(activation, inner)
                if isinstance(spot.effect.value, ast.Dict):  # the statement chooses the value
                    self._hand_on(activation, inner, known, item)

    def _filled(
        self, activation: Activation, scope: Scope, effect: Effect, reads: set[int]
    ) -> None:
        """Record the containers that a call may have changed."""
        call = effect.value
        if not isinstance(call, ast.Call):
            return
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        for node in (*call.args, owner):
            items = scope.resolve(node)
            if node is not None and isinstance(items, (list, dict)):
                self._kept.append(items)
                into = Effect(node, call)
                work = self._work[activation.serial]
                work.parts[into] = work.parts.get(effect, {})
                spot = Spot((), ast.unparse(node), last_name(node), into, reads)
                self._bind_entries(activation, spot, items, 2)

    def _written_into(self, activation: Activation, work: Work) -> None:
        """Record arrays that a call has changed, unless the change was recorded inside of it."""
        reads = work.everything
        newest = max(reads, default=-1)
        for array, checksum in work.checksums:
            seen = self._versions.get(id(array), -1) > newest
            if not seen and hash(array.tobytes()) != checksum:
                known = self._known(array)
                text = "an array" if known is None else self.values[known].text
                spot = Spot(("array", id(array)), text, None, call_of(activation), reads)
                self._write_into(activation, spot, array, MISSING)

    def _write_into(self, activation: Activation, spot: Spot, array: Any, key: Any) -> None:
        """Record an array that was written into, and its row, if only a row was."""
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
            return
        reads, last = spot.reads, self._known(array)
        self._whole.written(array, key, last)
        if key is not MISSING and is_row(key):
            reads = reads | self._write_row(activation, spot, array, key)
        before = None if last is None else self.values[last]
        here = activation.statement
        goes_on = before is not None and before.inplace and before.statement is here
        if before is not None and goes_on and before.holds == id(array):  # a loop fills it
            before.reads |= reads - {before.number}
            before.execution, before.array = activation.execution, None
            self._live.hold(before, array)
            before.handle = handle_of(activation, spot) if is_float(array) else None
            return
        own = set() if before is None else {before.number}
        spot = replace(spot, place=("array", id(array)), reads=reads | own)
        value = self._add(activation, spot, array)
        value.inplace = True
        value.handle = handle_of(activation, spot) if is_float(array) else None
        value.names |= set() if before is None else before.names
        self._versions[id(array)] = value.number
        if isinstance(array.base, np.ndarray) and self._known(array.base) is not None:
            view = replace(spot, text=spot.text, name=None, reads={value.number}, effect=NOTHING)
            self._write_into(activation, view, array.base, MISSING)

    def _write_row(self, activation: Activation, spot: Spot, array: Any, key: Any) -> set[int]:
        count = self._rows.get(id(array), 0)
        if count >= ROWS:
            return set()
        self._rows[id(array)] = count + 1
        place = ("row", id(array), repr(key))
        before = self._at.get(place)
        name = None if spot.name is None else (spot.name[0], hashable(key))
        reads = spot.reads | (set() if before is None else {before})
        row = replace(
            spot, place=place, text=f"{spot.text}[{spelled(key)}]", name=name, reads=reads
        )
        value = self._add(activation, row, MISSING)
        value.inplace, value.region = True, key
        if is_float(array):
            value.live, value.handle = array, handle_of(activation, spot)
            value.freeze()
        return {value.number}

    def _hand_on(self, activation: Activation, spot: Spot, known: int, item: Any) -> int:
        """Add a value that a call hands on."""
        handed = self._add(activation, replace(spot, reads={known}), item)
        handed.kind, handed.names = "passed", self.values[known].names
        return handed.number

    def _add(self, activation: Activation, spot: Spot, item: Any) -> Value:
        """Add a value."""
        number = len(self.values)
        if number >= VALUES:
            raise OverflowError("too many values")
        value = Value(
            number,
            activation.statement,
            activation.execution,
            activation.code,
            spot.effect,
            spot.text,
            set() if spot.name is None else {spot.name},
            spot.place,
            set(spot.reads),
        )
        self.values.append(value)
        self._at[spot.place] = number
        if item is MISSING:
            return value
        self._kept.append(item)
        self._live.hold(value, item)
        if isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            value.whole = int(item)
        if isinstance(item, (np.ndarray, float, np.floating)):
            self._objects[id(item)] = number
            value.holds = id(item) if isinstance(item, np.ndarray) else 0
        return value
