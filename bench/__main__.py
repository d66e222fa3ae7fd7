"""``python -m bench [name …] [option …]``: runs the benches, each in a process of its own; without names all of them.

A bench is a module of this folder with a ``main()`` that needs no argument; options (``--size small``) go to each.
Ends with all figures in one table.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FIRST = ("crawl", "lineage", "pages", "faults")  # the order of the README's table; others follow by name


def is_bench(path: Path) -> bool:
    """Whether the module can be run by itself; the others are helpers, or parts that a bench starts."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name == "main":
            return len(node.args.args) == len(node.args.defaults)
    return False


def names() -> list[str]:
    found = {path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_") and is_bench(path)}
    return [name for name in FIRST if name in found] + sorted(found - set(FIRST))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run(name: str, options: list[str]) -> tuple[int, dict[str, Any]]:
    """The exit status of one bench, and the figures of its last line."""
    command = [sys.executable, "-m", f"bench.{name}", *options]
    last = ""
    with subprocess.Popen(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            say(line.rstrip("\n"))
            last = line if line.strip() else last
    try:
        figures = json.loads(last)["figures"]
    except (ValueError, KeyError, TypeError):
        figures = {}
    return process.returncode, figures


def main(arguments: list[str]) -> int:
    wanted = [argument for argument in arguments if argument in set(names())]
    options = [argument for argument in arguments if argument not in wanted]
    if options and not options[0].startswith("-"):
        say(f"no bench named {options[0]!r}; there are: {', '.join(names())}")
        return 2
    found: dict[str, dict[str, Any]] = {}
    missed = []
    for name in wanted or names():
        say(f"\n=== {name} " + "=" * (70 - len(name)))
        started = time.monotonic()
        status, found[name] = run(name, options)
        say(f"--- {name}: {'ok' if status == 0 else f'ended with {status}'} ({time.monotonic() - started:.0f} s)")
        if status:
            missed.append(name)
    say("\n=== all figures " + "=" * 58)
    for name, figures in found.items():
        for what, figure in figures.items():
            mark = "ok" if figure.get("reached") else "MISS"
            say(f"{mark:5} {name:8} {what:36} {figure.get('value')!s:>12}  {figure.get('bound', '')}")
    if missed:
        say(f"\nbench: not all bounds hold: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
