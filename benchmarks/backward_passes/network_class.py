"""A network that owns lists of arrays, trained as a class of its own."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("Network.backprop", "Network.delta")


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def sigmoid_prime(z):
    return sigmoid(z) * (1 - sigmoid(z))


class Network:
    def __init__(self, sizes, rng):
        self.num_layers = len(sizes)
        self.biases = [rng.standard_normal((y, 1)) for y in sizes[1:]]
        self.weights = [rng.standard_normal((y, x)) for x, y in zip(sizes[:-1], sizes[1:])]

    def cost(self, x, y):
        activation = x
        for b, w in zip(self.biases, self.weights):
            z = np.dot(w, activation) + b
            activation = sigmoid(z)
        return 0.5 * np.sum((activation - y) ** 2)

    def delta(self, z, a, y):
        return (a - y) * sigmoid_prime(z)

    def backprop(self, x, y):
        nabla_b = [np.zeros(b.shape) for b in self.biases]
        nabla_w = [np.zeros(w.shape) for w in self.weights]
        activation = x
        activations = [x]
        zs = []
        for b, w in zip(self.biases, self.weights):
            z = np.dot(w, activation) + b
            zs.append(z)
            activation = sigmoid(z)
            activations.append(activation)
        # backward
        delta = self.delta(zs[-1], activations[-1], y)
        nabla_b[-1] = delta.sum(axis=1, keepdims=True)
        nabla_w[-1] = np.dot(delta, activations[-2].T)
        for l in range(2, self.num_layers):
            z = zs[-l]
            sp = sigmoid_prime(z)
            delta = np.dot(self.weights[-l + 1].T, delta) * sp
            nabla_b[-l] = delta.sum(axis=1, keepdims=True)
            nabla_w[-l] = np.dot(delta, activations[-l - 1].T)
        return {"b": nabla_b, "w": nabla_w}


def problem():
    rng = np.random.default_rng(28)
    net = Network([3, 4, 3, 2], rng)
    x, y = rng.standard_normal((3, 5)), rng.random((2, 5))
    params = {"b": net.biases, "w": net.weights}
    return Problem(
        lambda: net.cost(x, y), lambda: net.backprop(x, y), params, settings={"inplace": True}
    )
