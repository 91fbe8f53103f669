"""How programs are drawn: recipes add operations to what is there, as long as it stays in range."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .tape import OPERATIONS, Array, Program, Step

__all__ = ["Builder", "Drawn", "Leaf", "draw"]

STEPS = 1000
"""From this number on, a reference is to a step's output; below, to a leaf."""

LARGEST = 1e4
"""Values beyond are not kept: another operation is drawn instead."""

MOST_ENTRIES = 40
"""Of an array, where nothing else is said."""

Leaf = Callable[[np.random.Generator, tuple[int, ...], str], Array]
"""Draws a leaf of a shape; its role is ``input``, ``weight``, ``bias`` or ``number``."""


@dataclass(frozen=True)
class Drawn:
    """A program with values of its leaves.

    Attributes
    ----------
    program : Program
    leaves : list of array
    parameters : tuple of int
        Which leaves are parameters, of those that any step uses; the others are constants.
    """

    program: Program
    leaves: list[Array]
    parameters: tuple[int, ...]

    @property
    def moved_steps(self) -> list[int]:
        """The steps whose outputs depend on a parameter."""
        slots = set(self.parameters)
        found: list[int] = []
        for number, step in enumerate(self.program.steps):
            if not slots.isdisjoint(step.inputs):
                slots.add(self.program.leaves + number)
                found.append(number)
        return found

    @property
    def unrounded(self) -> Drawn:
        """The same problem without any rounding inside."""
        steps = tuple(replace(step, rounding="") for step in self.program.steps)
        return replace(self, program=replace(self.program, steps=steps))


class Builder:
    """A program that grows, with the values that its slots have at the point of the draw.

    Parameters
    ----------
    rng : Generator
    leaf : callable
        Draws their values.
    most : int
        So many parameters at most.
    entries : int
        So many of an array at most.
    """

    def __init__(
        self, rng: np.random.Generator, leaf: Leaf, most: int, entries: int = MOST_ENTRIES
    ) -> None:
        self.rng = rng
        self._leaf, self._most, self._entries = leaf, most, entries
        self.leaves: list[Array] = []
        self.parameters: list[int] = []
        self.steps: list[Step] = []
        self.values: dict[int, Array] = {}
        self.unused: list[int] = []
        self._hidden: set[int] = set()

    def constant(self, value: Array) -> int:
        """Return a reference to a new constant."""
        self.leaves.append(value)
        self.values[len(self.leaves) - 1] = value
        return len(self.leaves) - 1

    def parameter(self, value: Array) -> int:
        """Return a reference to a new parameter."""
        number = self.constant(value)
        self.parameters.append(number)
        return number

    def leaf(self, shape: tuple[int, ...], role: str = "input") -> int:
        """Return a reference to a new leaf: a parameter, or sometimes a constant."""
        value = self._leaf(self.rng, shape, role)
        if self.parameters and (len(self.parameters) >= self._most or self.rng.random() < 0.3):
            return self.constant(value)
        return self.parameter(value)

    def scaled_parameter(self, values: Array, scales: Array) -> int | None:
        """Return a reference to a new parameter over its scales."""
        raw = self.parameter(values * scales)
        self._hidden.add(raw)
        return self.apply("unscaled", raw, scales=scales)

    def apply(self, name: str, *inputs: int, **options: Any) -> int | None:
        """Add an operation and return its output; None where that leaves the range."""
        values = [self.values[one] for one in inputs]
        with np.errstate(all="ignore"):
            out, _ = OPERATIONS[name].run(*values, **options)
        sound = np.all(np.isfinite(out)) and np.max(np.abs(out), initial=0.0) < LARGEST
        if not sound or not 0 < out.size <= self._entries:
            return None
        self.steps.append(Step(name, inputs, options))
        reference = STEPS + len(self.steps) - 1
        self.values[reference] = out
        self.unused = [one for one in self.unused if one not in inputs] + [reference]
        return reference

    def pick(self, dimensions: int | None = None) -> int:
        """Return a slot: mostly one that is not used yet, or a new leaf where none fits."""
        fits = [one for one in self._pool() if dimensions in (None, self.values[one].ndim)]
        fresh = [one for one in fits if one in self.unused]
        if fits and self.rng.random() < 0.9:
            among = fresh if fresh and self.rng.random() < 0.75 else fits
            return int(self.rng.choice(among))
        sizes = self.rng.integers(2, 5, size=dimensions or int(self.rng.integers(1, 3)))
        return self.leaf(tuple(int(size) for size in sizes))

    def like(self, slot: int) -> int:
        """Return another slot of the same shape, or a new leaf of it."""
        shape = self.values[slot].shape
        fits = [one for one in self._pool() if self.values[one].shape == shape and one != slot]
        return int(self.rng.choice(fits)) if fits else self.leaf(shape)

    def finished(self, scalar: bool) -> Drawn:
        """Return the program: all that is unused, in one vector, and a cost of that if wanted."""
        flat = [self._flat(one) for one in self.unused]
        while len(flat) > 1:
            together = self._forced("joined", flat[0], flat[1])
            flat = [together, *flat[2:]]
        if scalar:
            self._head(flat[0])
        shift = len(self.leaves)
        steps = tuple(
            replace(step, inputs=tuple(n - STEPS + shift if n >= STEPS else n for n in step.inputs))
            for step in self.steps
        )
        used = {slot for step in steps for slot in step.inputs}
        parameters = tuple(number for number in self.parameters if number in used)
        return Drawn(Program(shift, steps), self.leaves, parameters)

    def _pool(self) -> list[int]:
        return [n for n, value in self.values.items() if value.ndim and n not in self._hidden]

    def _forced(self, name: str, *inputs: int, **options: Any) -> int:
        values = [self.values[one] for one in inputs]
        self.steps.append(Step(name, inputs, options))
        reference = STEPS + len(self.steps) - 1
        self.values[reference] = OPERATIONS[name].run(*values, **options)[0]
        return reference

    def _flat(self, slot: int) -> int:
        value = self.values[slot]
        return slot if value.ndim == 1 else self._forced("reshaped", slot, shape=(value.size,))

    def _head(self, slot: int) -> None:
        size = self.values[slot].size
        kind = self.rng.integers(3)
        if kind == 0:
            slot = self._forced("square", slot)
        if kind == 1:
            self._forced("log_sum_exp", slot, axis=0)
            return
        weights = self.rng.uniform(0.5, 1.5, size) * self.rng.choice([-1, 1], size)
        slot = self._forced("multiply", slot, self.constant(weights))
        self._forced("total" if kind else "mean", slot, axis=0)


