"""PyTorch: tensors stay what they are, and faults of custom backward passes are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_gradcheck import ProblemError, Report, check_gradients
from pytest_gradcheck.problem.layers.reverse import users_functions

torch: Any = pytest.importorskip("torch")
nn = torch.nn
Function: Any = torch.autograd.Function


def draw(*shape: int, dtype: Any = None, seed: int = 0) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def wrong(report: Report) -> list[str]:
    return sorted({c.parameter for c in report.components if c.verdict == "bug"})


def causes(report: Report) -> list[str]:
    return [finding.code for finding in report.findings if finding.severity == "cause"]


def function(forward: Any, backward: Any) -> Any:
    """Return the ``apply`` of a custom function."""

    class Custom(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return forward(x)

        @staticmethod
        def backward(ctx: Any, dout: Any) -> Any:
            return backward(ctx.saved_tensors[0], dout)

    return Custom.apply


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("parameter", [False, True])
def test_tensors_keep_dtype_device_and_whether_they_require_a_gradient(
    dtype: Any, requires_grad: bool, parameter: bool
) -> None:
    W = draw(2, 3).to(dtype)
    W = nn.Parameter(W, requires_grad=requires_grad) if parameter else W
    W.requires_grad_(requires_grad)
    seen = []

    def cost(p: Any) -> Any:
        seen.append(p["W"])
        return (p["W"].double() ** 2).sum()

    report = check_gradients(cost, lambda p: {"W": 2 * p["W"].detach()}, {"W": W, "n": 3})
    assert report.verdict in ("ok", "inconclusive")
    for tensor in seen:
        assert type(tensor) is type(W)
        assert (tensor.dtype, tensor.device) == (W.dtype, W.device)
        assert tensor.requires_grad == requires_grad
        assert tensor.is_leaf
    said = any("checked in" in note for note in report.notes)
    assert said == (dtype != torch.float64)


def test_what_is_no_float_tensor_is_held_fixed() -> None:
    labels = torch.arange(3)
    report = check_gradients(
        lambda p: p["W"][p["labels"]].sum(),
        lambda p: {"W": torch.ones(3, dtype=torch.float64)},
        {"W": draw(3, dtype=torch.float64), "labels": labels, "mask": labels > 1},
    )
    assert report.verdict == "ok"
    assert [p.name for p in report.parameters] == ["W"]


def model() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 1)).double()


X = draw(6, 3, dtype=torch.float64, seed=5)


def test_a_module_is_taken_apart_by_the_names_of_its_parameters_and_left_alone() -> None:
    net = model()
    net[0].bias.requires_grad_(False)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}

    def grad(net: Any) -> Any:
        net(X).sum().backward()
        return net

    report = check_gradients(lambda net: net(X).sum(), grad, net.eval())
    assert report.passed
    assert [p.name for p in report.parameters] == ["0.weight", "3.weight", "3.bias"]
    for name, p in net.named_parameters():
        assert torch.equal(p, before[name])
        assert p.grad is None


def test_gradients_that_backward_leaves_in_tensors_are_found() -> None:
    params = {"W": draw(3, 2, dtype=torch.float64).requires_grad_(), "b": draw(2).requires_grad_()}

    def backward(p: Any) -> None:
        (X @ p["W"] + p["b"]).tanh().sum().backward()

    report = check_gradients(lambda p: (X @ p["W"] + p["b"]).tanh().sum(), backward, params)
    assert report.passed
    assert params["W"].grad is None


FAULTS: dict[str, tuple[Any, str]] = {
    "ignores the upstream gradient": (lambda x, dout: 2 * x, "ignores-upstream"),
    "is not linear in it": (lambda x, dout: 2 * x * dout**2, "nonlinear-upstream"),
    "reads the memory of a contiguous one": (
        lambda x, dout: (
            2 * x * torch.as_strided(dout, dout.shape, (dout.shape[1], 1), dout.storage_offset())
        ),
        "memory-order",
    ),
}


@pytest.mark.parametrize(("backward", "code"), FAULTS.values(), ids=FAULTS.keys())
def test_a_backward_pass_that_treats_the_upstream_gradient_wrongly_is_reported(
    backward: Any, code: str
) -> None:
    report = check_gradients.autograd(function(lambda x: x**2, backward), draw(4, 3))
    assert not report.passed
    assert causes(report)[0] == code


def test_a_backward_pass_that_ignores_the_stride_of_a_vector_is_reported() -> None:
    def backward(x: Any, dout: Any) -> Any:
        return 2 * x * torch.as_strided(dout, dout.shape, (1,), dout.storage_offset())

    report = check_gradients.autograd(function(lambda x: x**2, backward), draw(5))
    assert causes(report)[0] == "memory-order"


def test_a_backward_pass_that_writes_into_the_upstream_gradient_is_refused() -> None:
    def backward(x: Any, dout: Any) -> Any:
        return dout.mul_(x > 0)

    relu = function(lambda x: x.clamp(min=0), backward)
    with pytest.raises(ProblemError) as caught:
        check_gradients.autograd(relu, draw(4, 3))
    assert caught.value.code == "mutated-upstream"


def test_none_for_a_gradient_is_zero_and_named() -> None:
    class Product(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            ctx.save_for_backward(x, y)
            return x * y

        @staticmethod
        def backward(ctx: Any, dout: Any) -> Any:
            return dout * ctx.saved_tensors[1], None

    assert wrong(check_gradients.autograd(Product.apply, draw(3), draw(3, seed=1))) == ["y"]


def test_a_hook_that_changes_a_gradient_is_seen() -> None:
    def f(x: Any) -> Any:
        y = x.exp()
        if y.requires_grad:
            y.register_hook(lambda grad: grad.clamp(max=0.1))
        return y.sum()

    assert wrong(check_gradients.autograd(f, draw(4))) == ["x"]


def test_what_requires_no_gradient_is_left_alone_where_something_does() -> None:
    def f(x: Any, scale: Any) -> Any:
        return x * scale.detach() ** 2

    x = draw(3).requires_grad_()
    report = check_gradients.autograd(f, x, draw(3, seed=1))
    assert report.verdict == "ok"
    assert [p.name for p in report.parameters] == ["x"]
    assert any("scale" in note for note in report.notes)
    assert x.grad is None


def test_float32_is_checked_in_float64_where_the_code_allows() -> None:
    report = check_gradients.autograd(function(lambda x: x**3, lambda x, d: 3 * x**2 * d), draw(5))
    assert report.verdict == "ok"
    assert max(p.resolution for p in report.parameters) < 1.1e-5
    assert any("float64" in note for note in report.notes)


def test_code_that_refuses_float64_is_checked_in_float32() -> None:
    weights = draw(3, 3, seed=1)  # float32, which no product with float64 takes
    report = check_gradients.autograd(lambda x: (x @ weights).tanh(), draw(2, 3))
    assert report.passed
    assert any("refuses float64" in note for note in report.notes)


def test_a_module_is_checked_with_its_own_numbers_untouched() -> None:
    net = model()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    report = check_gradients.autograd(net.eval(), X)
    assert report.passed
    assert [p.name for p in report.parameters] == ["0.weight", "0.bias", "3.weight", "3.bias"]
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def test_dropout_is_frozen_by_pytorchs_own_generator() -> None:
    net = model().train()
    before = torch.get_rng_state()
    report = check_gradients.autograd(net, X, dropout="freeze")
    assert report.passed
    assert torch.equal(torch.get_rng_state(), before)

    def grad(net: Any) -> Any:
        net(X).sum().backward()
        return net

    report = check_gradients(lambda net: net(X).sum(), grad, net, dropout="freeze")
    assert report.passed
    assert net.training


def test_a_module_in_training_mode_is_put_out_of_it_and_back(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest, torch
        from pytest_gradcheck import ProblemError

        torch.manual_seed(0)
        NET = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(), torch.nn.Linear(4, 1))
        NET = NET.double().train()
        NET[0].eval()
        X = torch.randn(5, 3, dtype=torch.float64)
        MODES = [module.training for module in NET.modules()]

        def cost(net): return net(X).sum()
        def grad(net):
            cost(net).backward()
            return net

        def test_right(gradcheck):
            report = gradcheck(cost, grad, NET)
            assert any("Sequential" in note for note in report.notes)
            gradcheck.autograd(NET, X)

        def test_raising(gradcheck):
            with pytest.raises(ProblemError):
                gradcheck(cost, lambda net: 1 / 0, NET)

        def test_modes():
            assert [module.training for module in NET.modules()] == MODES
        """
    )
    pytester.runpytest().assert_outcomes(passed=3)


