r"""Find the layers where the signal, forward or backward, vanishes or explodes.

For every layer: the size of its activations, against that of the inputs; and the size of its error
:math:`dZ_l`, against that of the output layer. Size is the root of the mean square.

The errors are the figure to look at and not the gradients of the weights: :math:`dW_l` is the
product of the error, which shrinks from the output down, and the activation, which shrinks from
the input up. Where both shrink alike the product is the same in every layer, and looks healthy.

Sources: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
networks" (2010), figures 6 to 9; Hochreiter, "The vanishing gradient problem during learning
recurrent neural nets and problem solutions" (1998).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._checks import check_targets
from ._types import Array, Params
from .activations import activation_named
from .model import deltas, forward
from .outputs import output_named


@dataclass(frozen=True)
class LayerStatistics:
    """The signals of one layer; `layer` counts from 1, the first above the inputs.

    `activation` is the root mean square of the activations (of the output layer, of its
    pre-activations), and `forward` says whether they look "healthy", "vanishing" or "exploding";
    `error` and `backward` say the same of :math:`dZ_l`. `dead` is the share of units that pass no
    error back for any example; 0 for the output layer.
    """

    layer: int
    activation: float
    error: float
    dead: float
    forward: str
    backward: str


@dataclass(frozen=True)
class LayerReport:
    """The statistics of every layer, the first layer first."""

    layers: tuple[LayerStatistics, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing vanishes or explodes in any layer."""
        return all(row.forward == row.backward == "healthy" for row in self.layers)

    def __str__(self) -> str:
        """Return a table, a row for each layer."""
        lines = ["layer  activation      error   dead  forward    backward"]
        for row in self.layers:
            lines.append(
                f"{row.layer:5}  {row.activation:10.1e} {row.error:10.1e} {row.dead:6.0%}  "
                f"{row.forward:9}  {row.backward}"
            )
        return "\n".join(lines)


def layer_statistics(
    params: Params,
    X: Array,
    Y: Array,
    *,
    activation: str = "relu",
    output: str = "softmax",
    factor: float = 100.0,
) -> LayerReport:
    """Measure the signals of every layer, without dropout.

    Parameters
    ----------
    params, X, Y, activation, output
        As for `cost`.
    factor : float
        How many times smaller or larger than the reference a signal may be and still be healthy.

    Returns
    -------
    LayerReport

    Raises
    ------
    ValueError
        As for `cost`, and when `factor` is not above 1.

    Examples
    --------
    Weights of a hundredth, the usual mistake, in a network of three layers:

    >>> rng = np.random.default_rng(0)
    >>> params = {}
    >>> for l in (1, 2, 3):
    ...     params[f"W{l}"] = 0.01 * rng.normal(size=(10, 10))
    ...     params[f"b{l}"] = np.zeros((10, 1))
    >>> report = layer_statistics(params, rng.normal(size=(10, 50)), np.eye(10)[:, [3] * 50])
    >>> [row.forward for row in report.layers]
    ['healthy', 'vanishing', 'vanishing']
    >>> [row.backward for row in report.layers]
    ['vanishing', 'healthy', 'healthy']
    """
    if not factor > 1:
        raise ValueError(f"factor is {factor}: it must be above 1")
    Z, cache = forward(params, X, activation=activation)
    check_targets(Y, Z)
    errors = deltas(params, cache, output_named(output).function(Z) - Y, activation=activation)
    depth = len(errors)
    inputs, top = _size(X), _size(errors[f"dZ{depth}"])
    rows = []
    for layer in range(1, depth + 1):
        hidden = layer < depth
        size, error = _size(cache[f"A{layer}"] if hidden else Z), _size(errors[f"dZ{layer}"])
        dead = _dead(cache[f"Z{layer}"], activation) if hidden else 0.0
        forth, back = _verdict(size, inputs, factor), _verdict(error, top, factor)
        rows.append(LayerStatistics(layer, size, error, dead, forth, back))
    return LayerReport(tuple(rows))


def _size(signal: Array) -> float:
    return float(np.sqrt(np.mean(signal**2)))


def _dead(Z: Array, activation: str) -> float:
    passes = activation_named(activation).derivative(Z) != 0
    return float(1.0 - passes.any(axis=1).mean())


def _verdict(size: float, reference: float, factor: float) -> str:
    if size * factor < reference:
        return "vanishing"
    # Not a plain comparison: what is not a number has exploded, too.
    return "healthy" if size <= reference * factor else "exploding"
