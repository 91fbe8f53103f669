"""Pair the values of the backward pass with the forward values whose derivatives they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pytest_gradcheck.diagnosis.line.perturb import Slope, Slopes
from pytest_gradcheck.diagnosis.line.recording.values import Name, Value

__all__ = ["Pairs", "Values", "bases_of", "factor_of", "paired"]

SAME = 1e-6
"""Relative difference within which a value agrees with the measured slope."""

APART = 1e-4
"""Relative difference beyond which it does not."""

BEFORE = (
    *("d_", "d", "D", "grad_", "grad", "g_", "delta_", "gradient_", "bar_", "adj_"),
    *("dL_d", "dJ_d", "dC_d", "dE_d", "dloss_d", "dcost_d", "dLd", "dJd", "dL", "dJ"),
)
"""Prefixes of the names of derivatives."""

BEHIND = ("_grad", "_grads", "_bar", "bar", "_adj", "_adjoint", "_gradient", "_g", "_d", "_b")
"""Suffixes of the names of derivatives."""

COMMON = (0.0, 1.0, -1.0, 2.0, 0.5)
"""Numbers that are often equal by chance."""

Values = Sequence[Value]


def bases_of(name: object) -> Iterator[str]:
    """Yield the names whose derivative a name may stand for.

    Examples
    --------
    >>> sorted(bases_of("dZ1")), sorted(bases_of("h_bar"))
    (['Z1'], ['h', 'h_'])
    """
    if not isinstance(name, str):
        return
    for prefix in BEFORE:
        if name.startswith(prefix) and len(name) > len(prefix):
            yield name[len(prefix) :]
    for suffix in BEHIND:
        if name.endswith(suffix) and len(name) > len(suffix):
            yield name[: -len(suffix)]


@dataclass
class Pairs:
    """What is known of the values of a backward pass, by their numbers.

    Attributes
    ----------
    factors : dict
        The ratio of a value to the derivative of its partner: 1 where it is right.
    named : dict
        The forward value, or partner, that its name refers to.
    sure : set
        Values whose name is confirmed by others of the same name.
    wrong : set
        Values that are not the derivative of the partner that their name refers to.
    slopes : dict
        The slopes with respect to partners.
    """

    factors: dict[int, float] = field(default_factory=dict)
    named: dict[int, Value] = field(default_factory=dict)
    sure: set[int] = field(default_factory=set)
    wrong: set[int] = field(default_factory=set)
    slopes: dict[int, list[Slope]] = field(default_factory=dict)


def factor_of(value: Value, slopes: Sequence[Slope]) -> float | None:
    """Return the ratio of a value to a derivative: 0 if it is not one number, None if unknown."""
    array = value.array
    assert array is not None
    factors = [
        (float(np.sum(array * slope.direction)) / slope.value, slope.error_bar / abs(slope.value))
        for slope in slopes
        if slope.tells
    ]
    if not factors:
        return None
    if all(abs(factor - 1) <= SAME + slack for factor, slack in factors):
        return 1.0
    first = factors[0][0]
    tells = array.size > 2 and len(factors) > 1 and first != 0
    if tells and all(abs(f / first - 1) <= SAME + 2 * slack for f, slack in factors):
        return first
    return 0.0 if any(abs(f - 1) > APART + 2 * slack for f, slack in factors) else None


def paired(
    backward: Values,
    forward: Values,
    slopes: Slopes,
    is_final: Callable[[Value], bool],
    repeats: Callable[[Value], bool],
    owned: Mapping[int, Value],
) -> Pairs:
    """Measure the slopes with respect to forward values, and compare backward values with them.

    Parameters
    ----------
    backward, forward : sequences of Value
    slopes : Slopes
    is_final : callable
        Whether a value is complete, and no partial sum.
    repeats : callable
        Whether a value is a multiple of one of its inputs.
    owned : mapping
        Partners that stand in the same object.
    """
    shapes: dict[tuple[int, ...], list[Value]] = defaultdict(list)
    for value in backward:
        if value.array is not None and value.kind != "passed":
            shapes[value.array.shape].append(value)
    answers = _asked(forward, shapes, slopes)

    def agrees(value: Value, partner: Value) -> bool:
        found = answers.get(partner.number)
        return found is not None and _alike(value, partner) and bool(factor_of(value, found))

    whole = [value for value in backward if is_final(value) and value.kind != "passed"]
    named, sure = _named(whole, forward, agrees)
    mine = {v.number: owned[v.number] for v in whole if v.number in owned}
    pairs = Pairs(named={**named, **mine}, sure=sure | set(mine))
    matches: dict[int, list[tuple[Value, float]]] = defaultdict(list)
    by_number = {value.number: value for value in forward}
    for number, found in answers.items():
        partner = by_number[number]
        assert partner.array is not None
        for value in shapes[partner.array.shape]:
            factor = factor_of(value, found)
            is_named = pairs.named.get(value.number) is partner
            if factor and (is_named or not _is_common(value)):
                matches[value.number].append((partner, factor))
            elif factor == 0 and is_named:
                pairs.wrong.add(value.number)
    _match(backward, matches, repeats, pairs)
    pairs.slopes.update(answers)
    return pairs


def _asked(
    forward: Values, shapes: Mapping[tuple[int, ...], list[Value]], slopes: Slopes
) -> dict[int, list[Slope]]:
    """Return the slopes with respect to forward values, along a second direction if in doubt."""
    usable = [
        value
        for value in forward
        if value.array is not None and value.array.shape in shapes
        if value.handle is not None and value.kind == "computed"
    ]
    answers: dict[int, list[Slope]] = {}
    for value in _from_the_end(usable):
        if slopes.calls < 4:
            break
        assert value.array is not None
        found = answers[value.number] = [slopes.ask(value, 0)]
        rivals = shapes[value.array.shape]
        if value.size > 2 and all(factor_of(rival, found) != 1 for rival in rivals):
            found.append(slopes.ask(value, 1))
    return answers


def _from_the_end(values: Values) -> Values:
    """Return values in the order: the last value of each statement, then the last but one."""
    by_statement: dict[object, list[Value]] = defaultdict(list)
    for value in reversed(values):
        by_statement[value.statement].append(value)
    queues = list(by_statement.values())
    longest = max(map(len, queues), default=0)
    return [queue[i] for i in range(longest) for queue in queues if i < len(queue)]


def _alike(value: Value, partner: Value) -> bool:
    """Return whether two values have the same shape."""
    if value.array is None or partner.array is None:
        return False
    return value.array.shape == partner.array.shape


def _is_common(value: Value) -> bool:
    return value.size == 1 and value.array is not None and float(value.array.ravel()[0]) in COMMON


def _named(
    backward: Values, forward: Values, agrees: Callable[[Value, Value], bool]
) -> tuple[dict[int, Value], set[int]]:
    """Return the partners that names refer to, and the values whose name others confirm.

    Values of one name run through the partners in reverse order, like layers and time steps. Most
    values agree at the offset that is chosen.
    """
    partners: dict[Name, list[Value]] = defaultdict(list)
    for value in forward:
        if value.kind == "computed" and value.handle is not None:
            for name in _called(value):
                partners[name].append(value)
    mine: dict[Name, list[Value]] = defaultdict(list)
    for value in backward:
        for name, key in sorted(_called(value), key=repr):  # the first pair that fits is taken
            for base in dict.fromkeys(bases_of(name)):
                if (base, key) in partners and value not in mine[base, key]:
                    mine[base, key].append(value)
    named: dict[int, Value] = {}
    sure: set[int] = set()
    for which, values in mine.items():
        pairs, score = _aligned(values, partners[which][::-1], agrees)
        if not score and len(values) > len(partners[which]):
            continue
        for value, partner in pairs:
            if _alike(value, partner):
                named.setdefault(value.number, partner)
                sure |= {value.number} if score else set()
    return named, sure


def _called(value: Value) -> set[Name]:
    """Return a value's names, and for an entry of a list (``hs[t]``) those of the list."""
    kept = {name for name, key in value.names if key is not None and isinstance(name, str)}
    plural = {name[:-1] for name in kept if len(name) > 1 and name.endswith("s")}
    return value.names | {(name, None) for name in kept | plural}


