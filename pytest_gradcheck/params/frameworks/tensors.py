"""Adapters of autodiff frameworks: tensors keep their dtype and device."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.params.frameworks.taken import Taken, digits_of, nothing

Array = npt.NDArray[Any]


# PyTorch


def torch(value: Any) -> Taken | None:
    """Flatten a tensor, or a Module into its parameters by their names."""
    library = sys.modules["torch"]
    if isinstance(value, library.nn.Module):
        return _module(value)
    if not isinstance(value, library.Tensor):
        return None
    array = partial(_torch_array, value)
    if not (value.is_floating_point() or value.is_complex()) or not value.numel():
        return nothing(value, array)
    numbers = _torch_array(value)
    own = None if _shares(numbers, value) else partial(_write_torch, value)
    digits = digits_of(value.dtype) if value.is_floating_point() else 53
    return Taken(numbers, partial(_torch_like, value), digits, own, array=array)


def _torch_array(value: Any) -> Array:
    """Return a tensor's numbers: a view where NumPy knows its dtype, else a copy."""
    plain = value.detach()
    if str(plain.layout) != "torch.strided":
        plain = plain.to_dense()
    plain = plain.cpu().resolve_conj().resolve_neg()
    if "bfloat16" in str(plain.dtype) or "float8" in str(plain.dtype):
        plain = plain.float()
    array: Array = plain.numpy()
    return array


def _shares(numbers: Array, value: Any) -> bool:
    if not numbers.size or str(value.layout) != "torch.strided":
        return False  # a sparse tensor was written out
    return bool(value.data_ptr() == numbers.ctypes.data)


def _torch_like(value: Any, numbers: Any) -> Any:
    """Return a tensor of other numbers, a leaf that requires a gradient where `value` is one."""
    library = sys.modules["torch"]
    made = library.tensor(
        np.ascontiguousarray(numbers).reshape(np.shape(numbers)),
        dtype=value.dtype,
        device=value.device,
    )
    if isinstance(value, library.nn.Parameter):
        return library.nn.Parameter(made, requires_grad=value.requires_grad)
    if type(value) is not library.Tensor:
        made = made.as_subclass(type(value))
    return made.requires_grad_(value.requires_grad and value.is_leaf)


def _write_torch(value: Any, numbers: Any) -> None:
    with sys.modules["torch"].no_grad():
        value.copy_(_torch_like(value, numbers))


def _module(value: Any) -> Taken:
    parts = {name: p for name, p in value.named_parameters() if p.requires_grad}
    return Taken(parts, partial(_module_like, value), entries=_gradients_of_module)


def _module_like(value: Any, parts: dict[str, Any]) -> Any:
    """Return a copy of a Module with other parameters, which the user may keep."""
    twin = copy.deepcopy(value)
    for name, parameter in twin.named_parameters():
        parameter.grad = None
        if name in parts:
            parameter.data = parts[name].detach()
    return twin


def _gradients_of_module(answer: Any) -> Any:
    """Return the gradients in a Module's parameters, by name, if it is the answer."""
    if isinstance(answer, sys.modules["torch"].nn.Module):
        return {name: p.grad for name, p in answer.named_parameters() if p.requires_grad}
    return answer


# JAX


def jax(value: Any) -> Taken | None:
    """Flatten an array; a traced one has no numbers."""
    library = sys.modules["jax"]
    if not isinstance(value, library.Array) or isinstance(value, library.core.Tracer):
        return None
    if library.dtypes.issubdtype(value.dtype, library.dtypes.prng_key):
        return nothing(value)
    array = partial(_jax_array, value)
    if not library.numpy.issubdtype(value.dtype, library.numpy.inexact) or not value.size:
        return nothing(value, array)
    is_float = library.numpy.issubdtype(value.dtype, library.numpy.floating)
    digits = digits_of(value.dtype.name) if is_float else 53
    return Taken(array(), partial(_jax_like, value), digits, is_fixed=True, array=array)


def _jax_array(value: Any) -> Array:
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.kind == "V" else array  # bfloat16, float8


def _jax_like(value: Any, numbers: Any) -> Any:
    library = sys.modules["jax"]
    is_wide = value.dtype.name in ("float64", "complex128")
    with library.enable_x64(True) if is_wide else nullcontext():
        made = library.numpy.array(numbers, dtype=value.dtype)  # a copy, as our vector changes
    return made if value.sharding == made.sharding else library.device_put(made, value.sharding)


def pytree(value: Any) -> Taken | None:
    """Flatten a container that is registered with JAX, by JAX's keys."""
    tree: Any = getattr(sys.modules["jax"], "tree_util", None)
    registry: Any = getattr(tree, "default_registry", None)
    if registry is None:  # JAX is being imported
        return None
    with_keys = registry.flatten_one_level_with_keys(value)
    if with_keys is None or isinstance(value, (dict, list, tuple, type(None))):
        return None
    keyed, _ = with_keys
    structure = tree.tree_structure(value, is_leaf=lambda item: item is not value)
    parts = {_label(key): item for key, item in keyed}

    def rebuild(parts: dict[Any, Any]) -> Any:
        return structure.unflatten(list(parts.values()))

    return Taken(parts, rebuild)


def _label(key: Any) -> Any:
    """Return the name or the index in a key of a JAX pytree."""
    for attribute in ("name", "key", "idx"):
        if hasattr(key, attribute):
            return getattr(key, attribute)
    return key


# mygrad, tinygrad, CuPy


def mygrad(value: Any) -> Taken | None:
    """Flatten a tensor, which wraps a NumPy array."""
    if not isinstance(value, sys.modules["mygrad"].Tensor):
        return None
    return _wrapped(value, lambda: value.data, partial(_mygrad_like, value))


def _mygrad_like(value: Any, numbers: Any) -> Any:
    return type(value)(np.array(numbers, value.dtype), constant=value.constant)


def tinygrad(value: Any) -> Taken | None:
    """Flatten a lazy tensor; writing to one is an assignment that is realized at once."""
    library = sys.modules["tinygrad"]
    if not isinstance(value, library.Tensor):
        return None

    def write(numbers: Any) -> None:
        value.assign(_tinygrad_like(value, numbers)).realize()

    return _wrapped(value, value.numpy, partial(_tinygrad_like, value), write)


def _tinygrad_like(value: Any, numbers: Any) -> Any:
    array = np.array(numbers, np.float64)
    if not str(value.dtype).endswith(("double", "float64")):
        array = array.astype(np.float32)
    return type(value)(array, device=value.device).cast(value.dtype).realize()


def cupy(value: Any) -> Taken | None:
    """Flatten an array on a device: only ``get`` and ``asarray`` copy from and to it."""
    library = sys.modules.get("cupy")
    if not hasattr(value, "get") or not hasattr(value, "dtype"):
        return None

    def like(numbers: Any) -> Any:
        make = getattr(library, "asarray", None) or getattr(library, "array", None) or type(value)
        return make(np.array(numbers, np.dtype(value.dtype)))

    def write(numbers: Any) -> None:
        value[...] = like(numbers)

    return _wrapped(value, value.get, like, write)


def _wrapped(
    value: Any,
    array: Callable[[], Array],
    rebuild: Callable[[Any], Any],
    write: Callable[[Any], None] | None = None,
) -> Taken:
    numbers = np.asarray(array())
    if numbers.dtype.kind not in "fc" or not numbers.size:
        return nothing(value, array)
    return Taken(numbers, rebuild, digits_of(numbers.dtype), write, array=array)
