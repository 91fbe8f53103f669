"""A network of layer objects that keep their inputs and their gradients."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("Dense.backward", "Tanh.backward", "MSE.backward", "Network.backward")


class Dense:
    def __init__(self, n_in, n_out, rng):
        self.W = rng.standard_normal((n_in, n_out))
        self.b = rng.standard_normal(n_out)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, grad):
        self.dW = self.x.T @ grad
        self.db = grad.sum(axis=0)
        return grad @ self.W.T


class Tanh:
    def forward(self, x):
        self.out = np.tanh(x)
        return self.out

    def backward(self, grad):
        return grad * (1 - self.out**2)


class MSE:
    def forward(self, prediction, target):
        self.difference = prediction - target
        return np.mean(self.difference**2)

    def backward(self):
        return 2 * self.difference / self.difference.size


class Network:
    def __init__(self, layers):
        self.layers = layers
        self.criterion = MSE()

    def loss(self, x, y):
        for layer in self.layers:
            x = layer.forward(x)
        return self.criterion.forward(x, y)

    def backward(self, x, y):
        self.loss(x, y)
        grad = self.criterion.backward()
        for layer in reversed(self.layers):
            grad = layer.backward(grad)
        return [(l.dW, l.db) for l in self.layers if isinstance(l, Dense)]


def problem():
    rng = np.random.default_rng(27)
    net = Network([Dense(3, 4, rng), Tanh(), Dense(4, 4, rng), Tanh(), Dense(4, 2, rng)])
    x, y = rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
    params = [(l.W, l.b) for l in net.layers if isinstance(l, Dense)]
    return Problem(
        lambda: net.loss(x, y), lambda: net.backward(x, y), params, settings={"inplace": True}
    )
