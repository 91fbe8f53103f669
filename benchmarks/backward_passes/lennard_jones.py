"""The energy of a few atoms, and the forces on them."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("energy_gradient",)


def energy(positions, depth, size):
    total = 0.0
    for i in range(len(positions)):
        for j in range(i):
            r = np.linalg.norm(positions[i] - positions[j])
            total += 4 * depth * ((size / r) ** 12 - (size / r) ** 6)
    return total


def energy_gradient(positions, depth, size):
    forces = np.zeros_like(positions)
    for i in range(len(positions)):
        for j in range(i):
            apart = positions[i] - positions[j]
            r = np.linalg.norm(apart)
            slope = 4 * depth * (-12 * (size / r) ** 12 + 6 * (size / r) ** 6) / r
            pull = -slope * apart / r
            forces[i] += pull
            forces[j] -= pull
    return -forces


def problem():
    rng = np.random.default_rng(52)
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
    positions = 1.2 * corners + 0.1 * rng.standard_normal((4, 3))
    return Problem(energy, energy_gradient, positions, (0.8, 1.1))
