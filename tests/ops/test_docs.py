"""README tells the truth: its tables hold every setting, command and make target, and nothing that is gone."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from django.core.management import get_commands

from tests.support.needs import ROOT

README = (ROOT / "README.md").read_text()

# Set by our own programs for their children, or for other libraries to read: nobody sets them by hand.
INTERNAL = {
    "DJANGO_SETTINGS_MODULE",
    "ROOTSTOCK_HUB_AUTOSTART",
    "ROOTSTOCK_HUB_CONTENT",
    "ROOTSTOCK_HUB_PORT",
    "ROOTSTOCK_PORT",
    "ROOTSTOCK_PYTHON",
    "ROOTSTOCK_ROLE",
    "ROOTSTOCK_TIED",
}
# Given to `make run`; they stand in the table of its options.
OPTIONS = {"PORT", "HUB", "HUB_PORT", "CONTENT"}
READERS = {"get", "pop", "setdefault", "getenv", "_required", "_number", "port_from"}


def section(title: str) -> str:
    """The text under a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(title)}$(.*?)(?=^#|\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, title
    return found.group(1)


def first_column(title: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)`", section(title), re.MULTILINE)


def reads_environment(node: ast.Call) -> bool:
    text = ast.unparse(node.func)
    name = text.rpartition(".")[2]
    return name in READERS and ("environ" in text or name.startswith("_") or name in {"getenv", "port_from"})


def variables_read() -> dict[str, str]:
    """Every variable that our code reads from the environment, with the file that does."""
    found = {}
    for folder in ("hubapp", "workers", "samplehub", "scripts", "ops"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names: list[ast.expr] = []
                if isinstance(node, ast.Call) and reads_environment(node) and node.args:
                    names = [node.args[0]]
                elif isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("environ"):
                    names = [node.slice]
                for name in names:
                    if isinstance(name, ast.Constant) and isinstance(name.value, str):
                        found[name.value] = str(path.relative_to(ROOT))
    return found


def spelt_anywhere() -> set[str]:
    """Names of ours that the code holds as constants."""
    pattern = re.compile(r"(ROOTSTOCK_[A-Z_]+)")
    return {
        name
        for folder in ("hubapp", "workers", "samplehub", "scripts", "ops")
        for path in [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).glob("*.conf")]
        for name in pattern.findall(path.read_text())
    }


def test_every_setting_is_documented() -> None:
    documented = set(first_column("Settings"))
    read = {name: path for name, path in variables_read().items() if name not in INTERNAL | OPTIONS}
    assert len(read) >= 12, "the search for settings finds too few: has their reading changed?"
    missing = {
        name: path for name, path in read.items() if name not in documented and not name.startswith("PYTHONPATH")
    }
    assert not missing
    assert spelt_anywhere() <= documented | INTERNAL


def test_every_documented_setting_is_read() -> None:
    assert set(first_column("Settings")) <= set(variables_read()) | spelt_anywhere()


def test_every_option_of_make_run_is_documented() -> None:
    for name in OPTIONS:
        assert f"{name}=" in section("To be in charge"), name


def our_commands() -> set[str]:
    return {name for name, app in get_commands().items() if app.startswith("hubapp.")}


def test_every_command_is_documented_and_every_documented_one_exists() -> None:
    documented = {text.split()[0] for text in first_column("Commands")}
    assert documented == our_commands()


def test_every_target_of_make_is_documented_and_every_documented_one_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    documented = set(re.findall(r"^\| `make ([a-z]+)`", README, re.MULTILINE))
    assert documented == targets


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"])
def test_every_file_that_is_named_exists(name: str) -> None:
    text = (ROOT / name).read_text()
    named = set(re.findall(r"\b((?:docs|tests|ops|scripts|bench)/[\w./-]*\w)", text))
    assert not [path for path in named if not (ROOT / path).exists() and not list(ROOT.glob(f"{path}*"))]


def test_the_table_of_checks_is_complete() -> None:
    """Each id stands once in the code, so that one can look it up."""
    ids = re.findall(r'id="(ROOT\.[EW]\d{3})"', (ROOT / "hubapp/checks.py").read_text())
    assert len(ids) == len(set(ids))
    assert [int(name[-3:]) for name in ids] == list(range(1, len(ids) + 1))


def test_the_readme_promises_no_path_outside() -> None:
    assert str(Path.home()) not in README
