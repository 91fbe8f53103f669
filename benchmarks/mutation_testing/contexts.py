"""A plugin that tells coverage which test runs, here and in the processes that it starts."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from coverage import Coverage

DURATIONS = "GRADCHECK_DURATIONS"
CONTEXT = "GRADCHECK_TEST"
"""Stands in the configuration of coverage as the context of a process that a test starts."""


class Contexts:
    """Switches coverage's context, and keeps how long every test took."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Run a test under its own context."""
        running = Coverage.current()
        os.environ[CONTEXT] = item.nodeid
        if running is not None:
            running.switch_context(item.nodeid)
        start = time.perf_counter()
        try:
            return (yield)
        finally:
            with Path(os.environ[DURATIONS]).open("a") as out:
                out.write(json.dumps([item.nodeid, time.perf_counter() - start]) + "\n")
            os.environ.pop(CONTEXT, None)
            if running is not None:
                running.switch_context("")


def pytest_configure(config: pytest.Config) -> None:
    """Register, but not in runs inside of tests."""
    if CONTEXT not in os.environ and DURATIONS in os.environ:
        config.pluginmanager.register(Contexts(), "contexts")
