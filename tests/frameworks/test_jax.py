"""JAX: arrays and pytrees stay what they are, and faults of custom rules are named."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck import Report, check_gradients

jax: Any = pytest.importorskip("jax")
jnp = jax.numpy


def draw(*shape: int, seed: int = 0) -> Any:
    return jax.random.normal(jax.random.PRNGKey(seed), shape)


def wrong(report: Report) -> list[str]:
    return sorted({c.parameter for c in report.components if c.verdict == "bug"})


def causes(report: Report) -> list[str]:
    return [finding.code for finding in report.findings if finding.severity == "cause"]


def custom(primal: Any, forward: Any, backward: Any) -> Any:
    f = jax.custom_vjp(primal)
    f.defvjp(forward, backward)
    return f


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_arrays_keep_their_dtype(dtype: str) -> None:
    x = draw(4).astype(dtype)
    seen = []

    def cost(x: Any) -> Any:
        seen.append(x)
        return jnp.sum(x.astype("float32") ** 2)

    report = check_gradients(cost, lambda x: 2 * x, x)
    assert report.verdict in ("ok", "inconclusive")
    assert {one.dtype for one in seen} == {x.dtype}
    assert all(isinstance(one, jax.Array) for one in seen)
    assert any(dtype in note for note in report.notes)


@partial(jax.tree_util.register_dataclass, data_fields=["weight"], meta_fields=["rate"])
@dataclasses.dataclass(frozen=True)
class Module:
    """A callable dataclass of arrays, as Equinox and Flax have them."""

    weight: Any
    rate: float = 0.5

    def __call__(self, x: Any) -> Any:
        return self.rate * jnp.tanh(x @ self.weight)


def test_a_callable_dataclass_is_a_container_and_its_static_field_no_parameter() -> None:
    X = draw(5, 3, seed=1)

    def cost(module: Any) -> Any:
        return jnp.sum(module(X))

    report = check_gradients(cost, jax.grad(cost), Module(draw(3, 2)))
    assert report.passed
    assert [p.name for p in report.parameters] == ["weight"]


def test_a_module_is_checked_by_autograd_with_its_own_arrays() -> None:
    report = check_gradients.autograd(Module(draw(3, 2)), draw(5, 3, seed=1))
    assert report.verdict == "ok"
    assert {p.name for p in report.parameters} >= {"weight", "x"}


def square(backward: Any, forward: Any = lambda x: x**2) -> Any:
    return custom(lambda x: x**2, lambda x: (forward(x), x), backward)


def test_a_rule_that_ignores_the_upstream_gradient_is_reported() -> None:
    report = check_gradients.autograd(square(lambda x, dout: (2 * x,)), draw(4))
    assert not report.passed
    assert causes(report)[0] == "ignores-upstream"


def test_a_rule_whose_forward_value_is_another_is_reported() -> None:
    f = square(lambda x, dout: (2 * x * dout,), forward=lambda x: x**2 + 0.25)
    report = check_gradients.autograd(f, draw(4))
    assert not report.passed
    assert causes(report)[0] == "primal"
    assert "out[" in str(report)


def test_a_wrong_rule_under_jit_names_its_input() -> None:
    f = jax.jit(square(lambda x, dout: (2 * x * dout * jnp.where(x > 0, 1.0, 1.01),)))
    assert wrong(check_gradients.autograd(f, draw(6))) == ["x"]


def test_float32_is_checked_in_float64_where_the_code_allows() -> None:
    report = check_gradients.autograd(square(lambda x, dout: (2 * x * dout,)), draw(4))
    assert report.verdict == "ok"
    assert max(p.resolution for p in report.parameters) < 1.1e-5
    assert jnp.ones(1).dtype == np.float32  # JAX itself stays as it was


def test_integers_and_keys_are_left_alone() -> None:
    def f(x: Any, index: Any, key: Any) -> Any:
        return x[index] * jax.random.uniform(key)

    report = check_gradients.autograd(f, draw(4), jnp.array([0, 2]), jax.random.key(0))
    assert report.verdict == "ok"
    assert [p.name for p in report.parameters] == ["x"]


def test_arrays_in_a_users_object_are_replaced_in_place_and_put_back() -> None:
    class Net:
        def __init__(self) -> None:
            self.w = draw(3)

        def loss(self) -> Any:
            return jnp.sum(jnp.sin(self.w))

        def gradient(self) -> Any:
            return {"w": jnp.cos(self.w)}

    net = Net()
    before = net.w
    assert check_gradients(net.loss, net.gradient, net, inplace=True).passed
    assert net.w is before
