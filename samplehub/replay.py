"""Replays tables of rows: the columns of the Hub's list endpoint, or bare edges, from parquet, CSV or JSON lines.

A row is served as it stands wherever that is possible, since real dirt is what a crawler must cope with. Only a
row without a usable id cannot be served: it is an error that names file and row.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from samplehub import cells
from samplehub.catalogue import Catalogue, Repo
from samplehub.content import ContentError
from samplehub.edges import EDGE_COLUMNS, Edge, edge_of, rows_of_edges
from samplehub.files import Blob, Commit, Snapshots, Tree
from samplehub.shape import Row, author_of, commit_id, object_id

_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

#: Other spellings of columns, as tools that export the Hub's rows write them.
SPELLINGS = {
    "modelId": "id", "model_id": "id", "repo_id": "id", "created_at": "createdAt", "last_modified": "lastModified",
    "card_data": "cardData", "base_models": "baseModels", "downloads_all_time": "downloadsAllTime",
    "trending_score": "trendingScore", "libraryName": "library_name", "pipelineTag": "pipeline_tag",
}  # fmt: skip


def load(names: list[str]) -> Catalogue:
    """Reads the files, in order; of two rows with one id the later stands, and edges never replace a row.

    Raises ContentError: a file that is missing or of no known kind, or a row without an id (with its number).
    """
    rows: dict[str, Row] = {}
    declared: list[Edge] = []
    for name in names:
        path = Path(name)
        if not path.is_file():
            raise ContentError(f"no file {name}")
        for number, record in enumerate(records(path), 1):
            if record.keys() >= EDGE_COLUMNS and "id" not in record:
                declared.append(edge_of(record, f"{name}, row {number}"))
            else:
                row = row_of(record, f"{name}, row {number}")
                rows[row["id"]] = row
    known, renamed = known_oids(rows)
    for row in rows.values():
        row.setdefault("_id", known.get(row["id"]) or object_id(row["id"], row.get("createdAt")))
    for row in rows_of_edges(declared, rows, known, renamed) if declared else ():
        rows.setdefault(row["id"], row)
    return Catalogue({repo_id: Repo(row, snapshots_of) for repo_id, row in rows.items()}, renamed)


def known_oids(rows: Mapping[str, Row]) -> tuple[dict[str, str], dict[str, str]]:
    """The ``_id`` of repos as other rows' resolved parents tell it, and old names that one ``_id`` gives away.

    A table without that column still knows many. Where one ``_id`` goes by two names and one of them is a row's,
    the repo was renamed between two rows of the table.
    """
    names: dict[str, dict[str, None]] = {}
    for row in rows.values():
        parents = row.get("baseModels")
        models = parents.get("models") if isinstance(parents, dict) else None
        for model in models if isinstance(models, list) else ():
            repo_id, oid = (model.get("id"), model.get("_id")) if isinstance(model, dict) else (None, None)
            if isinstance(repo_id, str) and isinstance(oid, str):
                names.setdefault(oid, {}).setdefault(repo_id)
    known: dict[str, str] = {}
    renamed: dict[str, str] = {}
    for oid, ids in names.items():
        present = [repo_id for repo_id in ids if repo_id in rows]
        known.setdefault(present[0] if present else next(iter(ids)), oid)
        if len(present) == 1:
            renamed.update({repo_id: present[0] for repo_id in ids if repo_id not in rows})
    return known, renamed


def records(path: Path) -> Iterator[Mapping[str, Any]]:
    """The records of a table file. Raises ContentError saying which line cannot be read."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            yield from _parquet(path)
        elif suffix in (".csv", ".tsv"):
            csv.field_size_limit(2**31 - 1)
            with path.open(encoding="utf-8-sig", newline="") as file:
                yield from csv.DictReader(file, delimiter="\t" if suffix == ".tsv" else ",")
        elif suffix in (".jsonl", ".ndjson", ".json"):
            yield from _json_lines(path)
        else:
            raise ContentError(f"{path}: expected .parquet, .csv, .tsv, .jsonl or .json")
    except (UnicodeDecodeError, csv.Error) as error:
        raise ContentError(f"{path}: {error}") from None


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise ContentError(f"{path}: reading parquet needs pyarrow (pip install pyarrow)") from None
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(2000):
                for record in batch.to_pylist():
                    yield {name: cells.without_padding(value) for name, value in record.items()}
    except pa.ArrowException as error:
        raise ContentError(f"{path}: {error}") from None


def _json_lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8") as file:
        if path.suffix.lower() == ".json":
            try:
                values = json.load(file)
            except ValueError as error:
                raise ContentError(f"{path}: {error}") from None
            numbered = enumerate(values if isinstance(values, list) else [values], 1)
        else:
            numbered = ((n, line) for n, line in enumerate(file, 1) if line.strip())  # type: ignore[assignment]
        for number, value in numbered:
            try:
                record = json.loads(value) if isinstance(value, str) else value
            except ValueError as error:
                raise ContentError(f"{path}, line {number}: {error}") from None
            if not isinstance(record, dict):
                raise ContentError(f"{path}, row {number}: expected an object, found {type(record).__name__}")
            yield record


def row_of(record: Mapping[str, Any], where: str) -> Row:
    """One record as a row of the API. Only its id must be right; all else is served as found.

    Raises ContentError where there is no id.
    """
    named = {SPELLINGS.get(name, name): value for name, value in record.items() if name is not None}
    repo_id = named.get("id") or named.get("modelId")
    if not isinstance(repo_id, str) or not repo_id.strip():
        raise ContentError(f"{where}: column id: expected a repo's id, found {repo_id!r}")
    row: Row = {}
    for name, value in named.items():
        if (value := cells.read(name, value)) is not None:
            row[name] = value
    row["id"] = row["modelId"] = repo_id
    row.setdefault("author", author_of(repo_id))
    for name in ("private", "disabled", "gated"):
        row.setdefault(name, False)
    row.setdefault("sha", commit_id(repo_id, row.get("lastModified")))
    return row


# Files ----------------------------------------------------------------------------------------


def snapshots_of(row: Row) -> Snapshots:
    """One commit with the card, as far as the row tells it; the weights are not in a table and so not in the repo."""
    commit = Commit(
        str(row["sha"]), "Upload folder using huggingface_hub", str(row.get("lastModified")), "", str(row.get("author"))
    )
    if "cardData" not in row:
        return Snapshots([commit], [Tree()])
    return Snapshots([commit], [Tree({"README.md": Blob.of_bytes(card_text(row).encode("utf-8", "replace"))})])


def card_text(row: Row) -> str:
    """A model card with the row's card data as its front matter; a table does not tell the text below it."""
    front = yaml.dump(row["cardData"], Dumper=_Dumper, allow_unicode=True, sort_keys=False) if row["cardData"] else ""
    return f"---\n{front}---\n"
