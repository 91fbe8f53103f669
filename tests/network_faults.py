"""Faults to plant into the backprop of the bundled network: one changed line each, as data.

Each is a line of `network/model.py` or `network/activations.py` and what a person would write in
its place, with the settings under which it shows, the parameters whose gradient is then wrong, and
the code of the finding that explains it. The cost stays that of the package: only the gradient is
taken from the changed source.

Benchmarks use them too, so nothing here knows pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_gradcheck import Problem
from pytest_gradcheck.network import activations, cost, initialize, model, one_hot

Array = npt.NDArray[np.float64]
Params = dict[str, Array]

UPSTREAM = "upstream"
WRONG = "wrong-regularization"

ALL = "W1 b1 W2 b2 W3 b3"
WEIGHTS = "W1 W2 W3"
BIASES = "b1 b2 b3"
BELOW = "W1 b1 W2 b2"  # the output layer
UPPER = "W2 W3"

EXAMPLES = 9


@dataclass(frozen=True)
class Fault:
    """One changed line.

    Attributes
    ----------
    name : str
    line, instead : str
        The line as it stands, without its indentation, and what replaces it.
    wrong : str
        Names of the parameters whose gradients are wrong for it.
    cause : str or None
        Code of the finding that explains it; None where no code says what happened.
    module : module
        The one that has the line.
    data : mapping
        Arguments of cost and backprop, beside X and Y, under which it shows.
    sizes : tuple of int
        Units of every layer. Square weights let pass what shapes would give away.
    start : callable or None
        Changes the random initialization.
    settings : mapping
        Settings of the check.
    """

    name: str
    line: str
    instead: str
    wrong: str
    cause: str | None = None
    module: ModuleType = model
    data: Mapping[str, Any] = field(default_factory=dict)
    sizes: tuple[int, ...] = (4, 6, 5, 3)
    start: Callable[[Params], Params] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> frozenset[str]:
        """The names of the parameters whose gradients are wrong."""
        return frozenset(self.wrong.split())

    def backprop(self) -> Callable[..., Params]:
        """Return the network's backprop with the fault in it."""
        changed = with_line(self.module, self.line, self.instead)
        if self.module is activations:
            named, changed = changed.activation_named, compiled(model, source_of(model))
            vars(changed)["activation_named"] = named
        result: Callable[..., Params] = changed.backprop
        return result

    def problem(self, *, planted: bool = True, **settings: Any) -> Problem:
        """Return the pair at random initializations, with the fault planted or without."""
        return Problem(
            cost,
            self.backprop() if planted else model.backprop,
            partial(drawn, sizes=self.sizes, start=self.start),
            data={**examples(self.sizes), **self.data},
            settings={**self.settings, **settings},
        )


def drawn(
    rng: np.random.Generator, sizes: tuple[int, ...], start: Callable[[Params], Params] | None
) -> Params:
    """Draw an initialization with biases, which would hide some faults if they were zero."""
    params = initialize(sizes, rng, "xavier")
    for name, value in params.items():
        if name.startswith("b"):
            params[name] = rng.normal(0.0, 0.5, size=value.shape)
    return params if start is None else start(params)


def examples(sizes: tuple[int, ...]) -> dict[str, Array]:
    """Return some inputs and targets."""
    rng = np.random.default_rng(5)
    labels = rng.permutation(np.arange(EXAMPLES) % sizes[-1])
    return {"X": rng.normal(size=(sizes[0], EXAMPLES)), "Y": one_hot(labels, sizes[-1])}


def source_of(module: ModuleType) -> str:
    """Return the source of a module."""
    assert module.__file__ is not None
    return Path(module.__file__).read_text(encoding="utf-8")


def compiled(module: ModuleType, source: str) -> ModuleType:
    """Return a fresh module made of the source, in the place of another."""
    fresh = ModuleType(module.__name__)
    fresh.__package__ = module.__package__
    exec(compile(source, f"<{module.__name__}, changed>", "exec"), vars(fresh))
    return fresh


