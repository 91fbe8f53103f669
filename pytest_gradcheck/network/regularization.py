r"""Charge the network for large weights, so that it prefers the simpler of two explanations.

The penalty is added to the cost, and its derivative to the gradient of every weight:

.. math::

    \frac{\lambda}{2m} \sum_l \lVert W_l \rVert_2^2
        &\;\to\; \frac{\lambda}{m} W_l && \text{(L2: weight decay)} \\
    \frac{\lambda}{2m} \sum_l \lVert W_l \rVert_1
        &\;\to\; \frac{\lambda}{2m} \operatorname{sign} W_l && \text{(L1: many weights become 0)}

The biases go free: they shift a unit's threshold and do not make it more sensitive to its inputs.

Sources: Krogh and Hertz, "A simple weight decay can improve generalization" (1992); Tibshirani,
"Regression shrinkage and selection via the lasso" (1996).
"""

from __future__ import annotations

import numpy as np

from ._checks import check_penalty
from ._types import Params


def penalty(params: Params, m: int, *, lambd: float = 0.0, l1: float = 0.0) -> float:
    """Return what the weights add to the cost.

    Parameters
    ----------
    params : mapping of str to array
        ``W1, b1, W2, b2, ...``.
    m : int
        Number of examples.
    lambd, l1 : float
        Strengths of the L2 and the L1 penalty.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        When a strength is negative or not finite.

    Examples
    --------
    >>> params = {"W1": np.array([[1.0, -2.0]]), "b1": np.array([[9.0]])}
    >>> penalty(params, m=2, lambd=4.0), penalty(params, m=2, l1=4.0)
    (5.0, 3.0)
    """
    check_penalty(lambd, l1)
    if lambd == l1 == 0:
        return 0.0
    total = 0.0
    for name, W in params.items():
        if name.startswith("W"):
            total += lambd / (2 * m) * float(np.sum(W**2))
            total += l1 / (2 * m) * float(np.sum(np.abs(W)))
    return total
