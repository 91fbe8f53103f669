"""Faults as programmers make them in a backward pass, and what a diagnosis should call them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from .programs import OPERATIONS, Array, Drawn, Injected, Program

__all__ = ["KINDS", "PENALTY_KINDS", "amount", "candidates", "patterns"]

KINDS: Mapping[str, tuple[str, ...]] = {
    "factor": ("scale",),
    "slight factor": ("scale",),
    "sign": ("sign",),
    "zero": ("zero",),
    "transposed": ("transposed",),
    "symmetrized": ("symmetrized",),
    "shifted": ("shifted",),
    "averaged": ("wrong-axis",),
    "offset": ("offset",),
    "one entry": ("partial",),
    "swapped": ("swapped",),
    "overwritten": ("accumulated",),
    "ignores upstream": ("ignores-upstream", "nonlinear-upstream"),
    "stale": ("stale",),
    "penalty missing": ("missing-regularization",),
    "penalty doubled": ("wrong-regularization",),
    "penalty halved": ("wrong-regularization",),
    "penalty subtracted": ("wrong-regularization",),
    "penalty everywhere": ("wrong-regularization",),
    "mask": ("mask",),
    "inverted": ("mask",),
    "transformed": ("transformed",),
    "axis": ("wrong-axis",),
    "mean": ("scale",),
    "accumulated": ("accumulated",),
    "flipped": ("shifted",),
    "order": ("shifted", "transposed"),
    "off by one": ("shifted",),
    "crosswise": ("shifted", "swapped"),
    "transposed inside": ("transposed",),
    "direction": (),
    "derivative": (),
    "branch": (),
    "term": (),
    "mean term": ("normalization",),
    "variance term": ("normalization",),
    "factor forgotten": (),
    "sign of one branch": (),
    "sign of one term": ("sign",),
    "last step": (),
    "first step": (),
    "truncated": (),
    "gates": (),
}
"""Every kind of fault, with the codes of findings that name it where it meets a parameter directly.

