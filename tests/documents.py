"""What tests of documents share: pytest run as a reader would, and reports made comparable."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ADDOPTS = "-p no:randomly"
"""Options of every run of pytest inside of a test: no plugin of the outer run orders its tests."""


def run_pytest(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder, in 80 columns, whatever the surroundings are."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PY_COL"))}
    environment |= {"COLUMNS": "80", "PYTHONUTF8": "1", "NO_COLOR": "1"}
    environment["PYTEST_ADDOPTS"] = ADDOPTS
    # On matrices as small as these, threads of linear algebra only wait for each other.
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args],
        cwd=folder,
        env=environment,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        encoding="utf-8",
        check=False,
    )


def comparable(report: str) -> list[str]:
    """Return the lines of a report without what rounding makes of it on another machine."""
    report = re.sub(r"\d\.\de-(0[7-9]|1\d)", "rounding", report)
    return re.sub(r"\d+ cost calls", "some cost calls", report).splitlines()
