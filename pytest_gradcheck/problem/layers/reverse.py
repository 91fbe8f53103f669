"""The reverse modes of frameworks: how each differentiates a function.

Each is called as its users call it. A function with a custom backward pass is a function like any
other: the cost is its output, the gradient that of reverse mode.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from pytest_gradcheck.context import current
from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.params.frameworks import take
from pytest_gradcheck.params.frameworks.homemade import take as take_homemade
from pytest_gradcheck.params.layout import lay_out
from pytest_gradcheck.params.objects import attributes_of
from pytest_gradcheck.params.tree import Leaf, Node, Static, children_of, describe
from pytest_gradcheck.problem.layers.names import name_of

Function = Callable[..., Any]
Inputs = dict[str, Any]


class ReverseMode:
    """A framework's ways of calling and of differentiating a function."""

    def around(self) -> AbstractContextManager[Any]:
        """Return the context manager in which the framework keeps float64."""
        return nullcontext()

    def widened(self, value: Any) -> Any:
        """Return a tensor in float64, and anything else as it is."""
        return value

    def leaf(self, value: Any) -> Any:
        """Return a tensor as a leaf that is differentiated."""
        return value

    def output(self, f: Function, inputs: list[Any]) -> Any:
        """Return a function's output alone."""
        return f(*inputs)

    def is_checked(self, value: Any) -> bool:
        """Return whether a value is a tensor that reverse mode differentiates."""
        return _is_array(value)

    def checked(self, own: Inputs, inputs: Inputs) -> tuple[list[str], list[str]]:
        """Return the names of checked tensors, and of those left out."""
        every = {**own, **inputs}
        return [n for n, v in every.items() if _has(v, self.is_checked)], []

    def vjp(self, f: Function, inputs: list[Any]) -> tuple[Any, Callable[[Any], Any]]:
        """Return a function's output and its pullback.

        The pullback returns a list of gradients in the order of the inputs, nested like them.
        """
        raise NotImplementedError


class Torch(ReverseMode):
    """PyTorch."""

    def __init__(self) -> None:
        self._torch = sys.modules["torch"]

    def _is_float(self, value: Any) -> bool:
        is_tensor = isinstance(value, self._torch.Tensor)
        return is_tensor and (value.is_floating_point() or value.is_complex())

    def _is_number(self, value: Any) -> bool:
        return self._is_float(value) or (isinstance(value, np.ndarray) and value.dtype.kind == "f")

    def checked(self, own: Inputs, inputs: Inputs) -> tuple[list[str], list[str]]:
        """Return the tensors that require a gradient; if none does, all of them."""
        every = {**own, **inputs}
        floats = {n: list(_leaves(v, self._is_number)) for n, v in every.items()}
        floats = {name: tensors for name, tensors in floats.items() if tensors}
        wanted = [n for n, tensors in floats.items() if any(_requires(t) for t in tensors)]
        return wanted or list(floats), [n for n in floats if wanted and n not in wanted]

    def widened(self, value: Any) -> Any:
        """Return a tensor in float64."""
        if not self._is_float(value):
            return value
        wide = self._torch.complex128 if value.is_complex() else self._torch.float64
        return value.detach().to(wide).requires_grad_(value.requires_grad)

    def leaf(self, value: Any) -> Any:
        """Return a copy that requires a gradient, also of NumPy arrays."""
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            value = self._torch.tensor(value)
        return value.detach().clone().requires_grad_() if self._is_float(value) else value

    def output(self, f: Function, inputs: list[Any]) -> Any:
        """Return the output without a graph."""
        with self._torch.no_grad():
            return f(*inputs)

    def vjp(self, f: Function, inputs: list[Any]) -> tuple[Any, Callable[[Any], Any]]:
        """Return the output and the pullback of ``torch.autograd.grad``."""
        out = f(*inputs)
        leaves = [leaf for leaf in _leaves(inputs, self._is_float) if leaf.requires_grad]

        def pull(dout: Any) -> Any:
            pairs = list(
                zip(_leaves(out, self._is_float), _leaves(dout, self._is_float), strict=True)
            )
            pairs = [(one, upstream) for one, upstream in pairs if one.requires_grad]
            grads: Any = [None] * len(leaves)
            if pairs:
                outs, upstreams = zip(*pairs, strict=True)
                grads = self._torch.autograd.grad(
                    outs, leaves, upstreams, retain_graph=True, allow_unused=True
                )
            found = {id(leaf): grad for leaf, grad in zip(leaves, grads, strict=True)}
            return [_mapped(value, lambda leaf: found.get(id(leaf))) for value in inputs]

        return out, pull


