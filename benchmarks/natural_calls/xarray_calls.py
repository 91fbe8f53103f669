"""xarray: arrays with named axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from natural_calls import natural

FIELD = xr.DataArray(np.random.default_rng(3).normal(size=(3, 4)), dims=("lat", "lon"))


@natural("theta")
def a_data_array(check: Any, k: float) -> Any:
    return check(lambda a: (a**3).sum(), lambda a: 3 * k * a**2, FIELD)


@natural("wind")
def a_data_set(check: Any, k: float) -> Any:
    fields = xr.Dataset({"wind": FIELD, "heat": FIELD.mean("lat")})

    def cost(p: Any) -> Any:
        return (np.sin(p["wind"]) * p["heat"]).sum()

    def grad(p: Any) -> Any:
        return xr.Dataset(
            {"wind": k * np.cos(p["wind"]) * p["heat"], "heat": np.sin(p["wind"]).sum("lat")}
        )

    return check(cost, grad, fields)
