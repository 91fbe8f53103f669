"""Which values of a backward pass are right and which wrong, from pairs and parameters."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.diagnosis.line.pairing import Pairs, Values, bases_of
from pytest_gradcheck.diagnosis.line.recording.foreign import FOREIGN
from pytest_gradcheck.diagnosis.line.recording.source import Statement
from pytest_gradcheck.diagnosis.line.recording.values import Name, Value, is_path
from pytest_gradcheck.params.theta import FloatArray

__all__ = ["Faults", "Graph", "Marks", "final", "is_multiple", "leaves_of", "marked", "recomputed"]

EQUAL = 1e-12
"""Relative difference within which a value is a forward value that is computed again."""

RATIO = 1e-5
"""Relative difference within which two factors are equal."""

WIDEST = 50_000
"""Components of theta up to which a value is looked for anywhere in the gradient."""

WHOLE = slice(None)

PRODUCTS = ("@", "dot", "einsum", "outer", "matmul", "tensordot", "inner", "kron")
"""Words of sums of products, whose terms do not cancel by themselves."""


@dataclass(frozen=True)
class Faults:
    """The results of a check, as arrays over theta.

    Attributes
    ----------
    gradient, numerical, error_bars : array
    is_checked, is_wrong : bool array
    starts : mapping of int to str
        Where the parameters begin, and their names.
    """

    gradient: FloatArray
    numerical: FloatArray
    error_bars: FloatArray
    is_checked: npt.NDArray[np.bool_]
    is_wrong: npt.NDArray[np.bool_]
    starts: Mapping[int, str]

    def of(self, gradient: FloatArray) -> Faults | None:
        """Return the faults of the gradient of this run, or None if it has none."""
        if np.array_equal(gradient, self.gradient):
            return self
        off = ~self._agrees(gradient) & self.is_checked
        return replace(self, gradient=gradient, is_wrong=off) if off.any() else None

    def are_gone(self, gradient: FloatArray) -> bool:
        """Return whether a gradient agrees in all components."""
        return bool(np.all(self._agrees(gradient)[self.is_checked]))

    def agree(self, values: FloatArray, part: slice) -> bool:
        """Return whether values agree with a part of the numerical gradient."""
        return bool(np.all(self._agrees(values, part)))

    @cached_property
    def parts(self) -> tuple[slice, ...]:
        """The slices of the parameters in the gradient, in order."""
        starts = sorted(self.starts)
        ends = [*starts[1:], self.gradient.size]
        return tuple(slice(*pair) for pair in zip(starts, ends, strict=True))

    def _agrees(self, gradient: FloatArray, part: slice = WHOLE) -> npt.NDArray[np.bool_]:
        numerical = self.numerical[part]
        allowed = self.error_bars[part] + RATIO * (np.abs(gradient) + np.abs(numerical))
        near = np.abs(gradient - numerical) <= allowed
        return np.asarray(near & np.isfinite(gradient))


class Graph:
    """The inputs of each value, direct and indirect; a set of values is the bits of an integer."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.depends: Callable[[Value, Value], bool] = lambda value, read: True
        self._made_of = [1 << value.number for value in values]
        changed = True
        while changed:  # mostly twice: an array that a loop fills reads later values
            changed = False
            for value in values:
                mine = self._made_of[value.number]
                for read in value.reads:
                    mine |= self._made_of[read]
                if mine != self._made_of[value.number]:
                    self._made_of[value.number], changed = mine, True

    def made_of(self, numbers: Iterable[int]) -> int:
        """Return values and all of their inputs."""
        bits = 0
        for number in numbers:
            bits |= self._made_of[number]
        return bits

    @cached_property
    def foreign(self) -> int:
        """The values of arrays of other frameworks, whose inputs are not known."""
        return sum(1 << value.number for value in self.values if value.kind == FOREIGN)

    def origin_of(self, value: Value, held: bool = False) -> Value:
        """Return the value that a call has handed on; `held`: stop where it can be perturbed."""
        while value.kind == "passed" and len(value.reads) == 1:
            if held and value.handle is not None:
                break
            value = self.values[next(iter(value.reads))]
        return value

    def rounds_before(self, statement: Statement) -> dict[int, int]:
        """Return, for each execution of a statement, the first execution that it depends on."""
        mine = [value for value in self.values if value.statement is statement]
        all_of_mine = sum(1 << value.number for value in mine)
        found: dict[int, int] = {}
        for value in mine:
            sources = numbers_in(self.made_of([value.number]) & all_of_mine)
            first = min(self.values[number].execution for number in sources)
            found[value.execution] = min(first, found.get(value.execution, first))
        return found

    def proven_by(self, right: Iterable[int], stops: Iterable[int] = ()) -> int:
        """Return the inputs without which values could not be right; those of a sum may cancel."""
        bits, todo, stop = 0, list(right), set(stops)
        while todo:
            number = todo.pop()
            if bits >> number & 1 or number in stop:
                continue
            bits |= 1 << number
            value = self.values[number]
            if value.whole is not None:
                continue  # a whole number proves nothing of the other inputs of a call
            todo += [
                n
                for n in value.reads
                if not _may_cancel(value, self.values[n])
                if bits >> n & 1 or self.depends(value, self.values[n])
            ]
        return bits


