"""Marked tests: the pair that they return or that their marker names is checked.

The check runs inside the test's own function, so that every caller (unittest, asyncio, Hypothesis,
reruns, a debugger) sees a wrong gradient as an error of the test.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pytest_gradcheck.context import current
from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.plugin.markers import MarkerOptions
from pytest_gradcheck.report.report import GradientError

if TYPE_CHECKING:
    from pytest_gradcheck.problem.problem import Problem

__all__ = ["checking_return_value"]

OTHERS = 8
"""Further wrong problems whose headlines are shown below the first."""


@contextmanager
def checking_return_value(
    item: pytest.Function, marker: MarkerOptions, last: Callable[[object], None]
) -> Generator[None, None, None]:
    """Wrap a test to check its marker's pair and the problems it returns; `last` takes the rest.

    This wraps `item.obj` and not ``pytest_pyfunc_call``: unittest never calls that hook, and
    pytest-asyncio drops a coroutine's return value before it.
    """
    original: Callable[..., Any] = item.obj

    def finish(returned: object) -> object:
        __tracebackhide__ = True
        problems, rest = _problems(returned)
        if marker.pair:
            from pytest_gradcheck.problem.problem import Problem

            problems.append(Problem(**marker.pair))
        if problems:
            _check(original, problems)
        last(rest)
        return rest

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def wrapper(*args: Any, **kwargs: Any) -> object:
            __tracebackhide__ = True
            return finish(await original(*args, **kwargs))

    else:

        @functools.wraps(original)
        def wrapper(*args: Any, **kwargs: Any) -> object:
            __tracebackhide__ = True
            return finish(original(*args, **kwargs))

    item.obj = wrapper
    case = item.instance if _is_async_case(item) else None
    if case is not None:
        setattr(case, item.name, wrapper)
    try:
        yield
    finally:
        item.obj = original
        if case is not None:
            delattr(case, item.name)


def _is_async_case(item: pytest.Function) -> bool:
    """Return whether a test is an async unittest method, for which pytest bypasses `item.obj`."""
    unittest = sys.modules.get("unittest")
    case = getattr(unittest, "IsolatedAsyncioTestCase", None) if unittest else None
    return case is not None and isinstance(item.instance, case)


def _problems(returned: object) -> tuple[list[Problem], object]:
    """Split a returned value into problems to check and a rest for pytest's warning."""
    if returned is None:
        return [], None
    from pytest_gradcheck.problem.problem import Problem

    if isinstance(returned, Problem):
        return [returned], None
    if isinstance(returned, (list, tuple)) and returned:
        problems = [problem for problem in returned if isinstance(problem, Problem)]
        if len(problems) == len(returned):
            return problems, None
    return [], returned


def _check(test: Callable[..., Any], problems: Sequence[Problem]) -> None:
    """Check every problem, then raise the first error with the headlines of the others."""
    __tracebackhide__ = True
    from pytest_gradcheck.api import check_problem
    from pytest_gradcheck.report.terminal import fitted

    failed: list[tuple[int, GradientError | ProblemError]] = []
    for number, problem in enumerate(problems, 1):
        try:
            check_problem(problem, raising=True)
        except (GradientError, ProblemError) as error:
            failed.append((number, error))
    if not failed:
        return
    _, first = failed[0]
    if len(problems) > 1:
        heads = [(number, str(error).splitlines()[0]) for number, error in failed]
        lines = [f"problem {number} of {len(problems)}: {head}" for number, head in heads[:OTHERS]]
        if len(heads) > OTHERS:
            lines.append(f"and {len(heads) - OTHERS} more problems of {len(problems)}")
        style = current().style
        first.args = ("\n".join([str(first), *(fitted(line, style) for line in lines)]),)
    _raise_at_definition(test, first)


def _raise_at_definition(test: Callable[..., Any], error: Exception) -> None:
    """Raise an error as if from the line that defines the test.

    The test has returned, so pytest has no frame of the user's to show. Code compiled with the
    test's file and line makes one.
    """
    __tracebackhide__ = True
    function = inspect.unwrap(test)
    at = getattr(function, "__code__", None)
    if at is None:
        raise error
    code = compile("raise error", at.co_filename, "exec")
    exec(code.replace(co_firstlineno=at.co_firstlineno, co_name=at.co_name), {"error": error})
