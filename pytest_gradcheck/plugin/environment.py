"""Where and on what a run is made: versions, platform, kernels, commit."""

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
"""Seconds after which git is not waited for any longer."""

COMMITS = ("GITHUB_SHA", "CI_COMMIT_SHA")
BRANCHES = ("GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_COMMIT_REF_NAME")
"""Where CI tells of the commit, whose checkout is of no branch."""

KERNELS = ("NPY_DISABLE_CPU_FEATURES", "OPENBLAS_CORETYPE", "OMP_NUM_THREADS")
"""What decides on the order of additions, and so on the last digits of every figure."""


def environment(config: pytest.Config) -> Environment:
    """Return where and on what this run is made."""
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
        commit=_git(config.rootpath, "rev-parse", "HEAD") or _told(COMMITS),
        branch=branch if branch not in ("", "HEAD") else _told(BRANCHES),
    )


def _kernels() -> str:
    """Return the processor, its extensions that NumPy uses, and what narrows them."""
    numpy = sys.modules.get("numpy")
    found = []
    if numpy is not None:
        shown = numpy.show_config(mode="dicts") or {}
        found = shown.get("SIMD Extensions", {}).get("found", [])
    narrowed = [f"{name}={os.environ[name]}" for name in KERNELS if os.environ.get(name)]
    return ", ".join([platform.machine(), *found[-3:], *narrowed])


def _told(names: tuple[str, ...]) -> str:
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _git(root: Path, *words: str) -> str:
    """Return what git says, or nothing where it does not."""
    try:
        told = subprocess.run(
            ["git", *words], cwd=root, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout.strip() if told.returncode == 0 else ""
