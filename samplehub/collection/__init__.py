"""The hub's own collection: small real models, grown by ``python -m samplehub.grow`` and kept in this folder.

``repos/`` holds their files; ``manifest.json`` what no file tells (dates, downloads, states, commits) and the truth
about their descent. The truth is for tests and benches (``truth()``); no answer of the hub carries any of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from samplehub import deriving
from samplehub.catalogue import Catalogue, Repo
from samplehub.files import Blob, Commit, Snapshots, Tree, is_large
from samplehub.shape import Row, author_of, commit_id, object_id

FOLDER = Path(__file__).resolve().parent
ATTRIBUTES = Blob.of_bytes(
    b"".join(b"*.%s filter=lfs diff=lfs merge=lfs -text\n" % kind for kind in (b"safetensors", b"gguf", b"bin"))
)


def folder_name(repo_id: str) -> str:
    """The folder that holds a repo's files, below ``repos/``."""
    return repo_id.replace("/", "--")


def manifest(folder: Path = FOLDER) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["models"]
    return models


def truth(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """By id: how each model came to be, its true parents, relation and data set, and what case it stands for."""
    return {entry["id"]: entry["truth"] | {"state": entry["state"]} for entry in manifest(folder)}


def load(folder: Path = FOLDER) -> Catalogue:
    """The collection as a catalogue. Parents are resolved again after every change, as the Hub does."""
    catalogue = Catalogue(settle=settle)
    for entry in manifest(folder):
        state = entry["state"]
        if state.get("deleted"):
            continue
        if old := state.get("renamed_from"):
            catalogue.renamed[old] = entry["id"]
        catalogue.repos[entry["id"]] = Repo(row_of(entry, snapshots := _snapshots(entry, folder)), snapshots)
    settle(catalogue)
    return catalogue


def snapshots_of(entry: dict[str, Any], blob_of: Callable[[str], Blob]) -> Snapshots:
    """All commits of a repo; each holds the files of those before it and its own, which ``blob_of`` gives by name."""
    commits, trees, tree = [], [], {".gitattributes": ATTRIBUTES}
    author = author_of(entry["id"]) or entry["id"]
    for number, commit in enumerate(entry["commits"]):
        tree |= {name: blob_of(name) for name in commit["files"] if name != ".gitattributes"}
        commits.append(Commit(commit_id(entry["id"], number), commit["title"], commit["date"], "", author))
        trees.append(Tree(tree))
    return Snapshots(commits[::-1], trees[::-1])


def _snapshots(entry: dict[str, Any], folder: Path) -> Snapshots:
    base = folder / "repos" / folder_name(entry["id"])

    def blob(name: str) -> Blob:
        size, sha256 = entry["sizes"][name]
        return Blob.known(base / name, size, sha256) if is_large(name) else Blob.of_file(base / name, name)

    return snapshots_of(entry, blob)


def row_of(entry: dict[str, Any], snapshots: Snapshots) -> Row:
    """A repo's row: what its manifest says and what its files tell."""
    repo_id, state = entry["id"], entry["state"]
    return {
        "_id": object_id(state.get("renamed_from") or repo_id, entry["created"]), "id": repo_id, "modelId": repo_id,
        "author": author_of(repo_id), "createdAt": entry["created"], "lastModified": entry["modified"], **entry["row"],
        **{name: state.get(name, False) for name in ("private", "gated", "disabled")},
        "sha": snapshots.commits[0].id, **deriving.derived_row(snapshots.trees[0]),
    }  # fmt: skip


def settle(catalogue: Catalogue) -> None:
    """Resolves what every card declares against the repos that are there now, and tags accordingly."""

    def find(name: str) -> tuple[str, str] | None:
        repo = catalogue.find(name) or catalogue.find(catalogue.new_name(name) or "")
        return None if repo is None or repo.private else (str(repo.row["_id"]), repo.id)

    for repo in catalogue.repos.values():
        snapshots = repo.snapshots
        tree = snapshots.trees[0] if snapshots is not None and snapshots.trees else Tree()
        if not tree and not isinstance(repo.row.get("cardData"), dict):
            continue  # added while the hub runs, with tags of its own
        repo.row.pop("baseModels", None)
        if parents := deriving.resolve(repo.row, find):
            repo.row["baseModels"] = parents
        repo.row["tags"] = deriving.tag(repo.row, tree)