def test_an_array_of_numpy_goes_into_a_function_of_torch() -> None:
    square = function(lambda x: x**2, lambda x, dout: 2 * x * dout)
    assert check_gradients.autograd(square, np.linspace(-1, 1, 4)).verdict == "ok"


def test_functions_of_pytorch_itself_are_not_taken_for_the_users_own() -> None:
    square = function(lambda x: x**2, lambda x, dout: 2 * x * dout)
    names = {part.__name__ for part in users_functions(square)}
    assert names == {"forward", "backward"}
    assert users_functions(nn.Linear(2, 1)) == ()


def test_complex_tensors_are_checked_as_pairs_of_reals() -> None:
    z = torch.tensor([1 + 2j, 0.3 - 1j])
    report = check_gradients.autograd(lambda z: z**3, z)
    assert report.verdict == "ok"
    assert report.parameters[0].checked == 4


def test_a_model_with_dropout_is_put_out_of_training_without_pytest_too() -> None:
    net = model().train()
    assert check_gradients.autograd(net, X).passed
    assert net.training


def test_sparse_tensors_are_jacobians() -> None:
    A = torch.tensor([[1.0, 0.0], [0.5, 2.0], [0.0, -1.0]], dtype=torch.float64)
    x = torch.tensor([0.3, 0.7], dtype=torch.float64)

    def jac(x: Any) -> Any:
        return (torch.cos(A @ x)[:, None] * A).to_sparse()

    assert check_gradients.jacobian(lambda x: torch.sin(A @ x), jac, x).passed
    assert not check_gradients.jacobian(lambda x: torch.sin(A @ x), lambda x: 2 * jac(x), x).passed


def test_the_pushforward_of_torch_is_one() -> None:
    def f(x: Any) -> Any:
        return torch.sin(x) * x.sum()

    x = torch.tensor([0.3, 0.7], dtype=torch.float64)
    assert check_gradients.jvp(f, lambda p, t: torch.func.jvp(f, p, t), x).passed
