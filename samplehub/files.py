"""The files of a repo: blobs, folders, commits, and git's names for them."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from samplehub.http11 import FileSlice, Made

#: Files of these kinds are kept in large-file storage, whatever their size, as the Hub's default rules say.
LARGE_SUFFIXES = frozenset(
    (".safetensors", ".gguf", ".bin", ".pt", ".onnx", ".npz", ".h5", ".msgpack", ".model", ".parquet")
)


def is_large(name: str) -> bool:
    """Whether a file goes to large-file storage."""
    return PurePosixPath(name).suffix in LARGE_SUFFIXES


def git_blob(data: bytes) -> str:
    """Git's name for a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """The text that stands in git for a file in large-file storage."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


@dataclass(frozen=True)
class Blob:
    """A file's content, in memory or on disk; ``sha256`` is set for what is kept in large-file storage."""

    size: int
    oid: str
    sha256: str | None = None
    data: bytes | None = None
    path: Path | None = None
    make: Callable[[int, int], bytes] | None = None  # for content that is made when it is sent
    offset: int = 0  # where in the file on disk it begins: a pack holds many

    @classmethod
    def of_bytes(cls, data: bytes, *, large: bool = False) -> Blob:
        if not large:
            return cls(len(data), git_blob(data), None, data)
        sha256 = hashlib.sha256(data).hexdigest()
        return cls(len(data), git_blob(pointer(sha256, len(data))), sha256, data)

    @classmethod
    def of_file(cls, path: Path, name: str) -> Blob:
        """A file on disk under the name that it has in its repo, which decides where it is kept."""
        blob = cls.of_bytes(path.read_bytes(), large=is_large(name))
        return cls(blob.size, blob.oid, blob.sha256, None, path)

    @classmethod
    def known(cls, path: Path, size: int, sha256: str, offset: int = 0) -> Blob:
        """A large file whose hash is known, so that it need not be read now."""
        return cls(size, git_blob(pointer(sha256, size)), sha256, None, path, offset=offset)

    @classmethod
    def made(cls, make: Callable[[int, int], bytes], size: int, sha256: str) -> Blob:
        """A large file whose bytes ``make(start, stop)`` gives whenever some are asked for."""
        return cls(size, git_blob(pointer(sha256, size)), sha256, make=make)

    def read(self) -> bytes:
        if self.make is not None:
            return self.make(0, self.size)
        if self.data is not None:
            return self.data
        if self.path is None:
            return b""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)

    def part(self, start: int, stop: int) -> bytes | FileSlice | Made:
        """Bytes ``start`` to ``stop``, ready to be sent."""
        if self.make is not None:
            return Made(self.make, start, stop - start)
        if self.path is None:
            return (self.data or b"")[start:stop]
        return FileSlice(self.path, self.offset + start, stop - start)

    @property
    def lfs_pointer_size(self) -> int:
        return len(pointer(self.sha256, self.size)) if self.sha256 else 0


@dataclass(frozen=True)
class Commit:
    id: str
    title: str
    date: str
    message: str = ""
    author: str = ""


class Tree(dict[str, Blob]):
    """The files of a commit by path; never changed once made."""

    @functools.cached_property
    def folders(self) -> dict[str, str]:
        """Every folder below the root, with git's name for its content."""
        inside: dict[str, dict[str, tuple[bytes, str]]] = {"": {}}
        for path, blob in self.items():
            parts = path.split("/")
            for depth in range(1, len(parts)):
                inside.setdefault("/".join(parts[:depth]), {})
            inside["/".join(parts[:-1])][parts[-1]] = (b"100644", blob.oid)
        oids: dict[str, str] = {}
        for folder in sorted(inside, key=lambda name: name.count("/"), reverse=True):
            if folder:
                oids[folder] = _git_tree(inside[folder])
                parent, _, name = folder.rpartition("/")
                inside[parent][name] = (b"40000", oids[folder])
        return oids

    def oid(self, path: str) -> str | None:
        """Git's name for a file or a folder; None where there is neither."""
        return self[path].oid if path in self else self.folders.get(path)