def with_line(module: ModuleType, line: str, instead: str) -> ModuleType:
    """Return a fresh module in which one line, which must be there exactly once, is another."""
    lines = source_of(module).splitlines()
    found = [number for number, text in enumerate(lines) if text.strip() == line]
    if len(found) != 1:
        raise LookupError(f"{module.__name__} has {len(found)} times, and not once, {line!r}")
    indentation = lines[found[0]][: -len(line)]
    lines[found[0]] = indentation + instead
    return compiled(module, "\n".join(lines))


def zero_output(params: Params) -> Params:
    """Start with an output layer of zeros, as residual networks often do."""
    return {**params, "W3": np.zeros_like(params["W3"])}


def zero_weights(params: Params) -> Params:
    """Start a softmax regression with weights of zero, as everyone does."""
    return {n: np.zeros_like(v) if n.startswith("W") else v for n, v in params.items()}


def zero_first(params: Params) -> Params:
    """Start with a first layer of zeros: its units are where tanh is a straight line."""
    return {**params, "W1": np.zeros_like(params["W1"]), "b1": np.zeros_like(params["b1"])}


def identities(params: Params) -> Params:
    """Start with identity matrices, which are their own transposes."""
    return {n: np.eye(*v.shape) if n.startswith("W") else v for n, v in params.items()}


def all_active(params: Params) -> Params:
    """Start with every hidden unit active, whatever is drawn."""
    active = {n: v + 6.0 if n in ("b1", "b2") else v for n, v in params.items()}
    return {**active, "W2": np.abs(params["W2"])}


SQUARE: Any = {"sizes": (4, 4, 4, 4)}
EQUAL: Any = {"sizes": (4, 5, 5, 3)}  # hidden layers of the same size
L2: Any = {"data": {"lambd": 0.7}}
L1: Any = {"data": {"l1": 0.9}}
TANH: Any = {"data": {"activation": "tanh"}, "module": activations}
SIGMOID: Any = {"data": {"activation": "sigmoid"}, "module": activations}
LEAKY: Any = {"data": {"activation": "leaky_relu"}, "module": activations}
LOGISTIC: Any = {"data": {"output": "sigmoid"}}
FROZEN: Any = {
    "data": {"keep_prob": 0.7, "rng": np.random.default_rng(3)},
    "settings": {"dropout": "freeze"},
}
FROZEN_TANH: Any = {**FROZEN, "data": {**FROZEN["data"], "activation": "tanh"}}

FORWARD_Z = 'Z = params[f"W{layer}"] @ A + params[f"b{layer}"]'
FORWARD_A = "A = g(Z) * D"
CACHED = 'cache |= {f"Z{layer}": Z, f"D{layer}": D, f"A{layer}": A}'
G_PRIME = "g_prime = activation_named(activation).derivative"
DOWN = 'dA = params[f"W{layer}"].T @ dZ'
MASKED = 'dA = dA * cache[f"D{layer - 1}"]'
BENT = 'dZ = dA * g_prime(cache[f"Z{layer - 1}"])'
KEPT = 'errors[f"dZ{layer - 1}"] = dZ'
ONWARD = "Z, cache = forward(params, X, activation=activation, keep_prob=keep_prob, rng=rng)"
OUTPUT = "dZ = output_named(output).function(Z) - Y"
BACK = "errors = deltas(params, cache, dZ, activation=activation)"
LAYERS = "for layer in range(1, len(errors) + 1):"
LOADED = 'W, A, dZ = params[f"W{layer}"], cache[f"A{layer - 1}"], errors[f"dZ{layer}"]'
DW = "dW = dZ @ A.T / m"
DECAY = "dW = dW + lambd / m * W"
SIGN = "dW = dW + l1 / (2 * m) * np.sign(W)"
DB = "db = dZ.sum(axis=1, keepdims=True) / m"
GRADS = 'grads |= {f"dW{layer}": dW, f"db{layer}": db}'
RELU = "return np.where(z > 0, 1.0, 0.0)"
LEAK = "return np.where(z > 0, 1.0, LEAK)"
ONE_LESS = "return 1.0 - np.tanh(z) ** 2"
LOGIT = "return sigmoid(z) * sigmoid(-z)"

