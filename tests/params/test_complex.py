"""Complex parameters: pairs of reals, with g = dJ/dRe + i dJ/dIm."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import ProblemError, check_gradients, gradcheck

Complex = npt.NDArray[np.complex128]

RNG = np.random.default_rng(11)
M = RNG.normal(size=(4, 4)) + 1j * RNG.normal(size=(4, 4))
Z = RNG.normal(size=4) + 1j * RNG.normal(size=4)


def cost(z: Complex) -> float:
    """The squared norm of a product: its gradient is 2 M^H M z."""
    return float(np.sum(np.abs(M @ z) ** 2))


def grad(z: Complex) -> Complex:
    return np.asarray(2 * M.conj().T @ (M @ z))


def test_a_right_complex_gradient_passes_with_two_components_a_number() -> None:
    report = gradcheck(cost, grad, Z)
    assert report.verdict == "ok"
    assert report.parameters[0].checked == 8


def test_components_are_named_by_their_parts() -> None:
    def wrong(z: Complex) -> Complex:
        g = grad(z)
        g[3] = g[3].real + 2j * g[3].imag
        return g

    report = check_gradients(lambda p: cost(p["z"]), lambda p: {"z": wrong(p["z"])}, {"z": Z})
    assert [component.name for component in report.components] == ["z[3].imag"]


def test_a_scalar_has_two_parts() -> None:
    report = check_gradients(lambda z: abs(z) ** 2, lambda z: 3 * z, 1.0 + 2.0j)
    assert {c.name for c in report.components} == {"theta.real", "theta.imag"}
    assert gradcheck(lambda z: abs(z) ** 2, lambda z: 2 * z, 1.0 + 2.0j).verdict == "ok"
    assert gradcheck(lambda p: abs(p["z"]) ** 2, lambda p: {"z": 2 * p["z"]}, {"z": 1j}).passed


def test_the_functions_receive_what_the_user_handed_over() -> None:
    seen: list[Any] = []

    def watching(p: dict[str, Any]) -> float:
        seen.append(p)
        return float(np.sum(np.abs(p["z"]) ** 2) + abs(p["s"]) ** 2 + p["r"] ** 2)

    params = {"z": Z.reshape(2, 2), "s": 1 + 1j, "r": 0.5}
    gradcheck(watching, lambda p: {k: 2 * v for k, v in p.items()}, params)
    assert seen[0]["z"].dtype == np.complex128
    assert seen[0]["z"].shape == (2, 2)
    assert type(seen[0]["s"]) is complex
    assert type(seen[0]["r"]) is float


@pytest.mark.parametrize(
    "place",
    [
        lambda: {"z": Z.copy()},
        lambda: {"z": Z.astype(np.complex64)},
        lambda: {"z": np.stack([Z, Z]).T[:, 0]},
        lambda: {"z": Z[:1].reshape(())},
        lambda: {"z": 0.3 + 0.4j},
        lambda: SimpleNamespace(z=0.3 + 0.4j, w=Z.copy()),
    ],
)
def test_complex_arrays_in_place_come_back(place: Callable[[], Any]) -> None:
    params = place()
    values = params if isinstance(params, dict) else vars(params)
    before = {name: np.copy(value).tobytes() for name, value in values.items()}
    report = gradcheck(
        lambda: float(sum(np.sum(np.abs(v) ** 2) for v in values.values())),
        lambda: [2 * v for v in values.values()],
        params,
        inplace=True,
    )
    assert report.passed
    assert {name: np.copy(value).tobytes() for name, value in values.items()} == before


def test_a_real_gradient_of_complex_params_has_a_zero_imaginary_part() -> None:
    assert gradcheck(lambda z: float(np.sum(z.real)), lambda z: np.ones(4), Z).verdict == "ok"


def test_a_complex_gradient_of_real_params_is_taken_while_its_imaginary_part_is_zero() -> None:
    x = np.array([1.0, 2.0])
    assert gradcheck(lambda x: float(x @ x), lambda x: 2 * x + 0j, x).verdict == "ok"
    with pytest.raises(ProblemError) as caught:
        gradcheck(lambda x: float(x @ x), lambda x: 2 * x + 1j, x)
    assert caught.value.code == "nonnumeric-gradient"


def test_a_flat_gradient_of_mixed_params_counts_complex_numbers_once() -> None:
    def mixed(p: dict[str, Any]) -> float:
        return cost(p["z"]) + float(p["x"] @ p["x"])

    def flat(p: dict[str, Any]) -> Complex:
        return np.concatenate([2 * p["x"], grad(p["z"])])

    assert gradcheck(mixed, flat, {"x": np.array([1.0, 2.0]), "z": Z}).verdict == "ok"


def test_a_layer_may_have_complex_outputs() -> None:
    report = gradcheck.layer(lambda z: (M @ z, None), lambda dout, _: M.conj().T @ dout, Z)
    assert report.verdict == "ok"
    wrong = check_gradients.layer(lambda z: (M @ z, None), lambda dout, _: M.T @ dout, Z)
    assert not wrong.passed


def test_a_cost_in_batches_takes_complex_params() -> None:
    report = gradcheck(
        lambda z: np.sum(np.abs(z @ M.T) ** 2, axis=-1), lambda z: grad(z), Z, batched=True
    )
    assert report.verdict == "ok"


def residuals(z: Complex) -> npt.NDArray[np.float64]:
    return np.abs(M @ z) ** 2


def jacobian(z: Complex) -> Complex:
    return np.asarray(2 * (M @ z)[:, None] * M.conj())


def test_a_jacobian_of_complex_params_has_complex_entries() -> None:
    assert gradcheck.jacobian(residuals, jacobian, Z).verdict == "ok"
    assert gradcheck.jacobian(
        lambda p: residuals(p["z"]), lambda p: {"z": jacobian(p["z"])}, {"z": Z}
    ).passed

    def wrong(z: Complex) -> Complex:
        matrix = jacobian(z)
        matrix[1, 2] = matrix[1, 2].conj()
        return matrix

    report = check_gradients.jacobian(residuals, wrong, Z)
    assert [component.name for component in report.components] == ["jac[1, 2].imag"]


def test_a_pushforward_takes_complex_tangents() -> None:
    def push(z: Complex, dz: Complex) -> npt.NDArray[np.float64]:
        return np.asarray(2 * np.real((M @ z).conj() * (M @ dz)))

    assert gradcheck.jvp(residuals, push, Z).verdict == "ok"


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_conjugated_gradient_is_reported(share: float) -> None:
    report = check_gradients(cost, lambda z: share * grad(z).conj(), Z)
    assert [finding.code for finding in report.findings] == ["conjugated"]


def test_a_conjugated_jacobian_is_reported() -> None:
    report = check_gradients.jacobian(residuals, lambda z: jacobian(z).conj(), Z)
    assert [finding.code for finding in report.findings] == ["conjugated"]
