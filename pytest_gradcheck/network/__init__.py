"""A feed-forward network in plain NumPy, small enough to be held in the head.

It is the pair that pytest-gradcheck exercises itself on, `cost` and `backprop`, and all that such a
network needs to learn something real. Each module has one subject. In the order in which they are
best read:

======================  ========================================================================
`activations`           what makes a network more than one linear map
`outputs`               softmax and sigmoid, with the cross-entropy that belongs to each
`initialization`        the scale of the first weights
`dropout`               hidden units off at random
`regularization`        the price of large weights
`model`                 forward to the cost, backward to its gradient
`data`                  train, dev and test sets; the digits
`normalization`         inputs at one scale
`augmentation`          new examples of old ones
`minibatches`           a step for every few examples
`optimizers`            gradient descent, momentum, Adam
`early_stopping`        when to stop
`training`              all of them together, with learning curves
`bias_variance`         what the errors say, and what to try
`layer_statistics`      where signals vanish or explode
======================  ========================================================================

Examples are columns, as in the deeplearning.ai courses: X of shape (n_x, m), Y of shape (n_y, m).

Examples
--------
>>> import numpy as np
>>> rng = np.random.default_rng(0)
>>> splits = split(*digits(), rng)
>>> normalize = Normalizer.fit(splits.train.X)
>>> result = train(initialize((64, 32, 10), rng), normalize(splits.train.X), splits.train.Y, rng,
...                optimizer=Adam(0.01), epochs=10)
>>> accuracy(result.params, normalize(splits.test.X), splits.test.Y) > 0.93
True
"""

from __future__ import annotations

from .activations import (
    ACTIVATIONS,
    Activation,
    leaky_relu,
    leaky_relu_derivative,
    relu,
    relu_derivative,
    sigmoid,
    sigmoid_derivative,
    tanh,
    tanh_derivative,
)
from .augmentation import add_noise, shift
from .bias_variance import Diagnosis, diagnose
from .data import Examples, Splits, digits, one_hot, split
from .early_stopping import EarlyStopping
from .initialization import initialize
from .layer_statistics import LayerReport, LayerStatistics, layer_statistics
from .minibatches import mini_batches
from .model import accuracy, backprop, cost, deltas, error, forward, predict
from .normalization import Normalizer
from .optimizers import Adam, GradientDescent, Momentum, Optimizer
from .outputs import OUTPUTS, Output, softmax
from .regularization import penalty
from .training import Epoch, Training, train

__all__ = [
    "ACTIVATIONS",
    "OUTPUTS",
    "Activation",
    "Adam",
    "Diagnosis",
    "EarlyStopping",
    "Epoch",
    "Examples",
    "GradientDescent",
    "LayerReport",
    "LayerStatistics",
    "Momentum",
    "Normalizer",
    "Optimizer",
    "Output",
    "Splits",
    "Training",
    "accuracy",
    "add_noise",
    "backprop",
    "cost",
    "deltas",
    "diagnose",
    "digits",
    "error",
    "forward",
    "initialize",
    "layer_statistics",
    "leaky_relu",
    "leaky_relu_derivative",
    "mini_batches",
    "one_hot",
    "penalty",
    "predict",
    "relu",
    "relu_derivative",
    "shift",
    "sigmoid",
    "sigmoid_derivative",
    "softmax",
    "split",
    "tanh",
    "tanh_derivative",
    "train",
]