FAULTS = (
    # the mean over the examples
    Fault("1/m missing in the weights", DW, "dW = dZ @ A.T", WEIGHTS, "scale"),
    Fault("1/m missing in the biases", DB, "db = dZ.sum(axis=1, keepdims=True)", BIASES, "scale"),
    Fault("1/m twice", DB, "db = dZ.mean(axis=1, keepdims=True) / m", BIASES, "scale"),
    Fault("1/2m as in the penalty", DW, "dW = dZ @ A.T / (2 * m)", WEIGHTS, "scale"),
    Fault("m - 1 as in a variance", DB, f"{DB[:-4]} / (m - 1)", BIASES, "scale"),
    Fault("features for examples", DW, "dW = dZ @ A.T / len(A)", WEIGHTS, "scale"),
    Fault("the mean taken in dZ already", OUTPUT, f"dZ = ({OUTPUT[5:]}) / m", ALL, "scale"),
    Fault("the square's factor 2", OUTPUT, f"dZ = 2 * ({OUTPUT[5:]})", ALL, "scale"),
    # signs
    Fault("Y - A", OUTPUT, "dZ = Y - output_named(output).function(Z)", ALL, "sign"),
    Fault("minus in the weights", DW, "dW = -dZ @ A.T / m", WEIGHTS, "sign"),
    Fault("minus in the biases", DB, f"db = -{DB[5:]}", BIASES, "sign"),
    # penalties
    Fault("no weight decay", DECAY, "pass", WEIGHTS, "missing-regularization", **L2),
    Fault("forgotten assignment", DECAY, DECAY[5:], WEIGHTS, "missing-regularization", **L2),
    Fault("decay doubled", DECAY, "dW = dW + 2 * lambd / m * W", WEIGHTS, WRONG, **L2),
    Fault("decay halved", DECAY, "dW = dW + lambd / (2 * m) * W", WEIGHTS, WRONG, **L2),
    Fault("decay without 1/m", DECAY, "dW = dW + lambd * W", WEIGHTS, WRONG, **L2),
    Fault("decay subtracted", DECAY, "dW = dW - lambd / m * W", WEIGHTS, WRONG, **L2),
    Fault("decay of the squares", DECAY, "dW = dW + lambd / m * W**2", WEIGHTS, WRONG, **L2),
    Fault(
        "the penalty for its derivative",
        DECAY,
        "dW = dW + lambd / (2 * m) * np.sum(W**2)",
        WEIGHTS,
        WRONG,
        **L2,
    ),
    Fault("decay replaces the gradient", DECAY, "dW = lambd / m * W", WEIGHTS, "zero", **L2),
    Fault(
        "decay of the last layer only",
        DECAY,
        f"{DECAY} * (layer == len(errors))",
        "W1 W2",
        "missing-regularization",
        **L2,
    ),
    Fault(
        "decay of the biases", DB, f'{DB} + lambd / m * params[f"b{{layer}}"]', BIASES, WRONG, **L2
    ),
    Fault("L1 missing", SIGN, "pass", WEIGHTS, "missing-regularization", **L1),
    Fault("L1 without sign", SIGN, "dW = dW + l1 / (2 * m)", WEIGHTS, WRONG, **L1),
    Fault("L1 of magnitudes", SIGN, "dW = dW + l1 / (2 * m) * np.abs(W)", WEIGHTS, WRONG, **L1),
    Fault("L1 doubled", SIGN, "dW = dW + l1 / m * np.sign(W)", WEIGHTS, WRONG, **L1),
    Fault(
        "L1 with the strength of L2",
        SIGN,
        "dW = dW + lambd / (2 * m) * np.sign(W)",
        WEIGHTS,
        WRONG,
        data={"l1": 0.9, "lambd": 0.4},
    ),
    # the activation's derivative
    Fault("forgotten ReLU mask", BENT, "dZ = dA", BELOW, UPSTREAM),
    Fault("ReLU of the error", BENT, "dZ = np.maximum(dA, 0)", BELOW, UPSTREAM),
    Fault(
        "mask of the output layer's neighbour only",
        BENT,
        f"{BENT} if layer == len(params) // 2 else dA",
        "W1 b1",
        UPSTREAM,
    ),
    Fault(
        "ReLU's mask turned round",
        RELU,
        "return np.where(z < 0, 1.0, 0.0)",
        BELOW,
        UPSTREAM,
        activations,
    ),
    Fault("z for its mask", RELU, "return np.where(z > 0, z, 0.0)", BELOW, UPSTREAM, activations),
    Fault(
        "derivative of another activation",
        G_PRIME,
        'g_prime = activation_named("tanh").derivative',
        BELOW,
        UPSTREAM,
    ),
    Fault(
        "the function for its derivative",
        G_PRIME,
        "g_prime = activation_named(activation).function",
        BELOW,
        UPSTREAM,
        data={"activation": "sigmoid"},
    ),
    Fault(
        "activation for pre-activation",
        BENT,
        'dZ = dA * g_prime(cache[f"A{layer - 1}"])',
        BELOW,
        UPSTREAM,
        data={"activation": "tanh"},
    ),
    Fault(
        "pre-activations of the layer below",
        BENT,
        'dZ = dA * g_prime(cache[f"Z{max(layer - 2, 1)}"])',
        BELOW,
        UPSTREAM,
        **EQUAL,
    ),
    Fault("error kept before it is bent", KEPT, 'errors[f"dZ{layer - 1}"] = dA', BELOW, UPSTREAM),
    Fault("tanh: 1 - a", ONE_LESS, "return 1.0 - np.tanh(z)", BELOW, UPSTREAM, **TANH),
    Fault("tanh: 1 - z**2", ONE_LESS, "return 1.0 - z**2", BELOW, UPSTREAM, **TANH),
    Fault("sigmoid of z for a", LOGIT, "return z * (1.0 - z)", BELOW, UPSTREAM, **SIGMOID),
    Fault(
        "sigmoid: 1 + a",
        LOGIT,
        "return sigmoid(z) * (1.0 + sigmoid(z))",
        BELOW,
        UPSTREAM,
        **SIGMOID,
    ),
    Fault(
        "leaky slope missing", LEAK, "return np.where(z > 0, 1.0, 0.0)", BELOW, UPSTREAM, **LEAKY
    ),
    Fault(
        "leaky slopes swapped", LEAK, "return np.where(z > 0, LEAK, 1.0)", BELOW, UPSTREAM, **LEAKY
    ),
    # the output's derivative
    Fault(
        "softmax: times A (1 - A)",
        OUTPUT,
        "dZ = (A := output_named(output).function(Z)) * (1 - A) * (A - Y)",
        ALL,
    ),
    Fault(
        "sigmoid: as of a squared error",
        OUTPUT,
        "dZ = (A := output_named(output).function(Z)) * (1 - A) * (A - Y)",
        ALL,
        **LOGISTIC,
    ),
    Fault("scores for probabilities", OUTPUT, "dZ = Z - Y", ALL),
    Fault("the answer for probabilities", OUTPUT, "dZ = (Z == Z.max(axis=0)) - Y", ALL),
    Fault(
        "softmax over the examples", OUTPUT, "dZ = output_named(output).function(Z.T).T - Y", ALL
    ),
    # transposes, layers and axes
    Fault(
        "missing transposition", DOWN, 'dA = params[f"W{layer}"] @ dZ', BELOW, UPSTREAM, **SQUARE
    ),
    Fault("transposed product", DW, "dW = A @ dZ.T / m", WEIGHTS, "transposed", **SQUARE),
    Fault(
        "weights of the layer below",
        DOWN,
        'dA = params[f"W{layer - 1}"].T @ dZ',
        BELOW,
        UPSTREAM,
        **SQUARE,
    ),
    Fault(
        "activations of the layer below",
        LOADED,
        LOADED.replace("{layer - 1}", "{max(layer - 2, 0)}"),
        UPPER,
        **SQUARE,
    ),
    Fault(
        "the inputs in every layer",
        LOADED,
        LOADED.replace('cache[f"A{layer - 1}"]', "X"),
        UPPER,
        **SQUARE,
    ),
    Fault(
        "one sum for all biases",
        DB,
        "db = np.full_like(dZ[:, :1], dZ.sum() / m)",
        BIASES,
        "wrong-axis",
        **LOGISTIC,
    ),
    # parts
    Fault("first bias never filled", DB, f"{DB} * (layer > 1)", "b1", "zero"),
    Fault(
        "last example dropped",
        DW,
        "dW = dZ[:, :-1] @ A[:, :-1].T / m",
        WEIGHTS,
        data={"activation": "tanh"},
    ),
    Fault(
        "last example dropped in the biases",
        DB,
        "db = dZ[:, :-1].sum(axis=1, keepdims=True) / m",
        BIASES,
        data={"activation": "tanh"},
    ),
    Fault(
        "= for += over the examples",
        DW,
        "dW = dZ[:, -1:] @ A[:, -1:].T / m",
        WEIGHTS,
        data={"activation": "tanh"},
    ),
    Fault(
        "last row only",
        DW,
        "dW = np.vstack([0 * W[:-1], dZ[-1:] @ A.T / m])",
        WEIGHTS,
        "partial",
        data={"activation": "tanh"},
    ),
    Fault(
        "first row forgotten",
        DW,
        "dW = np.vstack([0 * W[:1], dZ[1:] @ A.T / m])",
        WEIGHTS,
        "partial",
        data={"activation": "tanh"},
    ),
    # caches
    Fault(
        "cache of the parameters before the step",
        ONWARD,
        ONWARD.replace("params", "{n: p - 0.1 for n, p in params.items()}"),
        ALL,
        "stale",
    ),
    Fault("bias left out on the way forward", FORWARD_Z, 'Z = params[f"W{layer}"] @ A', ALL),
    Fault(
        "activation computed in place",
        FORWARD_A,
        "A = np.tanh(Z, out=Z) * D",
        BELOW,
        UPSTREAM,
        data={"activation": "tanh"},
    ),
    Fault(
        "error computed in place of the activation",
        DOWN,
        'dA = np.matmul(params[f"W{layer}"].T, dZ, out=cache[f"A{layer - 1}"])',
        UPPER,
    ),
    # dropout, whose own backward pass shows under one mask
    Fault("no mask on the way back", MASKED, "pass", BELOW, UPSTREAM, **FROZEN),
    Fault(
        "keep_prob not divided",
        MASKED,
        'dA = dA * (cache[f"D{layer - 1}"] > 0)',
        BELOW,
        "scale",
        **FROZEN,
    ),
    Fault(
        "keep_prob divided twice",
        MASKED,
        'dA = dA * cache[f"D{layer - 1}"] ** 2',
        BELOW,
        "scale",
        **FROZEN,
    ),
    Fault(
        "another mask on the way back",
        BACK,
        f"errors = deltas(params, {ONWARD[11:]}[1], dZ, activation=activation)",
        BELOW,
        UPSTREAM,
        **FROZEN_TANH,
    ),
    Fault(
        "mask of the first layer",
        MASKED,
        'dA = dA * cache["D1"]',
        BELOW,
        UPSTREAM,
        **EQUAL,
        **FROZEN_TANH,
    ),
    Fault(
        "activation cached before the mask",
        CACHED,
        CACHED.replace(": A}", ": g(Z)}"),
        UPPER,
        **FROZEN_TANH,
    ),
)
"""Caught at the first point."""

