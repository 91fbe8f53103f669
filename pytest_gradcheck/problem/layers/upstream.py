"""The upstream gradient of a layer: random and fixed. The first call tests its treatment.

The cost of a layer is the sum of its outputs, each times its entry of the upstream gradient. The
entries are random, since a constant one would cancel in normalizing layers, and scaled by how far
each output moves with the inputs, since a small output would be lost beside a large one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pytest_gradcheck.context import current
from pytest_gradcheck.errors import ProblemError, raised_as, wishes
from pytest_gradcheck.params.gradient import flatten_gradient
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.streams import stream
from pytest_gradcheck.params.theta import FloatArray, Theta

SEED = 0
"""Fixed, so that a run repeats."""

DIRECTIONS = 3
"""Random directions of the inputs, along which the size of each output's change is measured."""

DISTANCE = 1e-4
"""The distance along them, in lengths of the inputs."""

DULL = 1e-9
"""An output that changes by less than this part of its size changes by rounding alone."""

APART = 1e-4
"""Two pullbacks differ if they do by more than this part of the largest entry."""

Forward = Callable[[Any], Any]
"""Takes the inputs and returns the output."""

Pull = Callable[[Any], Any]
"""Takes the upstream gradient and returns the gradients of the inputs."""

Order = Callable[[Any], Any]
"""Returns an upstream gradient in some memory order."""