def _aligned(
    values: Values, partners: Values, agrees: Callable[[Value, Value], bool]
) -> tuple[list[tuple[Value, Value]], int]:
    """Return the pairs at the offset at which most agree, and the number that agree."""
    best: tuple[int, int, int] | None = None
    chosen: list[tuple[Value, Value]] = []
    for offset in range(1 - len(values), len(partners)):
        pairs = [
            (value, partners[i + offset])
            for i, value in enumerate(values)
            if 0 <= i + offset < len(partners)
        ]
        score = sum(agrees(*pair) for pair in pairs)
        rank = (score, sum(_alike(*pair) for pair in pairs), -abs(offset))
        if best is None or rank > best:
            best, chosen = rank, pairs
    return chosen, best[0] if best else 0


def _match(
    backward: Values,
    matches: Mapping[int, list[tuple[Value, float]]],
    repeats: Callable[[Value], bool],
    pairs: Pairs,
) -> None:
    """Give every backward value one partner, and every partner the first value that matches.

    A value that repeats an earlier one proves nothing of its own line.
    """
    taken: set[int] = set()
    for value in backward:
        options = matches.get(value.number, [])
        mine = [option for option in options if option[0] is pairs.named.get(value.number)]
        free = [option for option in mine or options if option[0].number not in taken]
        exact = [option for option in free if option[1] == 1]
        if not mine and value.number in pairs.wrong:
            if not exact or repeats(value):
                continue
            pairs.wrong.discard(value.number)  # the derivative of another value
            del pairs.named[value.number]
            if value.number not in pairs.sure:
                continue
        if exact or free:
            partner, factor = max(exact or free, key=lambda option: option[0].number)
            taken.add(partner.number)
            pairs.factors[value.number] = factor