FAULTS_AFTER_TRAINING = (
    Fault(
        "forgotten mask below an output of zeros",
        BENT,
        "dZ = dA",
        BELOW,
        UPSTREAM,
        start=zero_output,
    ),
    Fault(
        "missing transposition of identities",
        DOWN,
        'dA = params[f"W{layer}"] @ dZ',
        BELOW,
        UPSTREAM,
        start=identities,
        **SQUARE,
    ),
    Fault(
        "no decay of weights of zero",
        DECAY,
        "pass",
        "W1",
        "missing-regularization",
        sizes=(4, 3),
        start=zero_weights,
        **L2,
    ),
    Fault(
        "tanh a straight line",
        ONE_LESS,
        "return np.ones_like(z)",
        "W1 b1",
        UPSTREAM,
        start=zero_first,
        sizes=(4, 6, 3),
        **TANH,
    ),
    Fault(
        "forgotten mask of units that are all active",
        BENT,
        "dZ = dA",
        BELOW,
        UPSTREAM,
        start=all_active,
    ),
)
"""Right at the start, which is what makes them pass a check there; caught after some steps."""


@dataclass(frozen=True)
class Refused:
    """A changed line that leaves no gradient to compare: the error's code, and what it names."""

    name: str
    line: str
    instead: str
    code: str
    names: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def problem(self) -> Problem:
        """Return the pair with the fault planted."""
        return Fault(self.name, self.line, self.instead, "", data=self.data).problem()


