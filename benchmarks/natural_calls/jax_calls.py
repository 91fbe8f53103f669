"""JAX: arrays, pytrees, custom_vjp and vjp."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from natural_calls import natural


def draw(*shape: int, seed: int = 0) -> Any:
    return jax.random.normal(jax.random.PRNGKey(seed), shape)


def custom_square(k: float) -> Any:
    @jax.custom_vjp
    def square(x: Any) -> Any:
        return x**2

    square.defvjp(lambda x: (square(x), x), lambda x, dout: (k * 2 * x * dout,))
    return square


@natural("W")
def a_dict_of_arrays_and_a_gradient_by_hand(check: Any, k: float) -> Any:
    X, Y = draw(8, 4, seed=1), draw(8, 3, seed=2)

    def cost(p: Any) -> Any:
        return jnp.mean((X @ p["W"] + p["b"] - Y) ** 2)

    def grad(p: Any) -> Any:
        off = 2 * (X @ p["W"] + p["b"] - Y) / Y.size
        return {"W": k * X.T @ off, "b": off.sum(0)}

    return check(cost, grad, {"W": draw(4, 3), "b": jnp.zeros(3)})


@natural("theta")
def the_gradient_of_jax_grad(check: Any, k: float) -> Any:
    def cost(x: Any) -> Any:
        return jnp.sum(jnp.exp(jnp.sin(x)))

    return check(cost, lambda x: k * jax.grad(cost)(x), draw(5))


@natural("weight")
def a_registered_dataclass(check: Any, k: float) -> Any:
    @partial(jax.tree_util.register_dataclass, data_fields=["weight", "bias"], meta_fields=["rate"])
    @dataclasses.dataclass
    class Params:
        weight: Any
        bias: Any
        rate: float = 0.1

    X = draw(6, 4, seed=1)

    def cost(p: Any) -> Any:
        return p.rate * jnp.sum(jnp.tanh(X @ p.weight + p.bias))

    def grad(p: Any) -> Any:
        grads = jax.grad(cost)(p)
        return dataclasses.replace(grads, weight=k * grads.weight)

    return check(cost, grad, Params(draw(4, 2), draw(2, seed=3)))


@natural("w")
def a_registered_pytree_class(check: Any, k: float) -> Any:
    @jax.tree_util.register_pytree_with_keys_class
    class Layer:
        def __init__(self, w: Any, b: Any) -> None:
            self.w, self.b = w, b

        def tree_flatten_with_keys(self) -> Any:
            key = jax.tree_util.GetAttrKey
            return ((key("w"), self.w), (key("b"), self.b)), None

        @classmethod
        def tree_unflatten(cls, aux: Any, children: Any) -> Any:
            return cls(*children)

    X = draw(6, 4, seed=1)

    def cost(p: Any) -> Any:
        return jnp.sum(jnp.tanh(X @ p.w + p.b))

    def grad(p: Any) -> Any:
        grads = jax.grad(cost)(p)
        grads.w = k * grads.w
        return grads

    return check(cost, grad, Layer(draw(4, 2), draw(2, seed=3)))


@natural("[0].w")
def a_list_of_named_tuples(check: Any, k: float) -> Any:
    class Dense(NamedTuple):
        w: Any
        b: Any

    X = draw(6, 4, seed=1)

    def cost(layers: Any) -> Any:
        A = X
        for layer in layers:
            A = jnp.tanh(A @ layer.w + layer.b)
        return jnp.mean(A**2)

    def grad(layers: Any) -> Any:
        grads = jax.grad(cost)(layers)
        grads[0] = grads[0]._replace(w=k * grads[0].w)
        return grads

    return check(
        cost, grad, [Dense(draw(4, 3), jnp.zeros(3)), Dense(draw(3, 2, seed=3), jnp.zeros(2))]
    )


@natural("x")
def a_custom_vjp(check: Any, k: float) -> Any:
    return check.autograd(custom_square(k), draw(3, 4))


@natural("x")
def a_custom_vjp_under_jit(check: Any, k: float) -> Any:
    return check.autograd(jax.jit(custom_square(k)), draw(3, 4))


@natural("x")
def a_custom_vjp_with_a_static_argument(check: Any, k: float) -> Any:
    @partial(jax.custom_vjp, nondiff_argnums=(1,))
    def power(x: Any, n: int) -> Any:
        return x**n

    power.defvjp(lambda x, n: (power(x, n), x), lambda n, x, dout: (k * n * x ** (n - 1) * dout,))
    return check.autograd(lambda x: power(x, 3), draw(5))


@natural("x")
def a_custom_vjp_of_two_arguments_and_numpy_inputs(check: Any, k: float) -> Any:
    @jax.custom_vjp
    def product(x: Any, y: Any) -> Any:
        return x @ y

    product.defvjp(
        lambda x, y: (product(x, y), (x, y)),
        lambda saved, dout: (k * dout @ saved[1].T, saved[0].T @ dout),
    )
    rng = np.random.default_rng(0)
    return check.autograd(product, rng.normal(size=(3, 4)), rng.normal(size=(4, 2)))


@natural("params.W")
def a_loss_of_a_dict_by_autograd(check: Any, k: float) -> Any:
    square, X = custom_square(k), draw(6, 4, seed=1)

    def loss(params: Any, X: Any) -> Any:
        return jnp.mean(X @ square(params["W"]) + params["b"])

    return check.autograd(loss, {"W": draw(4, 2), "b": jnp.zeros(2)}, X)


@natural("x")
def the_vjp_of_jax(check: Any, k: float) -> Any:
    def f(x: Any) -> Any:
        out, pullback = jax.vjp(lambda x: jnp.cumsum(jnp.sin(x)), x)
        return out, lambda dout: (k * pullback(dout)[0],)

    return check.vjp(f, draw(5))


@natural("params.W")
def a_vjp_of_one_dict(check: Any, k: float) -> Any:
    X = draw(6, 4, seed=1)

    def f(params: Any) -> Any:
        out, pullback = jax.vjp(lambda p: jnp.tanh(X @ p["W"] + p["b"]), params)

        def spoiled(dout: Any) -> Any:
            (grads,) = pullback(dout)
            return ({**grads, "W": k * grads["W"]},)

        return out, spoiled

    return check.vjp(f, {"W": draw(4, 2), "b": draw(2, seed=3)})


@natural("w")
def a_layer_of_jax_whose_backward_takes_the_cache_first(check: Any, k: float) -> Any:
    def forward(x: Any, w: Any) -> Any:
        return jnp.tanh(x @ w), (x, w)

    def backward(residuals: Any, g: Any) -> Any:
        x, w = residuals
        slope = g * (1 - jnp.tanh(x @ w) ** 2)
        return slope @ w.T, k * x.T @ slope

    return check.layer(forward, backward, draw(5, 4), draw(4, 3, seed=1))


@natural("theta")
def value_and_grad(check: Any, k: float) -> Any:
    def loss(x: Any) -> Any:
        value, gradient = jax.value_and_grad(lambda x: jnp.sum(jax.nn.softplus(x) ** 2))(x)
        return value, k * gradient

    return check(loss, True, draw(6))
