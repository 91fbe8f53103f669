"""Functions with a backward pass of their own: forty that are right, and forty with one fault.

Each is written once, over an array namespace, and made a custom function of PyTorch, JAX and HIPS
autograd. They are what such functions are written for: kinks (ReLU, sorting, pooling, norms at
zero), ties, sampling at positions, stable forms for large inputs, products in float32 and bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

Forward = Callable[[Any, Any], Any]
"""Takes the namespace (NumPy's or JAX's) and the input."""

Backward = Callable[[Any, Any, Any], Any]
"""Takes the namespace, the input and the upstream gradient."""


class CustomFunction(NamedTuple):
    """A function, its backward pass, and where both are looked at."""

    name: str
    forward: Forward
    backward: Backward
    x: Any


def _relu(xp: Any, x: Any) -> Any:
    return xp.maximum(x, 0)


def _relu_back(xp: Any, x: Any, dout: Any) -> Any:
    return dout * (x > 0)


def _softmax(xp: Any, x: Any) -> Any:
    e = xp.exp(x - xp.max(x))
    return e / xp.sum(e)


def _softmax_back(xp: Any, x: Any, dout: Any) -> Any:
    p = _softmax(xp, x)
    return p * (dout - xp.sum(dout * p))


def _logsumexp(xp: Any, x: Any) -> Any:
    m = xp.max(x)
    return m + xp.log(xp.sum(xp.exp(x - m)))


def _sort_back(xp: Any, x: Any, dout: Any) -> Any:
    return dout[xp.argsort(xp.argsort(x, stable=True), stable=True)]


def _pooled(xp: Any, x: Any) -> Any:
    return xp.max(xp.stack([x[:-1], x[1:]]), axis=0)


def _pooled_back(xp: Any, x: Any, dout: Any) -> Any:
    left = x[:-1] >= x[1:]
    zero = xp.zeros(1, x.dtype)
    return xp.concatenate([dout * left, zero]) + xp.concatenate([zero, dout * ~left])


def _norm(xp: Any, x: Any) -> Any:
    return xp.sqrt(xp.sum(x * x))


def _norm_back(xp: Any, x: Any, dout: Any) -> Any:
    n = _norm(xp, x)
    return dout * x / xp.where(n > 0, n, 1.0)


IMAGE = np.random.default_rng(11).normal(size=9)


def _sampled(xp: Any, x: Any) -> Any:
    """Read a row of pixels at positions between them, as deformable convolutions do."""
    image, low = xp.asarray(IMAGE, dtype=x.dtype), xp.floor(x)
    i = low.astype("int32")
    return image[i] * (1 - (x - low)) + image[i + 1] * (x - low)


def _sampled_back(xp: Any, x: Any, dout: Any) -> Any:
    image, i = xp.asarray(IMAGE, dtype=x.dtype), xp.floor(x).astype("int32")
    return dout * (image[i + 1] - image[i])


MATRIX = np.random.default_rng(12).normal(size=(4, 4))


def _product(kind: str) -> tuple[Forward, Backward]:
    """Return a product with a matrix that is taken in another dtype."""

    def low(xp: Any, value: Any) -> Any:
        if kind == "bfloat16":
            import ml_dtypes

            return xp.asarray(value).astype(ml_dtypes.bfloat16).astype("float32")
        return xp.asarray(value).astype(kind)

    def forward(xp: Any, x: Any) -> Any:
        return xp.tanh((low(xp, MATRIX) @ low(xp, x)).astype(x.dtype))

    def backward(xp: Any, x: Any, dout: Any) -> Any:
        slope = dout * (1 - forward(xp, x) ** 2)
        return (low(xp, MATRIX).T @ low(xp, slope)).astype(x.dtype)

    return forward, backward


def _normalized(xp: Any, x: Any) -> Any:
    return x / xp.sqrt(xp.mean(x * x) + 1e-6)


def _normalized_back(xp: Any, x: Any, dout: Any) -> Any:
    r = 1 / xp.sqrt(xp.mean(x * x) + 1e-6)
    return r * dout - x * r**3 * xp.mean(x * dout)


def _huber(xp: Any, x: Any) -> Any:
    return xp.where(xp.abs(x) < 1, 0.5 * x * x, xp.abs(x) - 0.5)


def _huber_back(xp: Any, x: Any, dout: Any) -> Any:
    return dout * xp.clip(x, -1, 1)


def _sinc(xp: Any, x: Any) -> Any:
    safe = xp.where(x == 0, 1.0, x)
    return xp.where(x == 0, 1.0, xp.sin(safe) / safe)


def _sinc_back(xp: Any, x: Any, dout: Any) -> Any:
    safe = xp.where(x == 0, 1.0, x)
    return dout * xp.where(x == 0, 0.0, (xp.cos(safe) - xp.sin(safe) / safe) / safe)


def _elementwise(f: Callable[[Any, Any], Any], slope: Callable[[Any, Any], Any]) -> Any:
    return f, lambda xp, x, dout: dout * slope(xp, x)


def right() -> Iterator[CustomFunction]:
    """Yield the forty right ones: each of twenty at two inputs."""
    for seed in (0, 1):
        rng = np.random.default_rng(40 + seed)
        z = rng.normal(size=4 + seed)
        tied = np.round(2 * z) / 2
        single, half = _product("float32"), _product("bfloat16")
        for name, (forward, backward), x in (
            ("ReLU", (_relu, _relu_back), z),
            ("ReLU at 0", (_relu, _relu_back), np.array([0.0, *z])),
            ("absolute value at 0", _elementwise(_abs, _sign), np.array([*z, 0.0])),
            ("sort", (lambda xp, x: xp.sort(x), _sort_back), z),
            ("sort with ties", (lambda xp, x: xp.sort(x), _sort_back), np.array([*tied, tied[0]])),
            ("overlapping maxima", (_pooled, _pooled_back), z),
            ("overlapping maxima with ties", (_pooled, _pooled_back), np.array([*z, z[-1], z[-1]])),
            ("norm", (_norm, _norm_back), z),
            ("norm at 0", (_norm, _norm_back), np.zeros(3 + seed)),
            ("softmax", (_softmax, _softmax_back), z),
            ("log-sum-exp of large inputs", (_logsumexp, _logsumexp_back), 800 + 2 * z),
            ("cube of large inputs", _elementwise(_cube, _cube_slope), 1e3 * (2 + np.abs(z))),
            ("square of tiny inputs", _elementwise(_square, _twice), 1e-6 * z),
            ("inputs of many sizes", _elementwise(_sin, _cos), 10.0 ** np.linspace(-6, 0, 5)),
            ("sampling at positions", (_sampled, _sampled_back), 3 + np.clip(z, -2.5, 2.5)),
            ("product in float32", single, rng.normal(size=4)),
            ("product in bfloat16", half, rng.normal(size=4)),
            ("RMS normalization", (_normalized, _normalized_back), z),
            ("Huber at its corner", (_huber, _huber_back), np.array([1.0, *z])),
            ("sinc at 0", (_sinc, _sinc_back), np.array([0.0, *z])),
        ):
            yield CustomFunction(f"{name} ({seed + 1})", forward, backward, x)


def _abs(xp: Any, x: Any) -> Any:
    return xp.abs(x)


def _sign(xp: Any, x: Any) -> Any:
    return xp.sign(x)


def _cube(xp: Any, x: Any) -> Any:
    return x**3


def _cube_slope(xp: Any, x: Any) -> Any:
    return 3 * x**2


def _square(xp: Any, x: Any) -> Any:
    return x * x


def _twice(xp: Any, x: Any) -> Any:
    return 2 * x


def _sin(xp: Any, x: Any) -> Any:
    return xp.sin(x)


def _cos(xp: Any, x: Any) -> Any:
    return xp.cos(x)


def _logsumexp_back(xp: Any, x: Any, dout: Any) -> Any:
    return dout * _softmax(xp, x)


def _ramp(xp: Any, dx: Any, factor: float) -> Any:
    """Return a gradient whose largest entry is off by a factor."""
    largest = xp.argmax(xp.abs(dx))
    return xp.where(xp.arange(dx.size) == largest, factor * dx, dx)


FAULTS: tuple[tuple[str, Callable[[Any, Any, Any], Any]], ...] = (
    ("one entry 2 % off", lambda xp, dx, dout: _ramp(xp, dx, 1.02)),
    ("twice as large", lambda xp, dx, dout: 2 * dx),
    ("one entry of the other sign", lambda xp, dx, dout: _ramp(xp, dx, -1.0)),
    ("the upstream gradient squared", lambda xp, dx, dout: dx * xp.sum(dout**2)),
)


def wrong() -> Iterator[CustomFunction]:
    """Yield the same forty, each with one fault; at a point where the gradient is not all zero."""
    for number, case in enumerate(right()):
        kind, spoil = FAULTS[number % len(FAULTS)]
        coarse = "float" in case.name
        if coarse:
            kind, spoil = FAULTS[1]  # 2 % are beyond what bfloat16 can tell
        x = case.x if case.x.any() else case.x + 0.5

        def backward(
            xp: Any, x: Any, dout: Any, case: CustomFunction = case, spoil: Any = spoil
        ) -> Any:
            return spoil(xp, case.backward(xp, x, dout), dout)

        yield CustomFunction(f"{case.name}: {kind}", case.forward, backward, x)


def in_torch(case: CustomFunction) -> Any:
    """Return a case as the ``apply`` of a custom function of PyTorch."""
    import torch

    class Custom(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.tensor(case.forward(np, x.detach().numpy()))

        @staticmethod
        def backward(ctx: Any, dout: Any) -> Any:
            (x,) = ctx.saved_tensors
            return torch.tensor(case.backward(np, x.detach().numpy(), dout.numpy()))

    return Custom.apply


def in_jax(case: CustomFunction) -> Any:
    """Return a case as a function of JAX with a rule of its own."""
    import jax

    def primal(x: Any) -> Any:
        return case.forward(jax.numpy, x)

    f = jax.custom_vjp(primal)
    f.defvjp(lambda x: (primal(x), x), lambda x, dout: (case.backward(jax.numpy, x, dout),))
    return f


def in_autograd(case: CustomFunction) -> Any:
    """Return a case as a primitive of HIPS autograd."""
    from autograd.extend import defvjp, primitive

    @primitive
    def f(x: Any) -> Any:
        return case.forward(np, x)

    defvjp(f, lambda ans, x: lambda dout: case.backward(np, x, dout))
    return f