class Jax(ReverseMode):
    """JAX."""

    def __init__(self) -> None:
        self._jax = sys.modules["jax"]
        self._numpy = self._jax.numpy

    def around(self) -> AbstractContextManager[Any]:
        """Return the context manager that enables float64 in JAX."""
        manager: AbstractContextManager[Any] = self._jax.enable_x64(True)
        return manager

    def _is_float(self, value: Any) -> bool:
        dtype = getattr(value, "dtype", None)
        return dtype is not None and bool(self._numpy.issubdtype(dtype, np.inexact))

    def is_checked(self, value: Any) -> bool:
        """Return whether a value is an array or a number with a fraction."""
        return isinstance(value, float) or self._is_float(value)

    def widened(self, value: Any) -> Any:
        """Return a JAX array in float64."""
        if not self.is_checked(value):
            return value
        wide = np.complex128 if self._numpy.iscomplexobj(value) else np.float64
        with self.around():
            return self._numpy.asarray(value, wide)

    def leaf(self, value: Any) -> Any:
        """Return NumPy arrays and numbers as JAX arrays, which custom_vjp requires."""
        return self._numpy.asarray(value) if isinstance(value, (np.ndarray, float)) else value

    def vjp(self, f: Function, inputs: list[Any]) -> tuple[Any, Callable[[Any], Any]]:
        """Return the output and the pullback of ``jax.vjp``."""
        out, pull = self._jax.vjp(f, *inputs)

        def conjugate(tree: Any) -> Any:
            """Conjugate JAX's gradients, which are dRe - i dIm, to dRe + i dIm."""
            return self._jax.tree_util.tree_map(_conjugate, tree)

        return out, lambda dout: list(conjugate(pull(conjugate(dout))))


class Autograd(ReverseMode):
    """HIPS autograd."""

    def vjp(self, f: Function, inputs: list[Any]) -> tuple[Any, Callable[[Any], Any]]:
        """Return the output and the pullback of autograd's ``make_vjp``."""
        from_core = sys.modules["autograd"].make_vjp
        boxes = sys.modules["autograd.builtins"]

        def boxed(*inputs: Any) -> Any:
            out = f(*inputs)
            return boxes.tuple(out) if type(out) in (tuple, list) else out

        numbers = [i for i, value in enumerate(inputs) if _has(value, _is_array)]
        pull, out = from_core(boxed, numbers)(*inputs)

        def complete(dout: Any) -> Any:
            grads: list[Any] = [None] * len(inputs)
            for number, grad in zip(numbers, pull(dout), strict=True):
                grads[number] = grad
            return grads

        return out, complete


class Remembering(ReverseMode):
    """Tensors that record their graph: mygrad, micrograd, tinygrad and the like."""

    def is_checked(self, value: Any) -> bool:
        """Return whether a value is a tensor of floats."""
        taken = take(value)
        return taken is not None and taken.array is not None and hasattr(value, "backward")

    def leaf(self, value: Any) -> Any:
        """Return a tensor that mygrad differentiates."""
        if getattr(value, "constant", False) and type(value).__module__.startswith("mygrad"):
            return type(value)(np.array(value.data), constant=False)
        return value

    def widened(self, value: Any) -> Any:
        """Return a tensor in float64."""
        if str(getattr(value, "dtype", "")) not in ("float32", "dtypes.float", "dtypes.float32"):
            return value
        if hasattr(value, "cast"):
            return value.cast("double").realize()
        return value.astype(np.float64)

    def vjp(self, f: Function, inputs: list[Any]) -> tuple[Any, Callable[[Any], Any]]:
        """Return the output and a pullback that reads the gradients from the inputs."""
        inputs = [each(value, _fresh) for value in inputs]  # backward adds to gradients
        out = f(*inputs)

        def pull(dout: Any) -> Any:
            outs, upstreams = _leaves(out, self.is_checked), _leaves(dout, self.is_checked)
            total: Any = None
            for one, upstream in zip(outs, upstreams, strict=True):
                weighed = _weighed(one, upstream)
                total = weighed if total is None else total + weighed
            if total is not None:
                total.backward()
            return [_mapped(value, lambda one: getattr(one, "grad", None)) for value in inputs]

        return out, pull


def _fresh(value: Any) -> Any:
    """Return a tensor of the same numbers without a gradient."""
    taken = take(value)
    return value if taken is None or taken.array is None else taken.rebuild(taken.parts)


def _weighed(out: Any, upstream: Any) -> Any:
    """Return the sum of an output's entries times those of an upstream gradient."""
    try:
        products = out * upstream
    except (TypeError, AttributeError):  # homemade, which multiply by numbers alone
        products = out * upstream.data
    return products.sum() if hasattr(products, "sum") else products


def _conjugate(value: Any) -> Any:
    return value.conj() if np.iscomplexobj(value) else value


def _requires(tensor: Any) -> bool:
    return bool(getattr(tensor, "requires_grad", False))


def _is_array(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, np.ndarray) and value.dtype.kind in "fc")


def each(value: Any, of: Callable[[Any], Any]) -> Any:
    """Return a nesting like another, with `of(tensor)` for each tensor."""
    try:
        layout = lay_out(value, foreign=current().extensions.flatten)
    except ProblemError as error:
        if error.code != "no-parameters":
            raise
        return value  # it holds no floats

    def built(node: Node) -> Any:
        if isinstance(node, Static):
            return node.value
        if isinstance(node, Leaf):
            return of(layout.owned[node.number].leaf)
        if node.foreign is not None and node.keys[0].kind == "whole":
            return of(node.original)
        return node.of([built(child) for child in node.children])

    return built(layout.root)