def numbers_in(bits: int) -> Iterator[int]:
    """Yield the numbers of the values in a set."""
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low


def _may_cancel(value: Value, read: Value) -> bool:
    if value.statement is None or not 0 < value.size < read.size:
        return False
    return not any(word in value.statement.text for word in PRODUCTS)


@dataclass(frozen=True)
class Leaf:
    """A value that is a part of the gradient that was returned.

    Attributes
    ----------
    is_right : bool
    tells : bool
        Whether it proves something: all of it was checked, and it is not zero.
    ratio : float
        Its ratio to the numerical gradient, where that is a single number; else 0.
    part : slice
        Its place in theta.
    order : str
        Its memory order, ``C`` or ``F``.
    scale : float
        The factor from it to the gradient: -1 for forces.
    """

    is_right: bool
    tells: bool
    ratio: float
    part: slice
    order: Literal["C", "F"] = "C"
    scale: float = 1.0


def leaves_of(values: Values, graph: Graph, faults: Faults) -> dict[int, Leaf]:
    """Return the values that are parts of the gradient."""
    found: dict[int, Leaf] = {}
    for value in values:
        if value.array is None or not np.all(np.isfinite(value.array)):
            continue
        orders: tuple[Literal["C", "F"], ...] = ("C", "F") if value.array.ndim > 1 else ("C",)
        for order in orders:
            flat = value.array.ravel(order)
            start = _place_of(flat, value, faults)
            if start is not None:
                leaf = _leaf(flat, slice(start, start + flat.size), faults)
                found[value.number] = replace(leaf, order=order)
                break
    return _told_apart(graph, found, faults) or _multiples(values, faults)


def _told_apart(graph: Graph, leaves: dict[int, Leaf], faults: Faults) -> dict[int, Leaf]:
    """Return the leaves without rows that are equal: any of those may be the part."""
    rows: dict[tuple[int, int], list[int]] = defaultdict(list)
    whole = {(part.start, part.stop) for part in faults.parts}
    for number, leaf in leaves.items():
        is_row = (leaf.part.start, leaf.part.stop) not in whole
        if is_row and graph.values[number].region is not None:
            rows[leaf.part.start, leaf.part.stop].append(number)
    doubtful = {
        number
        for numbers in rows.values()
        if not all(graph.made_of([numbers[-1]]) >> number & 1 for number in numbers)
        for number in numbers
    }
    return {number: leaf for number, leaf in leaves.items() if number not in doubtful}