def _git_tree(entries: dict[str, tuple[bytes, str]]) -> str:
    """Git's name for a folder: its entries in byte order, folders as if their names ended in a slash."""
    ordered = sorted(entries.items(), key=lambda item: item[0].encode() + (b"/" if item[1][0] == b"40000" else b""))
    data = b"".join(mode + b" " + name.encode() + b"\0" + bytes.fromhex(oid) for name, (mode, oid) in ordered)
    return hashlib.sha1(b"tree %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@dataclass
class Snapshots:
    """All commits of a repo, the newest first, with the files that each one holds."""

    commits: list[Commit] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)

    def at(self, revision: str) -> tuple[Commit, Tree] | None:
        """The commit and the files at ``main`` or at a commit's id; None where there is no such revision."""
        if not self.commits:
            return None
        if revision in ("main", "refs/heads/main"):
            return self.commits[0], self.trees[0]
        for commit, tree in zip(self.commits, self.trees, strict=True):
            if commit.id == revision:
                return commit, tree
        return None

    def with_commit(self, commit: Commit, changed: dict[str, Blob]) -> Snapshots:
        """The same history with one more commit."""
        tree = Tree({**(self.trees[0] if self.trees else {}), **changed})
        return Snapshots([commit, *self.commits], [tree, *self.trees])

    def last_commit(self, path: str, start: Commit) -> Commit:
        """The newest commit, at or before ``start``, that changed a file or anything below a folder."""
        position = self.commits.index(start)
        now = self.trees[position].oid(path)
        while position + 1 < len(self.commits) and self.trees[position + 1].oid(path) == now:
            position += 1
        return self.commits[position]


def with_front_matter(card: Blob | None, front: dict[str, Any]) -> Blob:
    """A card with other front matter and the same text."""
    text = card.read().decode("utf-8", "replace") if card is not None else ""
    if text.startswith("---") and (end := text.find("\n---", 3)) >= 0:
        text = text[end + 4 :]
    head = yaml.safe_dump(front, sort_keys=False, allow_unicode=True) if front else ""
    return Blob.of_bytes(f"---\n{head}---{text or chr(10)}".encode("utf-8", "replace"))


def lfs_info(blob: Blob, *, key: str) -> dict[str, Any]:
    return {key: blob.sha256, "size": blob.size, "pointerSize": blob.lfs_pointer_size}


def sibling(name: str, blob: Blob, *, blobs: bool) -> dict[str, Any]:
    """A file as model info lists it; with ``blobs`` its size and hashes too."""
    entry: dict[str, Any] = {"rfilename": name}
    if blobs:
        entry |= {"blobId": blob.oid, "size": blob.size}
        if blob.sha256:
            entry["lfs"] = lfs_info(blob, key="sha256")
    return entry


def tree_entries(tree: Tree, folder: str, *, recursive: bool) -> list[dict[str, Any]] | None:
    """Folders, then files, below a folder ("" is the root), as the tree listing gives them; None if it isn't there."""
    folder = folder.strip("/")
    if folder and folder not in tree.folders:
        return None
    prefix = f"{folder}/" if folder else ""

    def listed(path: str) -> bool:
        return path.startswith(prefix) and (recursive or "/" not in path[len(prefix) :])

    entries = [folder_entry(name, oid) for name, oid in sorted(tree.folders.items()) if listed(name)]
    return entries + [file_entry(name, blob) for name, blob in sorted(tree.items()) if listed(name)]


def folder_entry(name: str, oid: str) -> dict[str, Any]:
    return {"type": "directory", "oid": oid, "size": 0, "path": name}


def file_entry(name: str, blob: Blob) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": blob.oid, "size": blob.size, "path": name}
    if blob.sha256:
        entry["lfs"] = lfs_info(blob, key="oid")
    return entry
