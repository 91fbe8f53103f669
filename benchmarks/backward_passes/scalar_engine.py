"""A scalar autograd engine: every operation carries its own little backward."""

import math

from pytest_gradcheck import Problem

BACKWARD = (
    "Value.__add__._backward",
    "Value.__mul__._backward",
    "Value.__pow__._backward",
    "Value.tanh._backward",
    "Value.exp._backward",
)


class Value:
    def __init__(self, data, children=()):
        self.data = data
        self.grad = 0.0
        self._backward = lambda: None
        self._prev = children

    def __add__(self, other):
        out = Value(self.data + other.data, (self, other))

        def _backward():
            self.grad += out.grad
            other.grad += out.grad

        out._backward = _backward
        return out

    def __mul__(self, other):
        out = Value(self.data * other.data, (self, other))

        def _backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out._backward = _backward
        return out

    def __pow__(self, power):
        out = Value(self.data**power, (self,))

        def _backward():
            self.grad += power * self.data ** (power - 1) * out.grad

        out._backward = _backward
        return out

    def tanh(self):
        t = math.tanh(self.data)
        out = Value(t, (self,))

        def _backward():
            self.grad += (1 - t**2) * out.grad

        out._backward = _backward
        return out

    def exp(self):
        out = Value(math.exp(self.data), (self,))

        def _backward():
            self.grad += out.data * out.grad

        out._backward = _backward
        return out

    def backward(self):
        order, seen = [], set()

        def visit(v):
            if id(v) not in seen:
                seen.add(id(v))
                for child in v._prev:
                    visit(child)
                order.append(v)

        visit(self)
        self.grad = 1.0
        for v in reversed(order):
            v._backward()


def build(params):
    w1, w2, b, s = (Value(p) for p in params)
    x1, x2, target = Value(0.7), Value(-1.3), Value(-0.4)
    n = (w1 * x1 + w2 * x2 + b).tanh()
    m = (n * s).exp() + n * w1
    loss = (m + target) ** 2
    return loss, (w1, w2, b, s)


def cost(params):
    loss, _ = build(params)
    return loss.data


def gradient(params):
    loss, leaves = build(params)
    loss.backward()
    return [leaf.grad for leaf in leaves]


def problem():
    return Problem(cost, gradient, [0.8, -0.6, 0.3, 1.1])
