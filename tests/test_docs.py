"""The docs say what is: the reference page is that of the declarations, links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from eoscale_engine.catalogue import declarations

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
NOT_DRAWN = ("copy", "pipeline", "pythonfilter", "pythonreduction")


def test_the_reference_page_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "reference.py"), "--check"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_modules_of_the_architecture_are_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:eoscale|tests)[\w/]+\.py)`", text)
    assert len(named) > 15
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_algorithm_has_a_picture() -> None:
    drawn = set(declarations()) - set(NOT_DRAWN)
    pictures = {path.stem for path in (ROOT / "docs" / "images" / "algorithms").glob("*.jpg")}
    assert pictures == drawn, "run scripts/pictures.py --only " + " ".join(drawn ^ pictures)
