"""``make lint``: every check that needs no running site. All are run; what failed is shown at the end of each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def checks() -> list[tuple[str, list[str]]]:
    found = [
        ("ruff check", [str(BIN / "ruff"), "check", "."]),
        ("ruff format", [str(BIN / "ruff"), "format", "--check", "."]),
        ("mypy", [sys.executable, "-m", "mypy"]),
        ("layers (import-linter)", [str(BIN / "lint-imports"), "--no-logo"]),
        ("API description", [sys.executable, "manage.py", "openapi", "--check"]),
        ("migrations", [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run", "--skip-checks"]),
    ]
    if node := shutil.which("node"):
        ours = sorted(path for path in (ROOT / "static").rglob("*.js") if "vendor" not in path.parts)
        script = f'for file; do {node} --check "$file" || bad=1; done; exit ${{bad:-0}}'
        found.append((f"JavaScript syntax ({len(ours)} files)", ["sh", "-c", script, "sh", *map(str, ours)]))
    else:
        say("not run: JavaScript syntax: no node (apt-get install nodejs)")
    return found


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    failed = []
    with tempfile.TemporaryDirectory(prefix="rootstock-lint-") as var:
        env = {**os.environ, "ROOTSTOCK_VAR": var, "DJANGO_SETTINGS_MODULE": "hubapp.settings"}
        for name, command in checks():
            started = time.monotonic()
            done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
            say(f"{'ok' if done.returncode == 0 else 'FAILED':6}  {name} ({time.monotonic() - started:.1f} s)")
            if done.returncode:
                failed.append(name)
                say((done.stdout + done.stderr).rstrip())
    if failed:
        say(f"lint: {len(failed)} failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