REFUSED = (
    Refused(
        "biases not summed", DB, "db = dZ / m", "shape-mismatch", r"db1.*\(6, 9\).*b1.*\(6, 1\)"
    ),
    Refused(
        "sum over the units",
        DB,
        "db = dZ.sum(axis=0, keepdims=True) / m",
        "shape-mismatch",
        r"db1.*\(1, 9\).*b1.*\(6, 1\)",
    ),
    Refused(
        "sum over everything",
        DB,
        "db = dZ.sum(keepdims=True) / m",
        "shape-mismatch",
        r"db1.*\(1, 1\).*b1.*\(6, 1\)",
    ),
    Refused(
        "keepdims forgotten",
        DB,
        "db = dZ.sum(axis=1) / m",
        "shape-mismatch",
        r"db1.*\(6,\).*b1.*\(6, 1\)",
    ),
    Refused(
        "product the wrong way round",
        DW,
        "dW = A @ dZ.T / m",
        "gradient-raised",
        r"ValueError: operands .* \(4,6\) \(6,4\)",  # the penalty has the shape of W1
    ),
    Refused(
        "transposed at the end",
        GRADS,
        'grads |= {f"dW{layer}": dW.T, f"db{layer}": db}',
        "shape-mismatch",
        r"dW1.*\(4, 6\).*W1.*\(6, 4\)",
    ),
    Refused(
        "missing transposition", DOWN, 'dA = params[f"W{layer}"] @ dZ', "gradient-raised", "matmul"
    ),
    Refused(
        "a layer short", LAYERS, "for layer in range(1, len(errors)):", "missing-gradient", "W3"
    ),
    Refused(
        "no gradient of the biases", GRADS, 'grads |= {f"dW{layer}": dW}', "missing-gradient", "b1"
    ),
    Refused(
        "last bias missing",
        GRADS,
        'grads |= {f"dW{layer}": dW} | {f"db{layer}": db for _ in "1" if layer < 3}',
        "missing-gradient",
        "b3",
    ),
    Refused(
        "pre-activations of the layer above",
        BENT,
        'dZ = dA * g_prime(cache[f"Z{layer}"])',
        "gradient-raised",
        "Z3",
    ),
    Refused(
        "decay in place", DECAY, "W -= lambd / m * W", "mutated-params", "W1", data={"lambd": 0.7}
    ),
)
