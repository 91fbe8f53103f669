"""Components shared among joblib's workers, on whatever backend the user has chosen for it.

Each worker gets a copy of the pair and differences blocks of components with it, one after the
other, just as it is done without workers: the results are the same to the last bit.
"""

from __future__ import annotations

import dataclasses
import math
import random
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pytest_gradcheck.errors import WISHES, ProblemError, wishes
from pytest_gradcheck.numdiff.evaluators import (
    BatchedEvaluator,
    Differences,
    LadderRequest,
    SerialEvaluator,
    local_evaluator,
)
from pytest_gradcheck.numdiff.ladder import Slope
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.theta import FloatArray, Indices, Theta
from pytest_gradcheck.problem.pair import Pair, frozen_calls
from pytest_gradcheck.problem.problem import Problem
from pytest_gradcheck.progress import Progress
from pytest_gradcheck.settings import Settings

__all__ = ["JoblibEvaluator", "evaluator_for"]

BLOCKS_PER_WORKER = 4
"""Blocks for each worker: some components take longer than others."""

MIN_COMPONENTS = 2
"""Components below which sending them away takes longer than doing them here."""

COPY_DISTANCE = 1e-3
"""How far from theta, in lengths, a worker's copy of the cost is compared with the original."""

COPY_TOLERANCE = 1e-3
"""By what part of the cost's change over that distance the two may differ."""


@dataclass(frozen=True)
class WorkerPayload:
    """All that a worker needs to make the pair anew.

    Attributes
    ----------
    problem : Problem
        With the parameters of the point, not what draws them.
    data : mapping or None
        At the point.
    settings : Settings
    base : array
        theta at the point.
    cost0 : float
        The cost there.
    states : tuple or None
        Of the global generators where every call starts from the same.
    """

    problem: Problem
    data: Any
    settings: Settings
    base: FloatArray
    cost0: float
    states: Any

    def unpack(self) -> tuple[Pair, SerialEvaluator]:
        """Return the pair, and how its cost is called."""
        settings, around = self.settings, None
        if self.states is not None:
            np.random.set_state(self.states[0])
            random.setstate(self.states[1])
            around = frozen_calls(self.problem, self.data)
        theta = Theta(self.problem.params, settings.inplace, settings.only, settings.exclude)
        theta.move_base(self.base)
        pair = Pair(self.problem, theta, self.data, settings, around)
        return pair, local_evaluator(pair, self.cost0, settings, Progress())


class Wish(NamedTuple):
    """An exception of `wishes` in a form that a worker process can send.

    pytest's own claim to be builtins, so that unpickling them fails.
    """

    home: str
    name: str
    args: tuple[Any, ...]
    attributes: dict[str, Any]

    @classmethod
    def of(cls, error: BaseException) -> Wish:
        """Return an exception in the form to send."""
        name = type(error).__name__
        homes = [home for home, _ in WISHES if hasattr(sys.modules.get(home), name)]
        return cls(homes[0] if homes else "builtins", name, error.args, dict(vars(error)))

    def exception(self) -> BaseException:
        """Return the exception that was sent."""
        error: BaseException = getattr(import_module(self.home), self.name)(*self.args)
        vars(error).update(self.attributes)
        return error


class WorkerResult(NamedTuple):
    """What a worker made of its block.

    Attributes
    ----------
    answer : list
    evaluations : int
    far : float or None
        The cost some way off, from a worker with a copy of its own.
    wish : Wish or None
        What the cost raised there that is no failure of it.
    """

    answer: list[Any]
    evaluations: int
    far: float | None
    wish: Wish | None = None


Task = Callable[[SerialEvaluator], list[Any]]


def _work(payload: WorkerPayload | bytes, task: Task) -> WorkerResult:
    """Do a task, in a worker."""
    copied = isinstance(payload, bytes)
    known: WorkerPayload = _pickler().loads(payload) if isinstance(payload, bytes) else payload
    pair, evaluator = known.unpack()
    try:
        with np.errstate(all="ignore"), pair.theta.guarded():
            far = _cost_at_distance(evaluator) if copied else None
            if far is not None and not math.isfinite(far):
                pair.cost()  # which tells what it raises here, and not where it came from
            before = pair.evaluations
            answer = task(evaluator)
            return WorkerResult(answer, pair.evaluations - before, far)
    except (SystemExit, KeyboardInterrupt) as wish:
        return WorkerResult([], 0, None, Wish.of(wish))
    except wishes() as wish:
        return WorkerResult([], 0, None, Wish.of(wish))


