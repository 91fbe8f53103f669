"""The gradient's answer, in any structure that people return, laid out like theta.

A backprop may answer in the structure of the parameters, as one flat vector, as a list in the same
order, or as a dict whose keys carry a prefix (``dW1``, ``grad_W1``). Other entries (``dZ2``,
``dA1``) are ignored. Errors name entries that are missing, misshapen or no numbers.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.params.frameworks import numbers_of
from pytest_gradcheck.params.objects.slots import Slots
from pytest_gradcheck.params.theta import FloatArray, Parameter, Theta
from pytest_gradcheck.params.tree import Branch, Leaf, Node, children_of, leaves, look

__all__ = ["flatten_gradient", "left_in"]

# Prefixed names first: a dict that holds both `W1` and `dW1` carries the parameters beside their
# gradients, as the caches of many courses do.
CONVENTIONS = ("d{}", "d_{}", "grad_{}", "grad{}", "g_{}", "g{}", "delta_{}", "nabla_{}", "{}_grad")

PLAIN = "{}"

Found = dict[int, tuple[str, Any]]
"""Per parameter number: the user's name of the entry, and its value."""


def flatten_gradient(answer: Any, theta: Theta) -> FloatArray:
    """Return the gradient as one vector laid out like theta.

    Parameters
    ----------
    answer : object
        What the user's backprop returned.
    theta : Theta
        The layout of the parameters. Those that are not selected need no gradient.

    Returns
    -------
    array of shape (theta.base.size,)

    Raises
    ------
    ProblemError
        ``missing-gradient``, ``shape-mismatch`` or ``nonnumeric-gradient``, with the entry's name.

    Examples
    --------
    >>> theta = Theta({"W": np.ones((1, 2)), "b": 0.0})
    >>> flatten_gradient({"dW": np.array([[3.0, 4.0]]), "db": 5.0, "dZ": None}, theta)
    array([3., 4., 5.])
    """
    if isinstance(theta.params, Slots):
        answer = theta.params.collect(answer)
    answer = theta.parts(_entries(answer, theta.root))
    flat = _flat(answer, theta)
    if flat is None:
        flat = _at_once(answer, theta)
    if flat is not None:
        return flat
    if answer is None:
        only = theta.selected[0]
        what = f"{only.name} of shape {only.shape} needs one"
        if len(theta.selected) > 1:
            what = f"{_names(sorted(theta.selected_numbers), theta)} need one"
        raise ProblemError(
            "missing-gradient",
            f"the gradient is None, where {what}: is its return statement missing?",
        )
    found = _collected(answer, theta.root, theta, "the gradient")
    gradient = np.zeros(theta.base.size)
    for number, parameter in enumerate(theta.parameters):
        label, value = found.get(number, ("", None))
        if number in theta.selected_numbers or _fits(value, parameter):
            gradient[parameter.slice] = _numeric(value, parameter, label, theta).reshape(-1)
    return gradient


def _entries(answer: Any, node: Node) -> Any:
    """Return the part of an answer for a framework's value, if its adapter selects one."""
    if isinstance(node, Branch) and node.foreign is not None and node.foreign.taken.entries:
        return node.foreign.taken.entries(answer)
    return answer


def left_in(tree: Any, node: Node, theta: Theta) -> Any:
    """Return the gradients that reverse mode left in tensors, nested like the parameters.

    Parameters
    ----------
    tree : object
        The argument of the gradient.
    node : Node
        Its structure.
    theta : Theta

    Returns
    -------
    list, dict, array or None
        None if ``grad`` of every tensor is empty.
    """
    if not isinstance(node, Branch):
        return None
    if node.foreign is None:
        found = [left_in(look(tree, key), child, theta) for key, child in node.holding]
        return None if all(item is None for item in found) else found
    own = _entries(tree, node)
    if own is not tree:  # a Module, whose parameters have them
        return own if any(item is not None for item in own.values()) else None
    return getattr(tree, "grad", None)


def _flat(answer: Any, theta: Theta) -> FloatArray | None:
    """Read one vector of all components, or of the selected ones."""
    if isinstance(answer, (list, tuple)) and answer and all(map(_is_number, answer)):
        answer = np.asarray(answer)
    if not isinstance(answer, np.ndarray) or answer.dtype.kind not in "fiuc":
        return None
    if answer.dtype.kind == "c" or any(p.is_complex for p in theta.parameters):
        return _flat_complex(answer, theta)
    single = isinstance(theta.root, Leaf)
    if answer.ndim != 1 and (single or answer.shape != (answer.size, 1)):
        return None
    if answer.size == theta.base.size:
        return np.array(answer, np.float64).reshape(-1)
    if answer.size == theta.checked_size:
        gradient = np.zeros(theta.base.size)
        place = np.concatenate([np.arange(p.start, p.stop) for p in theta.selected])
        gradient[place] = answer.reshape(-1)
        return gradient
    return None