def _multiples(values: Values, faults: Faults) -> dict[int, Leaf]:
    """Return the values whose multiple is the gradient, or that of a parameter."""
    found: dict[int, Leaf] = {}
    parts: dict[int, list[slice]] = {}
    for part in faults.parts:
        if part.stop - part.start > 1:
            parts.setdefault(part.stop - part.start, []).append(part)
    gradients = {
        size: np.stack([faults.gradient[part] for part in mine]) for size, mine in parts.items()
    }
    for value in values:
        if value.array is None or value.array.size not in gradients:
            continue
        flat = value.array.ravel()
        if not np.all(np.isfinite(flat)) or not flat.any():
            continue
        gradient = gradients[flat.size]
        scales = gradient @ flat / (flat @ flat)
        close = np.isclose(scales[:, None] * flat, gradient, rtol=EQUAL, atol=0).all(axis=1)
        for number in np.flatnonzero(close & (scales != 0)):
            part, scale = parts[flat.size][number], float(scales[number])
            found[value.number] = replace(_leaf(scale * flat, part, faults), scale=scale)
    return found


def _place_of(flat: FloatArray, value: Value, faults: Faults) -> int | None:
    """Return the place of a vector in the gradient, or None."""
    gradient = faults.gradient
    if not flat.any() and flat.size < 3:
        return None
    starts: Iterable[int] = faults.starts
    if gradient.size <= WIDEST and flat.size > 1:  # a single number is often equal by chance
        starts = np.flatnonzero(gradient == flat[0]).tolist()
    found = [s for s in starts if np.array_equal(gradient[s : s + flat.size], flat)]
    bases = {base for name, _ in value.names for base in (name, *bases_of(name))}
    own = [start for start in found if faults.starts.get(start) in bases]
    return next(iter(own or found), None)


def _leaf(flat: FloatArray, part: slice, faults: Faults) -> Leaf:
    due, checked = faults.numerical[part], faults.is_checked[part]
    wrong = bool(faults.is_wrong[part].any())
    ratio = 0.0
    if wrong and checked.all() and np.all(np.isfinite(due)) and due.any():
        ratio = float(due @ flat / (due @ due))
        slack = RATIO * np.abs(flat) + abs(ratio) * faults.error_bars[part]
        ratio = ratio if np.all(np.abs(flat - ratio * due) <= slack) else 0.0
    return Leaf(not wrong, bool(checked.all() and flat.any()), ratio, part)


def final(values: Values, forward: Values) -> Callable[[Value], bool]:
    """Return a function that says whether a value is complete: no partial sum, and not reassigned.

    The terms of a sum are complete where the sum's name is that of another derivative.
    """
    known = {name for value in forward for name, _ in value.names}
    parts: set[int] = set()
    perhaps: set[int] = set()
    read: set[int] = set()
    for value in values:
        if value.kind == "passed":
            continue
        for number in _sources(values, value):
            before = values[number]
            over = value.inplace and before.holds == value.holds != 0 and before is not value
            same = before.place == value.place and before is not value
            effect = value.effect
            bases = {base for name, _ in value.names for base in bases_of(name)}
            adds = effect is not None and effect.adds(before.text) and not bases & known
            sums = adds or (same and effect is not None and effect.is_sum)
            (parts if over or sums else perhaps if same else read).add(number)
    parts |= perhaps - read
    return lambda value: value.number not in parts


def _sources(values: Values, value: Value) -> Iterator[int]:
    """Yield the inputs of a value, and the values that were handed on as those."""
    for number in value.reads:
        yield number
        while values[number].kind == "passed" and len(values[number].reads) == 1:
            (number,) = values[number].reads
            yield number


@dataclass(frozen=True)
class Marks:
    """What is known of the values of a backward pass, by their numbers.

    Attributes
    ----------
    right, wrong : set of int
    certain : set of int
        Those that are wrong as parts of the gradient, or under a name that other values confirm.
    returned : set of int
        The last value of each part of the gradient that is wrong.
    shown : set of int
        All values that are known to be wrong, those downstream included.
    """

    right: frozenset[int]
    wrong: frozenset[int]
    certain: frozenset[int]
    returned: frozenset[int]
    shown: frozenset[int]


