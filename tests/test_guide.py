"""What the guide says is what happens: its code is the example's, its output that of a run.

``python tests/test_guide.py`` runs the example, and writes the guide's output and plots anew.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from documents import comparable, run_pytest

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "guide.md"
TEXT = GUIDE.read_text(encoding="utf-8")
EXAMPLE = "examples/test_the_whole_pipeline.py"
SOURCE = (ROOT / EXAMPLE).read_text(encoding="utf-8")

CODE = re.compile(r"```python\n(.*?)```\n", re.DOTALL)
OUTPUT = re.compile(r"(<!-- output of (\S+) -->\n```\n)(.*?)(?=```\n)", re.DOTALL)
RULE = re.compile(r"^-+ Captured Out -+$")


def outputs_of(folder: Path) -> dict[str, str]:
    """Run the example, and return what each test prints; the plots are in the folder."""
    xml = folder / "junit.xml"
    run = run_pytest(
        ROOT,
        EXAMPLE,
        f"--basetemp={folder / 'plots'}",
        f"--junitxml={xml}",
        "--override-ini=junit_logging=system-out",
    )
    assert run.returncode == pytest.ExitCode.OK, run.stdout + run.stderr
    return {
        case.attrib["name"]: _printed(case.findtext("system-out") or "")
        for case in ET.parse(xml).iter("testcase")
    }


def _printed(captured: str) -> str:
    lines = [line.rstrip() for line in captured.splitlines() if not RULE.match(line)]
    return "\n".join(lines).strip("\n") + "\n"


def masked(output: str) -> list[str]:
    """Return the lines of an output without the figures that depend on the machine.

    Those of a training do: rounding differs from one library of linear algebra to another, and
    every step enlarges it.
    """
    for figure in (
        r"\d+(\.\d+)?%",
        r"\d\.\d+e[+-]\d\d",
        r"\d+\.\d{3,}",
        r"(?<=step )1e-\d\d",
        r"\d+(?= (bug|suspect|kink|inconclusive)\b)",
        r"\w+\[\d+, \d+\]",  # which is the worst, of those that are wrong in sign
    ):
        output = re.sub(figure, "…", output)
    output = re.sub(r"-?…", "…", output)
    output = re.sub(r" +", " ", output)  # columns are as wide as their figures
    return comparable(output)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    pytest.importorskip("matplotlib")
    return outputs_of(tmp_path_factory.mktemp("guide"))


def test_outputs_are_what_the_example_prints(outputs: dict[str, str]) -> None:
    shown = {name: masked(text) for _, name, text in OUTPUT.findall(TEXT)}
    assert shown == {name: masked(outputs[name]) for name in shown}, (
        "run `python tests/test_guide.py` to write the output anew, and look at the difference"
    )


def test_every_test_of_the_example_has_its_output_in_the_guide() -> None:
    shown = {name.split("[")[0] for _, name, _ in OUTPUT.findall(TEXT)}
    assert shown == set(re.findall(r"^def (test_\w+)", SOURCE, re.MULTILINE))


def test_code_is_that_of_the_example() -> None:
    blocks = CODE.findall(TEXT)
    assert len(blocks) >= 9
    assert [block for block in blocks if block not in SOURCE] == []


def test_figures_of_a_training_are_masked_and_words_and_counts_are_not() -> None:
    assert masked("low bias (0.2%) of 270") == masked("low bias (0.3%) of 270")
    assert masked("low bias (0.2%) of 270") != masked("high bias (0.2%) of 270")
    assert masked("low bias (0.2%) of 270") != masked("low bias (0.2%) of 271")


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", TEXT)
    assert "error_against_step.png" in links
    assert [link for link in links if not (GUIDE.parent / link).exists()] == []


def main() -> None:
    """Write the output and the plots of the guide anew."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = outputs_of(Path(folder))
        for plot in Path(folder).glob("plots/plots0/*.png"):
            shutil.copy(plot, GUIDE.parent)
    text = OUTPUT.sub(lambda match: match[1] + outputs[match[2]], TEXT)
    GUIDE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
