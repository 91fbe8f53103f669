"""The environment of a run: versions, platform, kernels, commit."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from pytest_gradcheck import __version__
from pytest_gradcheck.report.record import Environment

__all__ = ["environment"]

PATIENCE = 5
"""Timeout of git, in seconds."""

COMMITS = ("GITHUB_SHA", "CI_COMMIT_SHA")
BRANCHES = ("GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_COMMIT_REF_NAME")
"""Environment variables of CI with the branch: its checkout is detached."""

KERNELS = ("NPY_DISABLE_CPU_FEATURES", "OPENBLAS_CORETYPE", "OMP_NUM_THREADS")
"""Environment variables that change the order of additions, and so the last digits."""


def environment(config: pytest.Config) -> Environment:
    """Return the environment of this run."""
    numpy = sys.modules.get("numpy")
    branch = _git(config.rootpath, "rev-parse", "--abbrev-ref", "HEAD")
    return Environment(
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        python=platform.python_version(),
        numpy=str(getattr(numpy, "__version__", "")),
        pytest=pytest.__version__,
        plugin=__version__,
        platform=platform.platform(),
        kernels=_kernels(),
        commit=_git(config.rootpath, "rev-parse", "HEAD") or _first_variable(COMMITS),
        branch=branch if branch not in ("", "HEAD") else _first_variable(BRANCHES),
    )


def _kernels() -> str:
    """Return the processor, NumPy's SIMD extensions, and the variables that limit them."""
    numpy = sys.modules.get("numpy")
    found = []
    if numpy is not None:
        shown = numpy.show_config(mode="dicts") or {}
        found = shown.get("SIMD Extensions", {}).get("found", [])
    narrowed = [f"{name}={os.environ[name]}" for name in KERNELS if os.environ.get(name)]
    return ", ".join([platform.machine(), *found[-3:], *narrowed])


def _first_variable(names: tuple[str, ...]) -> str:
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _git(root: Path, *words: str) -> str:
    """Return commit and branch from git; empty without git."""
    try:
        finished = subprocess.run(
            ["git", *words], cwd=root, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return finished.stdout.strip() if finished.returncode == 0 else ""