@dataclass
class Upstream:
    """The upstream gradient of one output, the same at every call.

    Attributes
    ----------
    name : str
        The name in messages of the function that returns the output.
    faults : list of (code, message)
        Findings of the first call of the backward pass.
    """

    name: str
    faults: list[tuple[str, str]] = field(default_factory=list)
    _values: FloatArray | None = None
    _is_examined: bool = False
    _telling: Order | None = None

    def weigh(self, out: Any, forward: Forward, inputs: Any) -> float:
        """Return the sum of an output's entries times the upstream gradient.

        Parameters
        ----------
        out : object
            Any nesting of arrays.
        forward : callable
            Returns such an output for other inputs, to measure the change of each entry.
        inputs : object
            What `out` was made of.
        """
        layout = self._layout(out)
        if self._values is None or self._values.size != layout.base.size:
            self._values = self._drawn(layout, forward, inputs)
        return float(np.dot(self._values, layout.base))

    @property
    def values(self) -> FloatArray:
        """The upstream gradient as one vector; empty before the first call."""
        return np.zeros(0) if self._values is None else self._values

    def compare(self, out: Any, primal: Any) -> None:
        """Record a fault if the output differs from that of the primal function."""
        here, there = self._layout(out), self._layout(primal)
        same = here.base.shape == there.base.shape
        coarse = min(parameter.digits for parameter in (*here.parameters, *there.parameters)) < 53
        size = np.abs(there.base).max(initial=0.0)
        slack = (1e-3 if coarse else 1e-6) * size
        apart = np.abs(here.base - there.base) > slack if same else np.ones(1, np.bool_)
        if not apart.any() or any(code == "primal" for code, _ in self.faults):
            return
        what = "have other shapes"
        if same:
            number = int(np.argmax(np.abs(here.base - there.base)))
            owner = there.owner(number)
            name = owner.component_name(owner.index(number)).replace("theta", "out", 1)
            what = f"differ: {name} is {here.base[number]:.6g} and {there.base[number]:.6g}"
        self.faults.append(
            (
                "primal",
                f"the output of {self.name} where it is differentiated and its output alone {what}",
            )
        )

    def pulled(self, out: Any, pull: Pull, pulls: Callable[[], Pull], inputs: Any) -> Any:
        """Return the gradients that a backward pass returns for the upstream gradient.

        The first call tests whether it changes that gradient, and whether it is linear in it for
        any memory order. If not, half of its answer to
        twice the gradient in another order is returned, so that the fault shows.

        Parameters
        ----------
        out : object
            The output.
        pull : callable
            The backward pass of the forward pass that returned it.
        pulls : callable
            Returns the backward pass of another forward pass.
        inputs : object
            What `out` was made of.
        """
        answer = self._unchanged(pull, out)
        if not self._is_examined:
            self._is_examined = True
            self._examine(answer, out, pulls, inputs)
        if self._telling is not None:
            return self._doubled(out, pulls, inputs, self._telling) / 2
        return answer

    @contextmanager
    def plainly(self) -> Iterator[None]:
        """Return the answer to the upstream gradient itself, linear or not."""
        before, self._telling = self._telling, None
        try:
            yield
        finally:
            self._telling = before

    def _layout(self, out: Any) -> Theta:
        try:
            return Theta(out, foreign=current().extensions.flatten)
        except ProblemError as error:
            raise ProblemError(
                "nonscalar-cost",
                f"the output of {self.name} is no float array to weigh with an upstream gradient, "
                f"but a {type(out).__name__}: return (out, cache), where out holds real floats",
            ) from error

    def _drawn(self, layout: Theta, forward: Forward, inputs: Any) -> FloatArray:
        drawn = stream("upstream", SEED).standard_normal(layout.base.size)
        if drawn.size > 1:
            drawn = drawn / self._sizes(layout.base, forward, inputs)
        return layout.stored(drawn, slice(0, drawn.size))

    @np.errstate(all="ignore")  # our step may leave the domain
    def _sizes(self, here: FloatArray, forward: Forward, inputs: Any) -> FloatArray:
        """Return the change of each output with the inputs, relative to the usual change."""
        squares, count = np.zeros(here.size), 0
        for moved in _moved(inputs):
            try:
                base = self._layout(forward(moved)).base
            except wishes():
                raise
            except Exception:  # outside of the domain
                continue
            if base.shape == here.shape and np.all(np.isfinite(base)):
                squares, count = squares + (base - here) ** 2, count + 1
        sizes = np.sqrt(squares / count) if count else np.abs(here)
        sizes = np.where(sizes > DULL * np.abs(here), sizes, 0.0)
        usual = float(np.median(sizes[sizes > 0])) if sizes.any() else 1.0
        return np.where(sizes > 0, sizes / usual, 1.0)

    def _like(self, out: Any, factor: float) -> Any:
        """Return a copy of the upstream gradient, times a factor, structured like an output."""
        assert self._values is not None
        layout = self._layout(out)
        layout.write(factor * self._values)
        return layout.tree

    def _unchanged(self, pull: Pull, out: Any) -> Any:
        """Return a backward pass's answer, and refuse a change of the upstream gradient."""
        dout = self._like(out, 1.0)
        answer = pull(dout)
        assert self._values is not None
        after = self._layout(dout)
        apart = after.base != self._values
        if apart.any():
            number = int(np.flatnonzero(apart)[0])
            owner = after.owner(number)
            name = "dout" if owner.name == "theta" else f"dout{_step(owner.name)}"
            raise ProblemError(
                "mutated-upstream",
                f"the backward pass of {self.name} changes the upstream gradient that it is given: "
                f"{name}{list(owner.index(number)) or ''} was {self._values[number]:.6g} and is "
                f"{after.base[number]:.6g} after the call. Another branch of the graph may still "
                f"need it: work on a copy",
            )
        return answer

    def _examine(self, answer: Any, out: Any, pulls: Callable[[], Pull], inputs: Any) -> None:
        """Test whether the pullback is linear in the upstream gradient, in any memory order."""
        theta = Theta(inputs, foreign=current().extensions.flatten)
        once = flatten_gradient(answer, theta)
        for order in self._orders(out):
            twice = self._doubled(out, pulls, inputs, order)
            where = _first_apart(twice, 2 * once, theta)
            if where is not None:
                break
        else:
            return
        self._telling = order
        plain = self._doubled(out, pulls, inputs, as_it_is)
        what = f"the backward pass of {self.name}"
        if _first_apart(plain, 2 * once, theta) is None:
            self.faults.append(
                (
                    "memory-order",
                    f"{what} is right for a contiguous upstream gradient only: in "
                    f"{ORDERS[order]} the gradient of {where} is another. Index it by its axes, "
                    "or copy it first",
                )
            )
        elif _first_apart(plain, once, theta) is None:
            self.faults.append(
                (
                    "ignores-upstream",
                    f"{what} ignores the upstream gradient: of twice that gradient it makes the "
                    "same. Multiply by dout",
                )
            )
        else:
            self.faults.append(
                (
                    "nonlinear-upstream",
                    f"{what} is not linear in the upstream gradient: of twice that gradient it "
                    f"does not make twice the gradient of {where}, or a second call differs from "
                    "the first",
                )
            )

    def _orders(self, out: Any) -> Iterator[Order]:
        """Yield the memory orders to test: Fortran's only where an array has several axes."""
        yield other_order
        if any(sum(n > 1 for n in parameter.shape) > 1 for parameter in self._layout(out).selected):
            yield fortran_order

    def _doubled(
        self, out: Any, pulls: Callable[[], Pull], inputs: Any, order: Order
    ) -> FloatArray:
        """Return a backward pass's answer to twice the upstream gradient, as one vector."""
        theta = Theta(inputs, foreign=current().extensions.flatten)
        dout = order(self._like(out, 2.0))
        if order is as_it_is:
            return flatten_gradient(pulls()(dout), theta)
        with raised_as(
            "gradient-raised",
            lambda error: (
                f"the backward pass of {self.name} takes a contiguous upstream gradient only, and "
                f"raised {error} for one in {ORDERS[order]}: copy it first "
                "(np.ascontiguousarray, .contiguous())"
            ),
        ):
            return flatten_gradient(pulls()(dout), theta)


