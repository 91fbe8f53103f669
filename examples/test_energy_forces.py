"""Molecular mechanics: forces are minus the gradient of an energy, and vibrations its Hessian.

The sign is the convention that is got wrong most, in both directions.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_gradcheck import GradCheck, check_gradients

Array: TypeAlias = npt.NDArray[np.float64]

ATOMS = np.array([[0.0, 0.0, 0.0], [1.15, 0.0, 0.1], [0.5, 1.0, -0.1], [0.55, 0.3, 0.95]])
"""Four argon atoms, in units of the length in the law of J. E. Lennard-Jones (1924)."""


def pairs(x: Array) -> tuple[Array, Array]:
    """Return the differences of all positions, and their lengths, an atom's own infinite."""
    d = x[:, None] - x[None]
    r = np.linalg.norm(d, axis=2)
    np.fill_diagonal(r, np.inf)
    return d, r


def energy(x: Array) -> float:
    _, r = pairs(x)
    return float(2 * np.sum(r**-12 - r**-6))


def forces(x: Array) -> Array:
    d, r = pairs(x)
    return np.asarray(np.sum((48 * r**-14 - 24 * r**-8)[..., None] * d, axis=1))


def hessian(x: Array) -> Array:
    """Return the second derivatives of the energy, of shape (atoms, 3, atoms, 3)."""
    d, r = pairs(x)
    first, second = 48 * r**-14 - 24 * r**-8, 672 * r**-16 - 192 * r**-10
    outer = d[..., :, None] * d[..., None, :]
    block = first[..., None, None] * np.eye(3) - second[..., None, None] * outer
    H = block.transpose(0, 2, 1, 3).copy()
    for atom in range(len(x)):
        H[atom, :, atom] = -block[atom].sum(axis=0)
    return np.asarray(H)


def test_forces(gradcheck: GradCheck) -> None:
    gradcheck(energy, lambda x: -forces(x), ATOMS)


def test_vibrations(gradcheck: GradCheck) -> None:
    gradcheck.hessian(lambda x: -forces(x), hessian, ATOMS)


def test_dynamics_that_need_products_alone(gradcheck: GradCheck) -> None:
    """``hessp`` of SciPy: the Hessian times a vector, never written out."""

    def product(x: Array, p: Array) -> Array:
        return np.asarray(np.einsum("aibj,bj->ai", hessian(x), p))

    gradcheck.jvp(lambda x: -forces(x), product, ATOMS)


def test_forces_in_the_place_of_the_gradient_are_named() -> None:
    report = check_gradients(energy, forces, ATOMS)
    assert [finding.code for finding in report.findings] == ["sign"]
    turned = check_gradients.hessian(forces, hessian, ATOMS)
    assert [finding.code for finding in turned.findings] == ["sign"]