def _cost_at_distance(evaluator: SerialEvaluator) -> float:
    """Return the cost some way off: the same everywhere, if it is the same cost."""
    theta = evaluator.theta
    weights = lengths(theta) * (-1.0) ** np.arange(theta.base.size)
    with theta.moved(slice(0, theta.base.size), weights, COPY_DISTANCE):
        return float(evaluator.cost())


def _differences_of(
    numbers: Indices, steps: FloatArray, evaluator: SerialEvaluator
) -> list[Differences]:
    return [evaluator.differences(numbers, steps)]


def _slopes_of(
    requests: Sequence[LadderRequest], noise: float, suspect: float, evaluator: SerialEvaluator
) -> list[Slope]:
    return evaluator.slopes(requests, noise, suspect)


def evaluator_for(
    pair: Pair, cost0: float, settings: Settings, progress: Progress
) -> SerialEvaluator:
    """Return how the cost of a pair is called: in this process, or by workers.

    Raises
    ------
    ProblemError
        ``bad-setting`` where the cost does not keep the thetas of a block apart, or where workers
        cannot be had.
    """
    evaluator = local_evaluator(pair, cost0, settings, progress)
    if isinstance(evaluator, BatchedEvaluator):
        evaluator.refuse_mixed()
    if settings.workers > 1:
        return JoblibEvaluator(evaluator, pair, settings, progress)
    return evaluator