Recipe = Callable[[Builder], int | None]


def _unary(name: str) -> Recipe:
    return lambda b: b.apply(name, b.pick())


def _after(first: str, name: str) -> Recipe:
    """Return a recipe of an operation whose domain another one leads into."""

    def recipe(b: Builder) -> int | None:
        slot = b.apply(first, b.pick())
        return None if slot is None else b.apply(name, slot)

    return recipe


def _along(name: str) -> Recipe:
    def recipe(b: Builder) -> int | None:
        slot = b.pick(2)
        return b.apply(name, slot, axis=int(b.rng.integers(2)))

    return recipe


def _binary(name: str) -> Recipe:
    def recipe(b: Builder) -> int | None:
        slot = b.pick()
        return b.apply(name, slot, b.like(slot))

    return recipe


def _broadcast(name: str) -> Recipe:
    """Return a recipe whose second input is a row, or one number."""

    def recipe(b: Builder) -> int | None:
        slot = b.pick(2)
        shape = (b.values[slot].shape[1],) if b.rng.random() < 0.7 else ()
        return b.apply(name, slot, b.leaf(shape, "bias"))

    return recipe


def _dense(b: Builder) -> int | None:
    slot = b.pick(2)
    rows, columns = b.values[slot].shape
    units = int(b.rng.choice([rows, columns, 2, 3]))
    weights = b.leaf((columns, units), "weight")
    return b.apply("dense", slot, weights, b.leaf((units,), "bias"))


def _layer(activation: str) -> Recipe:
    def recipe(b: Builder) -> int | None:
        slot = _dense(b)
        return None if slot is None else b.apply(activation, slot)

    return recipe


