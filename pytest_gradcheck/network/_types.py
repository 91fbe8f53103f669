"""The array types that every module of the network shares.

Examples are columns throughout: a matrix of inputs ``X`` has shape (n_x, m), features by examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

#: ``{"W1": ..., "b1": ..., "W2": ..., ...}``: W_l of shape (n_l, n_{l-1}), b_l of shape (n_l, 1).
Params: TypeAlias = Mapping[str, Array]