class JoblibEvaluator(SerialEvaluator):
    """Components in blocks, by joblib's workers.

    Parameters
    ----------
    evaluator : SerialEvaluator
        How it is done here, for what is not worth sending away.
    pair : Pair
    settings : Settings
    progress : Progress

    Raises
    ------
    ProblemError
        ``bad-setting`` where joblib is missing, the pair cannot be sent, or is another one there.
    """

    def __init__(
        self, evaluator: SerialEvaluator, pair: Pair, settings: Settings, progress: Progress
    ) -> None:
        super().__init__(evaluator.cost, evaluator.theta, evaluator.cost0, progress)
        if find_spec("joblib") is None:
            raise ProblemError(
                "bad-setting",
                f"workers={settings.workers} needs joblib: pip install 'pytest-gradcheck[workers]'",
            )
        if evaluator.theta.needs_hook:
            raise ProblemError(
                "bad-setting",
                f"workers={settings.workers}: params are taken apart by a hook of this process, "
                "which a worker does not have: check with workers=1",
            )
        self._evaluator, self._pair, self._settings = evaluator, pair, settings
        self._sent: WorkerPayload | bytes | None = None
        self._expected: float | None = None

    def along(self, weights: FloatArray, distances: Sequence[float]) -> list[float]:
        """Return the costs at distances along a vector."""
        return self._evaluator.along(weights, distances)

    def differences(self, numbers: Indices, steps: FloatArray) -> Differences:
        """Return the two-sided rises of components, at a step for each."""
        if numbers.size < MIN_COMPONENTS * self._settings.workers:
            return self._evaluator.differences(numbers, steps)
        self.progress.expect(numbers.size)
        blocks = self._blocks(numbers.size)
        tasks = [
            (partial(_differences_of, numbers[block], steps[block]), block.stop - block.start)
            for block in blocks
        ]
        answers = [answer[0] for answer in self._shared(tasks)]
        return Differences(*map(np.concatenate, zip(*answers, strict=True)))

    def _blocks(self, count: int) -> list[slice]:
        """Return blocks of about the same number of so many items."""
        most = -(-count // (BLOCKS_PER_WORKER * self._settings.workers))
        return [slice(start, min(start + most, count)) for start in range(0, count, most)]

    def slopes(
        self, requests: Sequence[LadderRequest], noise: float, suspect: float
    ) -> list[Slope]:
        """Return the slopes of components from ladders of steps."""
        if len(requests) < MIN_COMPONENTS * self._settings.workers:
            return self._evaluator.slopes(requests, noise, suspect)
        self.progress.expect(len(requests))
        parts = [requests[block] for block in self._blocks(len(requests))]
        tasks = [(partial(_slopes_of, part, noise, suspect), len(part)) for part in parts]
        return [slope for slopes in self._shared(tasks) for slope in slopes]

    def _shared(self, tasks: Sequence[tuple[Task, int]]) -> list[list[Any]]:
        """Return the answers to tasks, in their order."""
        import joblib

        payload = self._prepared_payload()
        backend, _ = joblib.parallel.get_active_backend()
        streams = getattr(backend, "supports_return_generator", False)
        pool = joblib.Parallel(
            n_jobs=self._settings.workers, return_as="generator" if streams else "list"
        )
        answers: Iterable[WorkerResult] = pool(
            joblib.delayed(_work)(payload, task) for task, _ in tasks
        )
        found = []
        try:
            for (_, size), done in zip(tasks, answers, strict=True):
                self._pair.evaluations += done.evaluations
                self.progress.advance(size)
                found.append(done)
        except BrokenExecutor as error:
            raise ProblemError(
                "cost-raised",
                f"workers={self._settings.workers}: a worker's process ended in the middle of a "
                "call (the cost ended it, or the system did for want of memory): check with "
                "workers=1",
            ) from error
        for done in found:  # not before all have come: joblib minds answers that nobody takes
            if done.wish is not None:
                raise done.wish.exception()
            self._refuse_other(done)
        return [done.answer for done in found]

    def _refuse_other(self, done: WorkerResult) -> None:
        if done.far is None or self._expected is None:
            return
        slack = COPY_TOLERANCE * abs(self._expected - self.cost0) + 1e-12 * abs(self.cost0)
        if abs(done.far - self._expected) <= slack or repr(done.far) == repr(self._expected):
            return
        raise ProblemError(
            "bad-setting",
            f"workers={self._settings.workers}: at the same theta the cost is {self._expected!r} "
            f"here and {done.far!r} in a worker, so it looks at something that was not sent there "
            "(arrays that are views of one another, a global that was changed): hand it over by "
            "data=, or check with workers=1",
        )

    def _prepared_payload(self) -> WorkerPayload | bytes:
        """Return the payload as it is sent: pickled once, unless workers share this memory."""
        if self._sent is None:
            import joblib

            backend, _ = joblib.parallel.get_active_backend()
            shared = bool(getattr(backend, "supports_sharedmem", False))
            payload = self._payload(shared)
            self._sent = (
                payload if shared and not self._settings.inplace else self._pickled(payload)
            )
        return self._sent

    def _payload(self, shared: bool) -> WorkerPayload:
        pair, frozen = self._pair, self._settings.dropout == "freeze"
        if shared and frozen:
            raise ProblemError(
                "bad-setting",
                f"workers={self._settings.workers} are threads here, which share the generators "
                "that dropout='freeze' sets back: use processes, or workers=1",
            )
        return WorkerPayload(
            problem=dataclasses.replace(pair.problem, params=pair.theta.params, settings={}),
            data=pair.data,
            settings=dataclasses.replace(self._settings, dropout=None, disable=None, workers=1),
            base=pair.theta.base,
            cost0=self.cost0,
            states=(np.random.get_state(), random.getstate()) if frozen else None,
        )

    def _pickled(self, payload: WorkerPayload) -> bytes:
        """Pickle a payload, with the test's own module in it: a worker may not find that."""
        before = self._pair.evaluations
        self._expected = _cost_at_distance(self._evaluator)
        self._pair.evaluations = before  # the workers' handshake is no part of the check
        refused: Exception | None = None
        for modules in (_own_modules(payload.problem), []):
            with _by_value(modules):
                try:
                    return bytes(_pickler().dumps(payload))
                except Exception as error:  # whatever the user's objects raise when pickled
                    refused = error
        raise ProblemError(
            "bad-setting",
            f"workers={self._settings.workers} sends the pair to other processes, and it cannot "
            f"be pickled ({type(refused).__name__}: {refused}): keep open files, locks and "
            "generators out of it, use threads (joblib.parallel_config('threading')), or workers=1",
        ) from refused


def _pickler() -> Any:
    """Return cloudpickle: what joblib itself needs, or brings along in versions before 1.6."""
    if find_spec("cloudpickle") is not None:
        import cloudpickle
    else:
        from joblib.externals import cloudpickle
    return cloudpickle


def _own_modules(problem: Problem) -> list[Any]:
    """Return the modules of the pair's functions that are not installed."""
    found = []
    for function in (problem.cost, problem.grad):
        while isinstance(function, partial):
            function = function.func
        owner = getattr(function, "__self__", None)
        name = getattr(function if owner is None else type(owner), "__module__", None)
        module = sys.modules.get(name or "")
        file = getattr(module, "__file__", None)
        if file and not any(Path(file).is_relative_to(path) for path in _installed()):
            found.append(module)
    return found


def _installed() -> list[str]:
    paths = sysconfig.get_paths()
    return [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]


@contextmanager
def _by_value(modules: Sequence[Any]) -> Iterator[None]:
    """Let functions and classes of modules be pickled as they are, and not by their names."""
    pickler = _pickler()
    for module in modules:
        pickler.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in {module.__name__: module for module in modules}.values():
            pickler.unregister_pickle_by_value(module)