def _flat_complex(answer: npt.NDArray[Any], theta: Theta) -> FloatArray | None:
    """Read one vector of the user's numbers, complex ones among them."""
    if isinstance(theta.root, Leaf) or answer.ndim != 1:
        return None
    for parameters in (theta.parameters, theta.selected):
        if answer.size != sum(p.leaf_size for p in parameters):
            continue
        gradient = np.zeros(theta.base.size)
        start = 0
        for p in parameters:
            part = answer[start : start + p.leaf_size].reshape(p.leaf_shape)
            gradient[p.slice] = _numeric(part, p, f"the part for {p.name}", theta).reshape(-1)
            start += p.leaf_size
        return gradient
    return None


def _at_once(answer: Any, theta: Theta) -> FloatArray | None:
    """Return a dict or list of plain arrays as one vector where each fits its parameter, else None.

    What else an answer may be takes longer to tell: a twentieth of a check of four small arrays,
    and more where there are thousands.
    """
    root, parameters = theta.root, theta.parameters
    if not isinstance(root, Branch) or root.foreign is not None:
        return None
    if type(answer) is dict:
        entries: list[Any] = [answer.get(name) for name in _spellings(root, answer)]
    elif type(answer) is list and len(answer) == len(root.children):
        entries = answer
    else:
        return None
    if not len(entries) == len(root.holding) == len(parameters) == len(theta.selected):
        return None
    fits = all(
        type(entry) is np.ndarray
        and entry.dtype == np.float64
        and entry.shape == parameter.shape
        and not parameter.is_complex
        and type(child) is Leaf
        for entry, (_, child), parameter in zip(entries, root.holding, parameters, strict=True)
    )
    return np.concatenate(entries, axis=None) if fits else None


def _collected(answer: Any, node: Node, theta: Theta, label: str) -> Found:
    """Pair the parameters below `node` with entries of `answer`."""
    answer = theta.parts(_entries(answer, node))
    if isinstance(node, Leaf):
        return _collected_leaf(answer, node, theta, label)
    if not isinstance(node, Branch) or not _is_wanted(node, theta):
        return {}
    if answer is None:
        return dict.fromkeys(_wanted(node, theta), (label, None))
    named = _named_entries(answer)
    if named is not None and not (isinstance(answer, tuple) and _strange(named, node)):
        return _by_name(named, node, theta, label)
    if isinstance(answer, (list, tuple)) or _is_object_array(answer):
        return _by_order(answer, node, theta, label)
    wanted = _wanted(node, theta)
    if len(wanted) == 1:
        return {wanted[0]: (label, answer)}
    if isinstance(answer, (np.ndarray, np.generic, float, int)):
        total = theta.checked_size
        raise ProblemError(
            "shape-mismatch",
            f"{label} is one array of shape {np.shape(answer)}, where the parameters "
            f"({_names(wanted, theta)}) have {total} components: return them like the parameters, "
            f"or as a flat vector of shape ({total},)",
        )
    raise ProblemError(
        "nonnumeric-gradient",
        f"{label} is of type {type(answer).__name__}, in which no entry for "
        f"{_names(wanted, theta)} can be found: return a dict, a list or a flat vector",
    )


def _collected_leaf(answer: Any, node: Leaf, theta: Theta, label: str) -> Found:
    if type(answer) is np.ndarray:
        return {node.number: (label, answer)}  # first: most values are arrays
    parameter = theta.parameters[node.number]
    if isinstance(answer, Mapping) and len(answer) == 1:
        ((key, value),) = answer.items()
        return {node.number: (str(key), value)}
    if isinstance(answer, tuple) and answer and not _fits(answer, parameter):
        return {node.number: (label, answer[0])}  # (gradient, other values)
    return {node.number: (label, answer)}


def _is_number(value: Any) -> bool:
    return isinstance(value, (float, int, np.floating, np.integer)) and not isinstance(value, bool)


def _fits(value: Any, parameter: Parameter) -> bool:
    try:
        array = np.asarray(numbers_of(value))
    except ValueError:  # ragged: no array at all
        return False
    kinds = "fiuc" if parameter.is_complex else "fiu"
    return array.dtype.kind in kinds and array.shape == parameter.leaf_shape


def _is_object_array(answer: Any) -> bool:
    return isinstance(answer, np.ndarray) and answer.dtype == object and answer.ndim == 1


