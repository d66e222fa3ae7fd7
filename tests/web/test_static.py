"""Static files: vendored ones are as recorded, and colours are named in one place."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.needs import ROOT

SHEETS = sorted((ROOT / "static").rglob("*.css"))


def test_vendored_files_are_as_recorded():
    command = [sys.executable, str(ROOT / "scripts" / "vendor.py"), "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: str(path.relative_to(ROOT)))
def test_colours_are_named_in_tokens_alone(sheet: Path):
    if sheet.name == "tokens.css":
        return
    text = re.sub(r"/\*.*?\*/", "", sheet.read_text(), flags=re.DOTALL)
    assert not re.findall(r"#[0-9a-fA-F]{3,8}\b(?![^{]*\{)", text)


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_fetched_from_elsewhere(sheet: Path):
    assert not re.search(r"url\(\s*['\"]?(?:https?:)?//|@import", sheet.read_text())
