"""A factor of a pose graph: Jacobians in the tangent space of rotations, as in Ceres and GTSAM.

A pose is a rotation and a position. The solver moves it by six numbers, a rotation vector on the
right and a shift, so the Jacobian is by those six at zero, and not by the twelve numbers of the
pose. That is a function of the tangent vectors, with the poses held fixed.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_gradcheck import GradCheck, check_gradients

Array: TypeAlias = npt.NDArray[np.float64]


def hat(w: Array) -> Array:
    """Return the matrix of the cross product with a vector."""
    return np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])


def exp(w: Array) -> Array:
    """Return the rotation of a rotation vector (O. Rodrigues, 1840), by its series near zero."""
    angle2 = float(w @ w)
    if angle2 < 1e-8:
        a, b = 1 - angle2 / 6, 0.5 - angle2 / 24
    else:
        angle = np.sqrt(angle2)
        a, b = np.sin(angle) / angle, (1 - np.cos(angle)) / angle2
    return np.asarray(np.eye(3) + a * hat(w) + b * hat(w) @ hat(w))


def log(R: Array) -> Array:
    """Return the rotation vector of a rotation of less than half a turn."""
    angle = np.arccos(np.clip((np.trace(R) - 1) / 2, -1.0, 1.0))
    scale = 0.5 if angle < 1e-6 else angle / (2 * np.sin(angle))
    return np.asarray(scale * np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]]))


def inverse_right_jacobian(w: Array) -> Array:
    """Return how the rotation vector of ``R exp(d)`` changes with d at zero."""
    angle = float(np.linalg.norm(w))
    W = hat(w)
    b = 1 / angle**2 - (1 + np.cos(angle)) / (2 * angle * np.sin(angle))
    return np.asarray(np.eye(3) + 0.5 * W + b * W @ W)


RNG = np.random.default_rng(7)
R1, R2 = exp(RNG.normal(size=3)), exp(RNG.normal(size=3))
p1, p2 = RNG.normal(size=3), RNG.normal(size=3)
MEASURED = R1.T @ R2 @ exp(0.3 * RNG.normal(size=3)), R1.T @ (p2 - p1) + 0.1


def between(d1: Array, d2: Array) -> Array:
    """Return how far two poses, moved by tangent vectors, are from their measured distance."""
    A, B = R1 @ exp(d1[:3]), R2 @ exp(d2[:3])
    a, b = p1 + d1[3:], p2 + d2[3:]
    return np.concatenate([log(MEASURED[0].T @ A.T @ B), A.T @ (b - a) - MEASURED[1]])


def between_jacobian(d: dict[str, Array]) -> dict[str, Array]:
    """Return the two 6 x 6 blocks at zero."""
    turn = log(MEASURED[0].T @ R1.T @ R2)
    J = inverse_right_jacobian(turn)
    J1, J2 = np.zeros((6, 6)), np.zeros((6, 6))
    J1[:3, :3], J2[:3, :3] = -J @ R2.T @ R1, J
    J1[3:, :3], J1[3:, 3:] = hat(R1.T @ (p2 - p1)), -R1.T
    J2[3:, 3:] = R1.T
    return {"d1": J1, "d2": J2}


ZERO: dict[str, Any] = {"d1": np.zeros(6), "d2": np.zeros(6)}


def test_between_factor(gradcheck: GradCheck) -> None:
    gradcheck.jacobian(lambda d: between(d["d1"], d["d2"]), between_jacobian, ZERO)


def test_a_sign_in_a_block_is_named() -> None:
    def wrong(d: dict[str, Array]) -> dict[str, Array]:
        blocks = between_jacobian(d)
        blocks["d1"][3:, :3] *= -1
        return blocks

    report = check_gradients.jacobian(lambda d: between(d["d1"], d["d2"]), wrong, ZERO)
    assert {component.parameter for component in report.components} == {"d1"}
    assert "rows 3-5 of columns 0-2" in report.findings[0].message


def test_a_rotation_as_a_pushforward(gradcheck: GradCheck) -> None:
    """Forward mode: how a rotated point moves with the rotation vector and with the point."""

    def right_jacobian(w: Array) -> Array:
        return np.asarray(np.linalg.inv(inverse_right_jacobian(w)))

    def rotate(w: Array, x: Array) -> Array:
        return np.asarray(exp(w) @ x)

    def push(w: Array, x: Array, dw: Array, dx: Array) -> Array:
        return np.asarray(exp(w) @ (hat(right_jacobian(w) @ dw) @ x + dx))

    def pull(w: Array, x: Array, dout: Array) -> tuple[Array, Array]:
        back = exp(w).T @ dout
        return right_jacobian(w).T @ hat(x) @ back, back

    gradcheck.jvp(rotate, push, np.array([0.3, -0.5, 0.2]), np.array([1.0, 2.0, 3.0]), vjp=pull)