def _named_entries(answer: Any) -> Mapping[Any, Any] | None:
    """Return the entries of a mapping or of an object's attributes by name, or None."""
    if type(answer) is dict or isinstance(answer, Mapping):
        entries: Mapping[Any, Any] = answer
        return entries
    children = children_of(answer)
    if children and all(key.kind == "attribute" for key, _ in children):
        return {key.label: item for key, item in children}
    plain = hasattr(answer, "__dict__") and not hasattr(answer, "__array__")
    if plain and not isinstance(answer, (list, tuple)) and not dataclasses.is_dataclass(answer):
        return dict(vars(answer))
    return None


def _by_name(named: Mapping[Any, Any], node: Branch, theta: Theta, label: str) -> Found:
    found: Found = {}
    for (_, child), name in zip(node.holding, _spellings(node, named), strict=True):
        if not _is_wanted(child, theta):
            continue
        if name not in named:
            wanting = _names(leaves(child), theta)
            raise ProblemError("missing-gradient", _missing(wanting, name, named, label))
        found.update(_collected(named[name], child, theta, str(name)))
    return found


def _strange(named: Mapping[Any, Any], node: Branch) -> bool:
    """Return whether no entry has a parameter's name: a named tuple is then read by order."""
    labels = [key.label for key, _ in node.holding]
    return not any(
        _spelled(pattern, label) in named for pattern in (*CONVENTIONS, PLAIN) for label in labels
    )


def _spellings(node: Branch, named: Mapping[Any, Any]) -> tuple[Any, ...]:
    """Return the names of a node's entries by the spelling that finds most of them.

    Plain names whose values are the parameters themselves do not count beside prefixed ones: a
    missing prefixed name is a missing gradient.
    """
    labels = tuple(key.label for key, _ in node.holding)

    def hits(pattern: str) -> int:
        return sum(map(named.__contains__, _all_spelled(pattern, labels)))

    found: dict[str, int] = {}
    for pattern in CONVENTIONS:
        found[pattern] = hits(pattern)
        if found[pattern] == len(labels):
            return _all_spelled(pattern, labels)
    best = max(found, key=found.__getitem__)
    is_plain = hits(PLAIN) > found[best] and not (found[best] and _holds_parameters(named, node))
    return _all_spelled(PLAIN if is_plain else best, labels)


def _holds_parameters(named: Mapping[Any, Any], node: Branch) -> bool:
    """Return whether every entry with a parameter's own name is equal to that parameter."""
    pairs = zip(node.keys, node.items, strict=True)
    return all(_equal(named[key.label], item) for key, item in pairs if key.label in named)


def _equal(entry: Any, item: Any) -> bool:
    try:
        return bool(np.array_equal(entry, item))
    except (TypeError, ValueError):  # containers of unlike arrays
        return False