def _matmul(b: Builder) -> int | None:
    slot = b.pick(2)
    return b.apply("matmul", slot, b.leaf((b.values[slot].shape[1], 3), "weight"))


def _cholesky(b: Builder) -> int | None:
    slot = b.apply("product_with_itself", b.pick(2))
    return None if slot is None else b.apply("cholesky", slot)


def _invertible(name: str) -> Recipe:
    """Return a recipe of an operation on a matrix that is regular and not symmetric."""

    def recipe(b: Builder) -> int | None:
        slot = b.apply("product_with_itself", b.pick(2))
        if slot is None:
            return None
        columns = b.constant(b.rng.uniform(0.5, 1.5, len(b.values[slot])))
        slot = b.apply("multiply", slot, columns)
        return None if slot is None else b.apply(name, slot)

    return recipe


def _solve(b: Builder) -> int | None:
    slot = b.apply("product_with_itself", b.pick(2))
    if slot is None:
        return None
    return b.apply("solve", slot, b.leaf((len(b.values[slot]), 2)))


def _attention(b: Builder) -> int | None:
    q = b.pick(2)
    size = b.values[q].shape[1]
    keys = int(b.rng.integers(2, 5))
    return b.apply("attention", q, b.leaf((keys, size)), b.leaf((keys, 2)))


def _quadratic_form(b: Builder) -> int | None:
    slot = b.pick(2)
    size = b.values[slot].shape[1]
    return b.apply("quadratic_form", slot, b.leaf((size, size), "weight"))


def _gather(b: Builder) -> int | None:
    slot = b.pick()
    rows = b.rng.integers(len(b.values[slot]), size=int(b.rng.integers(2, 6)))
    return b.apply("gather", slot, rows=rows)


def _scatter(b: Builder) -> int | None:
    slot = b.pick()
    count = int(b.rng.integers(2, 4))
    rows = b.rng.integers(count, size=len(b.values[slot]))
    return b.apply("scatter", slot, rows=rows, count=count)


def _labelled(name: str) -> Recipe:
    def recipe(b: Builder) -> int | None:
        slot = b.pick(2)
        rows, classes = b.values[slot].shape
        return b.apply(name, slot, labels=b.rng.integers(classes, size=rows))

    return recipe


def _chosen(b: Builder) -> int | None:
    slot = b.pick()
    chosen = b.rng.random(b.values[slot].shape) < 0.5
    return b.apply("where", slot, b.like(slot), chosen=chosen)


def _dropout(b: Builder) -> int | None:
    slot = b.pick()
    return b.apply("dropout", slot, kept=b.rng.random(b.values[slot].shape) < 0.6)


def _reshaped(b: Builder) -> int | None:
    slot = b.pick(2)
    rows, columns = b.values[slot].shape
    return b.apply("reshaped", slot, shape=(columns, rows))


def _part(b: Builder) -> int | None:
    slot = b.pick()
    size = len(b.values[slot])
    start = int(b.rng.integers(size - 1)) if size > 1 else 0
    return b.apply("part", slot, start=start, stop=int(b.rng.integers(start + 1, size + 1)))


def _joined(b: Builder) -> int | None:
    slot = b.pick()
    return b.apply("joined", slot, b.like(slot))


def _windowed(name: str) -> Recipe:
    """Return a recipe of an operation that needs rows of three or more."""

    def recipe(b: Builder) -> int | None:
        slot = b.pick(2)
        if b.values[slot].shape[1] < 3:
            slot = b.leaf((2, int(b.rng.integers(4, 7))))
        if name == "convolved":
            return b.apply(name, slot, b.leaf((int(b.rng.integers(2, 4)),), "weight"))
        if name == "max_pooled":
            return b.apply(name, slot, length=2, stride=int(b.rng.integers(1, 3)))
        return b.apply(name, slot, length=2)

    return recipe


def _windows(b: Builder) -> int | None:
    slot = b.pick()
    if len(b.values[slot]) < 3:
        return None
    return b.apply("windows", slot, length=2)


def _looked_up(b: Builder) -> int | None:
    return b.apply("looked_up", b.pick(), b.leaf((int(b.rng.integers(4, 8)),)))