def as_it_is(dout: Any) -> Any:
    """Return an upstream gradient in its own memory order."""
    return dout


def other_order(dout: Any) -> Any:
    """Return an upstream gradient of non-contiguous views with another order of axes."""
    if isinstance(dout, np.ndarray) and dout.dtype != object:
        wide = np.zeros((*dout.shape[::-1], 2), dout.dtype)
        view = wide[..., 0].T
        view[...] = dout
        return view
    if type(dout).__module__ == "torch" and hasattr(dout, "as_strided"):
        wide = dout.new_zeros((*reversed(dout.shape), 2))
        view = wide[..., 0].permute(tuple(reversed(range(dout.dim()))))
        return view.copy_(dout)
    return _inside(dout, other_order)


def fortran_order(dout: Any) -> Any:
    """Return an upstream gradient of contiguous arrays in Fortran order."""
    if isinstance(dout, np.ndarray) and dout.dtype != object:
        return np.array(dout, order="F")
    if type(dout).__module__ == "torch" and hasattr(dout, "as_strided"):
        turned = tuple(reversed(range(dout.dim())))
        return dout.permute(turned).contiguous().permute(turned)
    return _inside(dout, fortran_order)


def _inside(dout: Any, order: Order) -> Any:
    """Return an upstream gradient with the arrays in its containers in another memory order."""
    if type(dout) is dict:
        return {key: order(item) for key, item in dout.items()}
    if type(dout) in (list, tuple):
        return type(dout)(map(order, dout))
    return dout


ORDERS: dict[Order, str] = {
    other_order: "another memory order",
    fortran_order: "Fortran's memory order",
}
"""Their names in messages."""


def _moved(inputs: Any) -> Iterator[Any]:
    """Yield inputs a little way off, along random directions."""
    rng = stream("sizes of outputs", SEED)
    for _ in range(DIRECTIONS):
        theta = Theta(inputs, foreign=current().extensions.flatten)
        away = DISTANCE * lengths(theta) * rng.choice([-1.0, 1.0], theta.base.size)
        theta.write(theta.base + away * rng.uniform(0.5, 1.5, theta.base.size))
        yield theta.tree


def _first_apart(one: FloatArray, other: FloatArray, theta: Theta) -> str | None:
    """Return the name of the first input whose gradients differ by more than rounding, or None."""
    for parameter in theta.parameters:
        here, there = one[parameter.slice], other[parameter.slice]
        with np.errstate(invalid="ignore"):
            size = np.abs(here).max(initial=0.0) + np.abs(there).max(initial=0.0)
            if np.any(np.abs(here - there) > APART * size):
                return parameter.name
    return None


def _step(name: str) -> str:
    return name if name.startswith("[") else f".{name}"
