"""Renew the vendored browser libraries: ``python scripts/vendor.py`` (needs npm), ``--check`` compares digests offline.

What to vendor stands in VENDORED: package, version, and which of its files go where. A new version is a change of
the number here and one run. ``static/vendor/versions.json`` records what lies there, with licence and SHA-256.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "static" / "vendor" / "versions.json"


@dataclass(frozen=True)
class Package:
    """One npm package: ``files`` maps a path inside it to the path in this repository that it is copied to."""

    name: str
    version: str
    licence: str
    files: dict[str, str]


VENDORED = (
    Package(
        "htmx.org",
        "2.0.11",
        "0BSD",
        {"dist/htmx.min.js": "static/vendor/htmx.min.js", "LICENSE": "static/vendor/htmx.LICENCE"},
    ),
    Package(
        "d3-hierarchy",
        "3.1.3",
        "ISC",
        {
            "dist/d3-hierarchy.min.mjs": "static/vendor/d3-hierarchy.min.js",
            "LICENSE": "static/vendor/d3-hierarchy.LICENCE",
        },
    ),
    Package(
        "axe-core",
        "4.14.1",
        "MPL-2.0",
        {"axe.min.js": "tests/browser/vendor/axe.min.js", "LICENSE": "tests/browser/vendor/axe.LICENCE"},
    ),
)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def renew() -> None:
    """Fetch each package with ``npm pack``, copy its files, and write the record."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm is not on the PATH: install Node.js (20 or newer) to renew vendored files.")
    record = {}
    for package in VENDORED:
        with tempfile.TemporaryDirectory() as folder:
            wanted = f"{package.name}@{package.version}"
            subprocess.run([npm, "pack", "--silent", wanted], cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - fixed names
            archive = next(Path(folder).glob("*.tgz"))
            with tarfile.open(archive) as tar:
                for inside, target in package.files.items():
                    source = tar.extractfile(f"package/{inside}")
                    if source is None:
                        sys.exit(f"{wanted} holds no file {inside}.")
                    path = ROOT / target
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(source.read())
        record[package.name] = {
            "version": package.version,
            "licence": package.licence,
            "files": {target: digest(ROOT / target) for target in package.files.values()},
        }
        sys.stdout.write(f"{wanted}: {', '.join(package.files.values())}\n")
    RECORD.write_text(json.dumps(record, indent=2) + "\n")


def check() -> list[str]:
    """What differs from the record, one line each; empty where all is as recorded."""
    record = json.loads(RECORD.read_text())
    faults = []
    for package in VENDORED:
        entry = record.get(package.name, {})
        if entry.get("version") != package.version:
            faults.append(f"{package.name}: {package.version} is wanted, {entry.get('version')} is recorded")
        for target, expected in entry.get("files", {}).items():
            path = ROOT / target
            if not path.is_file():
                faults.append(f"{target} is missing")
            elif digest(path) != expected:
                faults.append(f"{target} was changed")
    return faults


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare with the recorded digests and fetch nothing")
    if parser.parse_args().check:
        found = check()
        sys.stdout.write(("\n".join(found) or "Vendored files are as recorded.") + "\n")
        sys.exit(bool(found))
    renew()
