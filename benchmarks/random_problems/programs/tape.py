"""A small reverse mode of our own: programs of known operations, whose backward pass takes faults.

An operation is a function ``operation(*inputs, **options) -> (output, pullback)``, and
``pullback(upstream, fault)`` returns the gradients of its inputs. `fault` is "" or one of the
faults that the operation says it knows: what a programmer may get wrong in this very formula.
Faults that can be made anywhere (a factor, a sign, an assignment for an addition) are put in by
`Program.backward` around the pullback.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "OPERATIONS",
    "ROUNDINGS",
    "Array",
    "Injected",
    "Operation",
    "Program",
    "Pullback",
    "Step",
]

Array = npt.NDArray[Any]
Pullback = Callable[[Array, str], tuple[Array, ...]]
Tape = list[Pullback]

OPERATIONS: dict[str, Operation] = {}


def _bfloat16(values: Array) -> Array:
    """Round to eight binary digits."""
    mantissas, exponents = np.frexp(values)
    return np.asarray(np.ldexp(np.round(mantissas * 256) / 256, exponents))


ROUNDINGS: Mapping[str, Callable[[Array], Array]] = {
    "": lambda values: values,
    "float32": lambda values: values.astype(np.float32),
    "float16": lambda values: values.astype(np.float16).astype(np.float64),
    "bfloat16": _bfloat16,
    "decimals": lambda values: np.round(values, 4),
    "table": lambda values: np.round(values * 3000) / 3000,
}
"""What an operation may do to its inputs and to its output, by name."""

CONVERGED = {"tolerance": 1e-16}
"""Options of an inner iteration that is as exact as float64 is."""


@dataclass(frozen=True)
class Operation:
    """A differentiable function with its pullback, and the faults that its pullback knows.

    Attributes
    ----------
    name : str
    run : callable
        Takes the inputs and options; returns the output and the pullback.
    faults : tuple of str
        What the pullback can get wrong, by the names that `faults.KINDS` explains.
    """

    name: str
    run: Callable[..., tuple[Array, Pullback]]
    faults: tuple[str, ...]


Run = Callable[..., tuple[Array, Pullback]]


def operation(*faults: str) -> Callable[[Run], Run]:
    """Return a decorator that enters a function into `OPERATIONS`."""

    def enter(run: Run) -> Run:
        name = run.__name__.rstrip("_")
        OPERATIONS[name] = Operation(name, run, faults)
        return run

    return enter


@dataclass(frozen=True)
class Step:
    """One operation of a program: which slots it reads; it writes the next one.

    Attributes
    ----------
    name : str
        Of the operation.
    inputs : tuple of int
        Numbers of slots: first come the program's leaves, then the outputs of its steps.
    options : mapping
    rounding : str
        One of `ROUNDINGS` that its inputs and its output go through; none where empty.
    """

    name: str
    inputs: tuple[int, ...]
    options: Mapping[str, Any]
    rounding: str = ""


@dataclass(frozen=True)
class Injected:
    """A fault in the backward pass.

    Attributes
    ----------
    kind : str
        A name of `faults.KINDS`.
    step : int
        The step whose pullback has it.
    input : int
        Which of its inputs' gradients is concerned, for faults that can be made anywhere.
    amount : float
        The factor of a factor, the length of a shift, ...
    """

    kind: str
    step: int
    input: int = 0
    amount: float = 1.0


def _distorted(right: Array, fault: Injected) -> Array:
    """Return what a fault that can be made anywhere makes of the gradient of one input."""
    kind, amount = fault.kind, fault.amount
    if kind in ("factor", "slight factor"):
        return np.asarray(right * amount)
    if kind == "sign":
        return np.asarray(-right)
    if kind == "zero":
        return np.zeros_like(right)
    if kind == "transposed":
        return np.asarray(right.T)
    if kind == "symmetrized":
        return np.asarray(right + right.T)
    if kind == "shifted":
        return np.roll(right, 1, axis=-1)
    if kind == "averaged":
        return np.broadcast_to(right.mean(axis=0), right.shape)
    if kind == "offset":
        return np.asarray(right + amount * np.abs(right).max(initial=0.0))
    if kind == "one entry":
        result = np.array(right)
        result.flat[int(1e6 * amount) % result.size] *= 1 + amount
        return result
    return right


@dataclass(frozen=True)
class Program:
    """Steps that turn leaves into one array, the output of the last step.

    Attributes
    ----------
    leaves : int
        How many slots are given from outside: parameters and constants.
    steps : tuple of Step
    """

    leaves: int
    steps: tuple[Step, ...]

    def forward(self, leaves: Sequence[Array], exact: bool = False) -> tuple[Array, Tape]:
        """Return the output and the pullbacks; `exact` has no float32, and iterates to the end."""
        slots, tape = list(leaves), []
        for step in self.steps:
            inputs = [slots[number] for number in step.inputs]
            rounded = ROUNDINGS[step.rounding if not exact else ""]
            inputs = [rounded(one) for one in inputs]
            options = step.options
            if exact and "tolerance" in options:
                options = {**options, **CONVERGED}
            out, pullback = OPERATIONS[step.name].run(*inputs, **options)
            slots.append(np.asarray(rounded(out), np.float64))
            tape.append(pullback)
        return slots[-1], tape

    def backward(
        self,
        tape: Tape,
        upstream: Array,
        shapes: Sequence[tuple[int, ...]],
        fault: Injected | None = None,
    ) -> list[Array]:
        """Return the gradients of the leaves, whose shapes are given; None reached is zeros."""
        gradients: list[Array | None] = [None] * (self.leaves + len(self.steps))
        gradients[-1] = upstream
        for number in reversed(range(len(self.steps))):
            arrived = gradients[self.leaves + number]
            if arrived is None:
                continue
            here = fault if fault is not None and fault.step == number else None
            self._pull(number, tape[number], arrived, gradients, here)
        return [
            np.zeros(shape) if found is None else np.asarray(found, np.float64).reshape(shape)
            for found, shape in zip(gradients[: self.leaves], shapes, strict=True)
        ]

    def _pull(
        self,
        number: int,
        pullback: Pullback,
        arrived: Array,
        gradients: list[Array | None],
        fault: Injected | None,
    ) -> None:
        step = self.steps[number]
        kind = "" if fault is None else fault.kind
        own = kind if kind in OPERATIONS[step.name].faults else ""
        if kind == "ignores upstream":
            arrived = np.ones_like(arrived)
        parts = list(pullback(arrived, own))
        if fault is not None and not own:
            if kind == "swapped":
                parts[0], parts[1] = parts[1], parts[0]
            else:
                parts[fault.input] = _distorted(parts[fault.input], fault)
        for place, (slot, part) in enumerate(zip(step.inputs, parts, strict=True)):
            before = gradients[slot]
            lost = kind == "overwritten" and fault is not None and fault.input == place
            gradients[slot] = part if before is None or lost else before + part