@functools.lru_cache(maxsize=64)
def _all_spelled(pattern: str, labels: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the names of entries by one spelling; cached, as a gradient is read many times."""
    return tuple(_spelled(pattern, label) for label in labels)


def _spelled(pattern: str, label: Any) -> Any:
    return pattern.replace("{}", label) if isinstance(label, str) else label


def _missing(parameter: str, name: Any, named: Mapping[Any, Any], label: str) -> str:
    keys = ", ".join(map(str, list(named)[:12])) + (", …" if len(named) > 12 else "")
    spelled = f" (looked for {name!r})" if str(name) != parameter else ""
    return (
        f"{label} has no entry for {parameter}{spelled}; it has {keys or 'no entries'}: "
        "add it, or leave the parameter out with exclude="
    )


def _by_order(answer: Sequence[Any], node: Branch, theta: Theta, label: str) -> Found:
    """Pair the items of a list with all children, those that hold parameters, or the leaves."""
    holding = [child for _, child in node.holding]
    every = [Leaf(number) for number in leaves(node)]
    selected = [leaf for leaf in every if leaf.number in theta.selected_numbers]
    checked = [child for child in holding if _is_wanted(child, theta)]
    refused: ProblemError | None = None
    for nodes in (node.children, holding, checked, every, selected):
        if len(nodes) != len(answer):
            continue
        try:
            return _paired(answer, nodes, theta, label)
        except ProblemError as error:
            refused = refused or error
    if isinstance(answer, tuple) and answer:
        try:
            return _whole(answer[0], node, theta, label)  # (gradients, other values)
        except ProblemError as error:
            refused = refused or error
    if refused:
        raise refused
    raise ProblemError(
        "missing-gradient",
        f"{label} is a {type(answer).__name__} of {len(answer)}, where there are {len(checked)} "
        f"parameters ({_names([leaf.number for leaf in selected], theta)}): return one entry for "
        "each, in this order, or leave a parameter out with exclude=",
    )


def _paired(items: Sequence[Any], nodes: Sequence[Node], theta: Theta, label: str) -> Found:
    found: Found = {}
    for position, (item, child) in enumerate(zip(items, nodes, strict=True)):
        found |= _collected(item, child, theta, f"{label}[{position}]")
    for number, (name, value) in found.items():
        if number in theta.selected_numbers:
            _numeric(value, theta.parameters[number], name, theta)
    return found


def _whole(answer: Any, node: Branch, theta: Theta, label: str) -> Found:
    flat = _flat(answer, theta) if node is theta.root else None
    if flat is None:
        return _collected(answer, node, theta, label)
    return {
        number: (label, parameter.shaped(flat[parameter.slice]))
        for number, parameter in enumerate(theta.parameters)
    }


def _is_wanted(node: Node, theta: Theta) -> bool:
    """Return whether a parameter that is checked is below a node."""
    if isinstance(node, Leaf):
        return node.number in theta.selected_numbers
    return isinstance(node, Branch) and any(_is_wanted(child, theta) for child in node.children)


def _wanted(node: Node, theta: Theta) -> list[int]:
    """Return the numbers of the parameters below a node that are checked."""
    return [number for number in leaves(node) if number in theta.selected_numbers]


def _names(numbers: Sequence[int], theta: Theta) -> str:
    names = [theta.parameters[number].name for number in numbers]
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def _numeric(value: Any, parameter: Parameter, label: str, theta: Theta) -> FloatArray:
    """Return an entry as a float64 array of the parameter's shape."""
    if value is None and label:
        return np.zeros(parameter.shape)  # None in frameworks: the cost does not depend on it
    if value is None:
        raise ProblemError(
            "missing-gradient",
            f"{_entry(label, parameter)} is missing, where {parameter.name} of shape "
            f"{parameter.leaf_shape} needs one: return it, or leave the parameter out with "
            "exclude=",
        )
    try:
        array = np.asarray(numbers_of(value))
    except Exception as error:
        raise ProblemError(
            "nonnumeric-gradient",
            f"{_entry(label, parameter)} is no array of numbers, but a {type(value).__name__} "
            f"({error})",
        ) from error
    if array.dtype.kind == "c" and not parameter.is_complex and not array.imag.any():
        array = array.real  # complex with zero imaginary parts
    if array.dtype.kind not in "fiu" and not (array.dtype.kind == "c" and parameter.is_complex):
        raise ProblemError(
            "nonnumeric-gradient",
            f"{_entry(label, parameter)} is no array of real numbers, but "
            f"{_kind(value, array)}: return floats for {parameter.name}",
        )
    wanted = parameter.leaf_shape
    if array.shape == wanted or array.size == parameter.leaf_size == 1:
        if parameter.is_complex:
            return array.astype(np.complex128).reshape(-1).view(np.float64)
        return array.astype(np.float64, copy=False)
    hint = _crosswise(array.shape, parameter, theta) or _shape_hint(array.shape, wanted)
    raise ProblemError(
        "shape-mismatch",
        f"{_entry(label, parameter)} has shape {array.shape}, where {parameter.name} has shape "
        f"{wanted}{hint}",
    )


def _entry(label: str, parameter: Parameter) -> str:
    """Return what an error calls the entry of a parameter."""
    return label if label and label != "the gradient" else f"the gradient of {parameter.name}"


def _kind(value: Any, array: np.ndarray[Any, Any]) -> str:
    if array.dtype == object:
        return f"a {type(value).__name__}"
    return f"{array.dtype} of shape {array.shape}"


def _crosswise(got: tuple[int, ...], parameter: Parameter, theta: Theta) -> str:
    """Return the other parameter that has this shape, if there is just one."""
    fitting = [p.name for p in theta.parameters if p.leaf_shape == got and p is not parameter]
    if len(fitting) != 1 or got == parameter.leaf_shape[::-1]:
        return ""
    return f", and {fitting[0]} has that: the gradients come in another order; return them in this"


def _shape_hint(got: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if got == wanted[::-1]:
        return ": it is transposed"
    axes = _summed_axes(got, wanted)
    if axes is not None:
        keep = ", keepdims=True" if len(got) == len(wanted) else ""
        axis = str(axes[0]) if len(axes) == 1 else str(axes)
        return f": it was not summed over the batch, np.sum(…, axis={axis}{keep})"
    if int(np.prod(got)) == int(np.prod(wanted)):
        return ": the same size, so a reshape (or keepdims=True) is missing"
    return ""


def _summed_axes(got: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the axes over which a sum reduces one shape to the other, or None."""
    extra = len(got) - len(wanted)
    if extra < 0:
        return None
    if extra:
        if got[extra:] == wanted:
            return tuple(range(extra))
        return tuple(range(len(wanted), len(got))) if got[: len(wanted)] == wanted else None
    axes = tuple(i for i, (a, b) in enumerate(zip(got, wanted, strict=True)) if a != b)
    return axes if axes and all(wanted[i] == 1 for i in axes) else None