def marked(
    graph: Graph, mine: Values, pairs: Pairs, leaves: dict[int, Leaf], again: Again
) -> Marks:
    """Return which values are right and which wrong.

    Some conventions leave a factor for later (``dZ = A - Y``, and ``1 / m`` in ``dW``). A factor
    counts as right where a value that depends on it is right.
    """
    telling = {number for number, leaf in leaves.items() if leaf.is_right and leaf.tells}
    exact = [number for number, factor in pairs.factors.items() if factor == 1]
    bad = _last_of_each(graph, leaves)
    turned = any(abs(leaves[number].ratio + 1) < RATIO for number in bad)
    bad = bad - set(numbers_in(graph.proven_by(exact))) or bad  # two errors may cancel
    below = graph.made_of(bad)
    good = graph.made_of(telling)
    contradicted = {read for number in pairs.wrong for read in graph.values[number].reads}
    negative = {n for n, factor in pairs.factors.items() if turned and abs(factor + 1) < RATIO}
    proven = [
        factor
        for number, factor in pairs.factors.items()
        if factor == 1
        or (good >> number & 1 and number not in negative and number not in contradicted)
    ]
    right = telling | again.same
    off = pairs.wrong | (negative & pairs.named.keys())
    for number, factor in pairs.factors.items():
        if number not in pairs.named and _is_taken_over(graph, number):
            continue  # its input is right, which does not prove its statement
        if any(abs(factor / known - 1) < RATIO for known in proven):
            right.add(number)
        elif proven and (number in pairs.named or not is_multiple(graph, number)):
            off.add(number)
    right -= bad | set(_handed_on(graph, bad))
    cleared = graph.proven_by(right, (off & pairs.sure) | again.other)
    doubted = {graph.values[n].statement for n in off - pairs.sure if cleared >> n & 1}
    off = {n for n in off if n in pairs.sure or graph.values[n].statement not in doubted}
    wrong = bad | {
        number
        for number in (off | again.other) - right
        if below >> number & 1
        if number in pairs.sure | again.other or not cleared >> number & 1
    }
    for value in mine:
        hands_on = value.kind == "passed" and value.expression is not None
        returns = value.statement is not None and value.statement.is_return
        if hands_on and not returns and value.reads <= right and value.number not in wrong:
            right.add(value.number)
    shown = wrong | {number for number, leaf in leaves.items() if not leaf.is_right}
    certain = wrong & (bad | pairs.sure | again.other)
    return Marks(*map(frozenset, (right, wrong, certain, bad, shown)))


def _is_taken_over(graph: Graph, number: int) -> bool:
    """Return whether a value is a multiple or a part of one of its inputs."""
    value = graph.values[number]
    is_part = is_path(value.expression) and value.effect is not None and not value.effect.augmented
    return is_part or is_multiple(graph, number)


def _handed_on(graph: Graph, numbers: Iterable[int]) -> Iterator[int]:
    """Yield the values that calls have handed on as these."""
    for number in numbers:
        value = graph.values[number]
        while value.kind == "passed" and len(value.reads) == 1:
            value = graph.values[next(iter(value.reads))]
            yield value.number


def _last_of_each(graph: Graph, leaves: dict[int, Leaf]) -> set[int]:
    """Return the last value of each wrong part of the gradient.

    A row does not count beside the whole array. A copy that another framework hands out does not
    count beside its original.
    """
    last: dict[tuple[int, int], int] = {}
    for number, leaf in leaves.items():
        part = leaf.part.start, leaf.part.stop
        handed_out = part in last and graph.made_of([number]) & graph.foreign
        if not leaf.is_right and not handed_out:
            last[part] = number
    return {
        number
        for (start, stop), number in last.items()
        if not any(
            first <= start and stop <= end and stop - start < end - first
            for (first, end), other in last.items()
            if other > number and graph.made_of([other]) >> number & 1
        )
    }


