"""A zoo on disk: three files, however many repos. Weights are served out of the first by range.

``weights.pack`` holds every large file once, one after the other; ``repos.json.gz`` the small files' text, dates,
figures and where in the pack each large file lies; ``truth.jsonl.gz`` what each model really is: its parents, relation,
what it was trained on, its seed. The truth is for tests and benches; no answer of the hub carries any of it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samplehub import collection
from samplehub.catalogue import Catalogue, Repo
from samplehub.files import Blob, is_large

FOLDER = Path(__file__).resolve().parent / "grown"
WEIGHTS, REPOS, TRUTH = "weights.pack", "repos.json.gz", "truth.jsonl.gz"


class PackError(ValueError):
    """A folder that holds no zoo, or one that is damaged; the text names the file and says what to do."""


@dataclass(frozen=True)
class Published:
    """A model as it goes into the pack: what is served of it, its files, and the truth about it."""

    entry: dict[str, Any]  # as samplehub.grow.entry makes it, without the truth
    files: dict[str, bytes]
    truth: dict[str, Any]  # how, parents, relation, trained_on, seed …

    @property
    def id(self) -> str:
        return str(self.entry["id"])


def write(folder: Path, models: Iterable[Published], about: dict[str, Any]) -> int:
    """Writes a pack (the folder's old one is replaced) and gives its bytes. The same models give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    places: dict[str, int] = {}
    texts: dict[str, str] = {}
    rows, truth = [], []
    with (folder / WEIGHTS).open("wb") as pack:
        for model in models:
            files: dict[str, Any] = {}
            for name, data in sorted(model.files.items()):
                sha256 = hashlib.sha256(data).hexdigest()
                if is_large(name):
                    if sha256 not in places:
                        places[sha256] = pack.tell()
                        pack.write(data)
                    files[name] = [places[sha256], len(data), sha256]
                else:
                    texts.setdefault(sha256[:16], data.decode())
                    files[name] = sha256[:16]
            rows.append({**{key: value for key, value in model.entry.items() if key != "sizes"}, "files": files})
            truth.append({"id": model.id, **model.truth})
    _gzip(folder / REPOS, json.dumps({"about": about, "texts": texts, "models": rows}, ensure_ascii=False))
    _gzip(folder / TRUTH, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in truth))
    return sum((folder / name).stat().st_size for name in (WEIGHTS, REPOS, TRUTH))


def _gzip(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def manifest(folder: Path = FOLDER) -> dict[str, Any]:
    """What ``repos.json.gz`` holds: about, texts, models. Raises PackError."""
    try:
        found = json.loads(gzip.decompress((folder / REPOS).read_bytes()))
        places = [place for model in found["models"] for place in model["files"].values() if isinstance(place, list)]
        end = max((start + length for start, length, _ in places), default=0)
        size = (folder / WEIGHTS).stat().st_size
    except FileNotFoundError as error:
        raise PackError(f"{folder} holds no zoo ({error.filename} is missing): manage.py growzoo grows one") from None
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PackError(f"{folder / REPOS} can't be read ({error}): grow the zoo anew with manage.py growzoo") from None
    if size < end:
        raise PackError(f"{folder / WEIGHTS} is cut short ({size:,} of {end:,} bytes): manage.py growzoo grows one")
    return found  # type: ignore[no-any-return]


def truth(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """By id: parents, relation, trained_on, seed and, of the concept adapters, concept and split."""
    lines = gzip.decompress((folder / TRUTH).read_bytes()).decode().splitlines()
    return {row["id"]: row for row in map(json.loads, lines)}


def add_to(catalogue: Catalogue, folder: Path = FOLDER) -> None:
    """Puts a zoo's repos beside those that a catalogue holds. Raises PackError."""
    found = manifest(folder)
    try:
        _add(catalogue, folder, found)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        if isinstance(error, PackError):
            raise
        raise PackError(
            f"{folder / REPOS} is no list of models as growzoo writes it ({type(error).__name__}: {error}): "
            "manage.py growzoo grows one"
        ) from None


def _add(catalogue: Catalogue, folder: Path, found: dict[str, Any]) -> None:
    texts = {digest: Blob.of_bytes(text.encode()) for digest, text in found["texts"].items()}
    for entry in found["models"]:
        if entry["id"] in catalogue.repos:
            raise PackError(f"{folder}: {entry['id']!r} is there already")
        files = {
            name: texts[place] if isinstance(place, str) else Blob.known(folder / WEIGHTS, place[1], place[2], place[0])
            for name, place in entry["files"].items()
        }
        snapshots = collection.snapshots_of(entry, files.__getitem__)
        catalogue.repos[entry["id"]] = Repo(collection.row_of(entry, snapshots), snapshots)


def load(folder: Path = FOLDER) -> Catalogue:
    """The collection and a zoo."""
    catalogue = collection.load()
    add_to(catalogue, folder)
    collection.settle(catalogue)
    return catalogue
