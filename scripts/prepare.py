"""What has to be there before the site starts: tables, static files, an administrator, the first crawl's job.

Run by scripts/run.py in the environment of the site; a second run finds all done and takes a second or two.
"""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends this quietly: each step is whole or not done
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hubapp.settings")

import django

django.setup()

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.migrations.executor import MigrationExecutor


def tell(text: str) -> None:
    sys.stdout.write(f"  {text}\n")
    sys.stdout.flush()


class Indented(io.StringIO):
    """Shows what a command prints as one of our lines."""

    def write(self, text: str) -> int:
        if text.strip():
            tell(text.strip())
        return len(text)


def migrate() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        started = time.monotonic()
        call_command("migrate", verbosity=0, interactive=False, database=DEFAULT_DB_ALIAS)
        tell(f"database ready ({time.monotonic() - started:.1f} s)")


def static_digest() -> str:
    """Changes when any static file of ours or of an application does."""
    sha = hashlib.sha256(django.get_version().encode())
    for finder in get_finders():
        for name, storage in sorted(finder.list([]), key=lambda found: found[0]):
            status = Path(storage.path(name)).stat()
            sha.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return sha.hexdigest()


def collect_static() -> None:
    """Copies, hashes and compresses the static files; skipped while none has changed."""
    stamp = Path(settings.STATIC_ROOT) / ".collected"
    digest = static_digest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    started = time.monotonic()
    call_command("collectstatic", verbosity=0, interactive=False, clear=True)
    stamp.write_text(digest)
    tell(f"static files ready ({time.monotonic() - started:.1f} s)")


def main() -> int:
    try:
        call_command("check", stdout=io.StringIO())  # warnings and errors go to stderr
    except SystemCheckError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    statics = multiprocessing.get_context("fork").Process(target=collect_static)  # beside the tables, on the other core
    statics.start()
    migrate()
    call_command("ensureadmin", verbosity=0)
    call_command("firstcrawl", stdout=Indented())
    statics.join()
    return statics.exitcode or 0


if __name__ == "__main__":
    raise SystemExit(main())