Deeper in the backward pass the same fault leaves another pattern, or none; `patterns` tells which
codes describe what is seen. Without a code, only such a description is right.
"""

PENALTY_KINDS = tuple(kind for kind in KINDS if kind.startswith("penalty"))

FACTORS = (2.0, 0.5, 3.0, 0.1, 10.0, 0.25)
SLIGHT = (1.1, 0.97, 1.01, 1.001)


def candidates(drawn: Drawn) -> Iterator[tuple[str, Injected]]:
    """Yield every fault that the backward pass of a program can have, by kind."""
    program = drawn.program
    live = _live(drawn)
    for number, step in enumerate(program.steps):
        concerned = [place for place, slot in enumerate(step.inputs) if slot in live]
        if not concerned:
            continue
        for kind in OPERATIONS[step.name].faults:
            yield kind, Injected(kind, number)
        yield "stale", Injected("stale", number)
        if number < len(program.steps) - 1:
            yield "ignores upstream", Injected("ignores upstream", number)
        for place in concerned:
            yield from _anywhere(drawn, number, place)
    yield from _overwritten(program, live)


def _live(drawn: Drawn) -> set[int]:
    """Return the slots that depend on parameters."""
    live = set(drawn.parameters)
    for number, step in enumerate(drawn.program.steps):
        if live.intersection(step.inputs):
            live.add(drawn.program.leaves + number)
    return live


def _shapes(drawn: Drawn) -> list[tuple[int, ...]]:
    slots = list(drawn.leaves)
    for step in drawn.program.steps:
        inputs = [slots[number] for number in step.inputs]
        slots.append(OPERATIONS[step.name].run(*inputs, **step.options)[0])
    return [slot.shape for slot in slots]


def _anywhere(drawn: Drawn, step: int, place: int) -> Iterator[tuple[str, Injected]]:
    inputs = drawn.program.steps[step].inputs
    shapes = _shapes(drawn)
    shape = shapes[inputs[place]]
    size = int(np.prod(shape))
    kinds = ["factor", "slight factor", "sign", "zero", "offset"]
    if size > 1:
        kinds += ["shifted", "one entry"]
    if len(shape) == 2 and shape[0] == shape[1] > 1:
        kinds += ["transposed", "symmetrized"]
    if len(shape) == 2 and shape[0] > 1:
        kinds += ["averaged"]
    if place == 0 and len(inputs) > 1 and shape == shapes[inputs[1]] and inputs[0] != inputs[1]:
        kinds += ["swapped"]
    for kind in kinds:
        yield kind, Injected(kind, step, place, float(size))


def _overwritten(program: Program, live: set[int]) -> Iterator[tuple[str, Injected]]:
    """Yield where a later contribution is lost: = for += of something that is used twice."""
    uses: dict[int, list[tuple[int, int]]] = {}
    for number, step in enumerate(program.steps):
        for place, slot in enumerate(step.inputs):
            uses.setdefault(slot, []).append((number, place))
    for slot, places in uses.items():
        if len(places) > 1 and slot in live and places[0][0] != places[1][0]:
            yield "overwritten", Injected("overwritten", *places[0])


def amount(kind: str, size: float, rng: np.random.Generator) -> float:
    """Return by how much a fault of a kind is off."""
    if kind == "factor":
        return float(rng.choice([*FACTORS, size, 1 / size])) if size > 1 else 2.0
    if kind == "slight factor":
        return float(rng.choice(SLIGHT))
    if kind == "offset":
        return float(rng.choice([1.0, 0.1, -0.5]))
    return float(10.0 ** rng.uniform(-2.5, 0)) if kind == "one entry" else 1.0


def patterns(exact: Array, wrong: Array) -> frozenset[str]:
    """Return the codes that truly describe how a gradient differs from the exact one."""
    size = float(np.abs(exact).max(initial=0.0))
    if not size:
        return frozenset({"unused", "offset"})
    same = np.abs(wrong - exact) <= 1e-6 * np.abs(exact) + 1e-9 * size
    if same.all():
        return frozenset()
    found = {"partial"} if same.any() else set()
    found |= _scaled(exact, wrong) | _rearranged(exact, wrong)
    if exact.ndim == 2 and not same.all(axis=1).all():
        rows = ~same.all(axis=1)  # those of a matrix whose outputs are wrong
        found |= _scaled(exact[rows], wrong[rows])
    if np.abs(wrong).max(initial=0.0) <= 1e-9 * size:
        found |= {"zero"}
    if exact.size > 1 and _close(wrong - exact, np.asarray((wrong - exact).mean()), size):
        found |= {"offset"}
    if np.all(same | (np.abs(wrong) <= 1e-9 * size)):
        found |= {"mask"}
    return frozenset(found)


def _close(one: Array, other: Array, size: float) -> bool:
    return bool(np.all(np.abs(one - other) <= 1e-6 * size))


def _scaled(exact: Array, wrong: Array) -> set[str]:
    """Return whether one is a constant times the other, or minus it."""
    size = float(np.abs(exact).max(initial=0.0))
    large = np.abs(exact) > 1e-3 * size
    if not size:
        return set()
    ratio = float(np.median(wrong[large] / exact[large]))
    if not _close(ratio * exact, wrong, size * max(abs(ratio), 1e-3)):
        return set()
    return {"sign"} if abs(ratio + 1) < 1e-9 else {"scale"}


def _rearranged(exact: Array, wrong: Array) -> set[str]:
    """Return whether the entries stand elsewhere, or are sums over an axis."""
    size, found = float(np.abs(exact).max(initial=0.0)), set()
    if _close(np.sort(exact, axis=None), np.sort(wrong, axis=None), size):
        found |= {"shifted"}
    if exact.ndim == 2 and exact.shape[0] == exact.shape[1]:
        both = exact + exact.T
        symmetric = _close(wrong + wrong.T, both, size) or _close(wrong, both, size)
        found |= {"transposed"} if _close(exact.T, wrong, size) else set()
        found |= {"symmetrized"} if symmetric else set()
        found |= {"asymmetric"} if _close(exact, exact.T, size) else set()
    for axis in (None, *range(exact.ndim)):
        total = exact.sum(axis=axis, keepdims=True)
        count = exact.size if axis is None else exact.shape[axis]
        if any(_close(wrong, total * share, size) for share in (1.0, 1 / count)):
            found |= {"wrong-axis"}
    return found