def _recurrence(b: Builder) -> int | None:
    slot = b.pick(2)
    units, inputs = int(b.rng.integers(2, 4)), b.values[slot].shape[1]
    shared = b.leaf((units, units), "weight")
    return b.apply(
        "recurrence", slot, b.leaf((inputs, units), "weight"), shared, b.leaf((units,), "bias")
    )


def _gated(b: Builder) -> int | None:
    slot = b.pick(2)
    return b.apply("gated", slot, b.leaf((b.values[slot].shape[1], 6), "weight"))


def _smoothed(b: Builder) -> int | None:
    return b.apply("smoothed", b.pick(), b.leaf((), "number"))


def _fixed_point(b: Builder) -> int | None:
    return b.apply("fixed_point", b.pick(), b.leaf((), "number"), tolerance=1e-16)


def _flow(b: Builder) -> int | None:
    slot = b.pick(2)
    size = b.values[slot].shape[1]
    return b.apply("flow", slot, b.leaf((size, size), "weight"), steps=3)


def _product(b: Builder) -> int | None:
    slot = b.apply("softplus", b.pick(2))
    return None if slot is None else b.apply("product", slot, axis=int(b.rng.integers(2)))


KINKED: Mapping[str, Recipe] = {
    **{name: _unary(name) for name in ("relu", "leaky_relu", "absolute", "elu", "clip", "huber")},
    "relu layer": _layer("relu"),
    "clipped layer": _layer("clip"),
    "pinball": _unary("pinball"),
    "maximum": _binary("maximum"),
    "largest": _along("largest"),
    "hinge": _labelled("hinge"),
    "sort": _unary("sort"),
    "max_pooled": _windowed("max_pooled"),
    "looked_up": _looked_up,
}
"""Recipes with kinks."""

SMOOTH: Mapping[str, Recipe] = {
    **{
        name: _unary(name)
        for name in (
            *("sine", "tanh", "sigmoid", "exponential", "square", "cube", "softplus", "gelu"),
            *("sinc", "lifted", "cumulated", "reversed"),
        )
    },
    **{
        name: _along(name)
        for name in (
            *("total", "mean", "norm", "log_sum_exp", "deviation", "softmax", "log_softmax"),
            *("normalized", "unit"),
        )
    },
    **{name: _binary(name) for name in ("add", "subtract", "multiply", "divide", "hypotenuse")},
    **{f"{name}, broadcast": _broadcast(name) for name in ("add", "subtract", "multiply")},
    "cholesky": _cholesky,
    **{name: _invertible(name) for name in ("log_determinant", "inverse")},
    "logarithm": _after("lifted", "logarithm"),
    "root": _after("lifted", "root"),
    "product": _product,
    "dense": _dense,
    "tanh layer": _layer("tanh"),
    "softplus layer": _layer("softplus"),
    "matmul": _matmul,
    "outer": lambda b: b.apply("outer", b.pick(1), b.pick(1)),
    "solve": _solve,
    "distances": lambda b: b.apply("distances", b.pick(2)),
    "attention": _attention,
    "quadratic_form": _quadratic_form,
    "gather": _gather,
    "scatter": _scatter,
    "cross_entropy": _labelled("cross_entropy"),
    "where": _chosen,
    "dropout": _dropout,
    "reshaped": _reshaped,
    "transpose": lambda b: b.apply("transpose", b.pick(2)),
    "part": _part,
    "joined": _joined,
    "windows": _windows,
    "mean_pooled": _windowed("mean_pooled"),
    "convolved": _windowed("convolved"),
    "recurrence": _recurrence,
    "gated": _gated,
    "smoothed": _smoothed,
    "fixed_point": _fixed_point,
    "flow": _flow,
}
"""Recipes without."""


def draw(b: Builder, steps: int, kinks: float) -> None:
    """Add so many operations, with kinks in this share of them."""
    for _ in range(steps):
        recipes = KINKED if b.rng.random() < kinks else SMOOTH
        name = str(b.rng.choice(list(recipes)))
        recipes[name](b)
    if not b.steps:
        b.apply("sine", b.pick())