def _leaves(value: Any, is_leaf: Callable[[Any], bool]) -> Iterator[Any]:
    """Yield the tensors in any nesting of containers."""
    if is_leaf(value):
        yield value
        return
    for item in _inside(value):
        yield from _leaves(item, is_leaf)


def _has(value: Any, is_leaf: Callable[[Any], bool]) -> bool:
    return next((True for _ in _leaves(value, is_leaf)), False)


def _inside(value: Any) -> list[Any]:
    children = children_of(value)
    if children is not None:
        return [item for _, item in children]
    taken = take(value)
    if taken is None or taken.array is not None:
        return [item for _, item in attributes_of(value) or ()] if taken is None else []
    return list(taken.parts.values() if isinstance(taken.parts, Mapping) else taken.parts)


def _mapped(value: Any, of: Callable[[Any], Any]) -> Any:
    """Return `of(tensor)` for the tensors of a nesting, with lists for containers."""
    children = children_of(value)
    if children is None and take(value) is None:
        children = attributes_of(value)
    if children is None:
        return of(value)
    return [_mapped(item, of) for _, item in children]


def reverse_mode(f: Function, inputs: Mapping[str, Any]) -> ReverseMode:
    """Return the framework of a function or of its tensors.

    Raises
    ------
    ProblemError
        ``unknown-params`` if there is none.
    """
    values = [*inputs.values(), f, getattr(f, "__self__", None)]
    roots = {root for value in values for root in _roots(value, set())}
    if "torch" in roots:
        return Torch()
    if roots & {"jax", "jaxlib"}:
        return Jax()
    if roots & {"mygrad", "tinygrad", "homemade"}:
        return Remembering()
    kinds = {type(f(*inputs.values())).__module__.partition(".")[0]}
    if kinds & {"jax", "jaxlib"}:
        return Jax()
    if "autograd" in sys.modules:
        return Autograd()
    raise ProblemError(
        "unknown-params",
        f"{name_of(f)} is given no tensors of a framework with a reverse mode, but "
        f"{', '.join(map(describe, inputs.values()))}: hand over tensors of PyTorch, JAX, mygrad, "
        "micrograd or tinygrad, or NumPy arrays to a function of autograd's primitives",
    )


def _roots(value: Any, seen: set[int]) -> Iterator[str]:
    """Yield the top-level packages of the types of a value and its contents."""
    if id(value) in seen or value is None:
        return
    seen.add(id(value))
    kinds = value.__mro__ if isinstance(value, type) else type(value).__mro__
    yield from (kind.__module__.partition(".")[0] for kind in kinds)
    if hasattr(type(value), "backward") and take_homemade(value) is not None:
        yield "homemade"
        return
    for item in _inside(value):
        yield from _roots(item, seen)


FRAMEWORKS = frozenset(("torch", "jax", "jaxlib", "autograd", "mygrad", "micrograd", "tinygrad"))
"""Packages of frameworks: their functions are not the user's."""


def users_functions(f: Function) -> tuple[Function, ...]:
    """Return the user's own functions in a function of a framework."""
    owner = getattr(f, "__self__", f)
    parts = [f, *(getattr(f, name, None) for name in ("__wrapped__", "fun", "fwd", "bwd"))]
    parts += [getattr(owner, name, None) for name in ("forward", "backward")]
    inner = [getattr(part, "__wrapped__", part) for part in parts if callable(part)]
    return tuple(
        part
        for part in dict.fromkeys(inner)
        if not inspect.isbuiltin(part)  # as the `apply` of torch is from 2.14 on
        and str(getattr(part, "__module__", "")).partition(".")[0] not in FRAMEWORKS
    )


class Reversed:
    """A function of a framework as a pass: its output and its pullback."""

    def __init__(self, f: Function, mode: ReverseMode, wide: bool, known: Inputs) -> None:
        self._f, self._mode, self._known = f, mode, known
        self._wide = wide
        self.functions = users_functions(f)
        self.name = name_of(f)

    def _around(self) -> AbstractContextManager[Any]:
        return self._mode.around() if self._wide else nullcontext()

    def _bound(self, names: list[str]) -> Function:
        """Return the function of the checked inputs; the others stay bound at their positions."""
        order = list(self._known)

        def bound(*checked: Any) -> Any:
            values = {**self._known, **dict(zip(names, checked, strict=True))}
            return self._f(*(values[name] for name in order))

        return bound

    def output(self, *inputs: Any, names: list[str]) -> Any:
        """Return the output alone."""
        with self._around():
            return self._mode.output(self._bound(names), list(inputs))

    def forward(self, inputs: Inputs) -> tuple[Any, Callable[[Any], Any]]:
        """Return the output, and the pullback of reverse mode."""
        names = list(inputs)
        with self._around():
            out, pull = self._mode.vjp(self._bound(names), list(inputs.values()))

        def pulled(dout: Any) -> Any:
            with self._around():
                return dict(zip(names, pull(dout), strict=True))

        return out, pulled
