"""A function of JAX with a rule of its own: ``jax.custom_vjp``.

``gradcheck.autograd(f, *inputs)`` checks what ``jax.vjp`` makes of it against differences of `f`
itself, so a rule whose forward pass computes something else fails as well.
"""

from __future__ import annotations

from typing import Any

import pytest

from pytest_gradcheck import GradCheck, GradientError

jax: Any = pytest.importorskip("jax")
jnp = jax.numpy


def log1pexp(backward: Any) -> Any:
    """Return log(1 + exp(x)), which overflows without a rule, with a backward pass."""

    def f(x: Any) -> Any:
        return jnp.log1p(jnp.exp(x))

    custom = jax.custom_vjp(f)
    custom.defvjp(lambda x: (f(x), x), backward)
    return custom


def draw(*shape: int, seed: int = 0) -> Any:
    return jax.random.normal(jax.random.PRNGKey(seed), shape)


def test_rule(gradcheck: GradCheck) -> None:
    gradcheck.autograd(log1pexp(lambda x, dout: (dout / (1 + jnp.exp(-x)),)), draw(5))


def test_loss_of_a_pytree(gradcheck: GradCheck) -> None:
    softplus = log1pexp(lambda x, dout: (dout * jax.nn.sigmoid(x),))
    X = draw(6, 4, seed=1)

    def loss(params: Any) -> Any:
        return jnp.mean(softplus(X @ params["W"] + params["b"]))

    gradcheck.autograd(jax.jit(loss), {"W": draw(4, 2), "b": jnp.zeros(2)})


def test_a_rule_with_a_wrong_sign(gradcheck: GradCheck) -> None:
    wrong = log1pexp(lambda x, dout: (dout / (1 + jnp.exp(x)),))
    with pytest.raises(GradientError, match=r"x\[\d\]"):
        gradcheck.autograd(wrong, draw(5))