def is_multiple(graph: Graph, number: int) -> bool:
    """Return whether a value is a multiple of one of its inputs."""
    mine = graph.values[number].array
    for read in graph.values[number].reads:
        other = graph.values[read].array
        if mine is None or other is None or mine.shape != other.shape or mine.size < 2:
            continue
        if other.any():
            ratio = float(np.vdot(mine, other) / np.vdot(other, other))
            if np.allclose(mine, ratio * other, rtol=1e-9, atol=0):
                return True
    return False


@dataclass(frozen=True)
class Again:
    """Values that the backward pass computes again under the names of forward values.

    Attributes
    ----------
    same, other : frozenset of int
        Those that agree with the forward pass, and those that do not.
    """

    same: frozenset[int]
    other: frozenset[int]


def recomputed(mine: Values, forward: Values) -> Again:
    """Return the values that are computed again, and whether they agree."""
    there, here = _by_name(forward), _by_name(mine)
    same: set[int] = set()
    other: set[int] = set()
    for name, values in _by_name(mine, passed=True).items():
        partners = there.get(name, [])
        same |= {
            v.number
            for v in values
            if any(_is_same(v, p) for p in partners)
            if v.kind != "passed" or not _poses(v, there)
        }
    for name, values in here.items():
        partners = there.get(name, [])
        derived = any((base, name[1]) in there for base in bases_of(name[0]))
        if len(partners) != 1 or len(values) != 1 or derived:
            continue
        value, partner = values[0], partners[0]
        if value.number in same or not _is_meant_to_be(value, partner):
            continue
        if _are_zero(value, partner):
            same.add(value.number)
        else:
            other |= set(_first_other(value, mine, same, there))
    return Again(frozenset(same), frozenset(other))


def _first_other(
    value: Value, mine: Values, same: set[int], there: Mapping[Name, object]
) -> Iterator[int]:
    """Yield a value that does not agree, or instead of it the arguments that it depends on.

    Nothing is known of a value with another input that may not agree.
    """
    by_number = {other.number: other for other in mine}
    doubtful = [
        by_number[number]
        for number in value.reads - same
        if number in by_number and by_number[number].array is not None
    ]
    if not doubtful:
        yield value.number
    for read in doubtful:
        is_argument = read.kind == "passed" and read.expression is None
        if is_argument and any(name in there for name in read.names):
            yield read.number


def _poses(value: Value, there: Mapping[Name, object]) -> bool:
    """Return whether a value's name is that of a derivative of a forward value."""
    return any((base, key) in there for name, key in value.names for base in bases_of(name))


def _by_name(values: Values, passed: bool = False) -> dict[Name, list[Value]]:
    found: dict[Name, list[Value]] = defaultdict(list)
    for value in values:
        if passed or value.kind != "passed":
            for name in value.names:
                found[name].append(value)
    return found


def _is_same(value: Value, partner: Value) -> bool:
    if value.whole is not None:
        return value.whole == partner.whole
    one, two = value.array, partner.array
    if one is None or two is None or one.shape != two.shape or not one.any():
        return False
    return bool(np.allclose(one, two, rtol=EQUAL, atol=0))


def _are_zero(value: Value, partner: Value) -> bool:
    """Return whether both values are 0 throughout, which suffices where they have one name."""
    one, two = value.array, partner.array
    return one is not None and two is not None and not (one.any() or two.any())


def _is_meant_to_be(value: Value, partner: Value) -> bool:
    """Return whether a value is written like a forward value."""
    if value.statement is None or partner.statement is None or value.statement.is_loop:
        return False
    if value.whole is not None:
        return partner.whole is not None
    if value.array is None or partner.array is None or value.array.shape != partner.array.shape:
        return False
    targets = [v.effect.target if v.effect else None for v in (value, partner)]
    one, two = ("" if target is None else ast.unparse(target) for target in targets)
    return one == two
