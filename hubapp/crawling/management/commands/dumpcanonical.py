"""Prints all that was learned in one order: two crawls of the same hub give the same text, however disturbed."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

import orjson
from django.core.management.base import BaseCommand

from hubapp.catalog import bulk
from hubapp.catalog.models import Alias, Repo, RepoState, RepoTerm
from hubapp.lineage.models import Edge, Evidence, Finding, Node
from hubapp.searching.models import Entry
from workers.lineage.records import WEIGHED_CODES, Source

# Left out: keys and what is made of them (rank), times of ours, jobs, and the digests by which changes are noticed.
_REPO = (
    "hub_id",
    "author",
    "state",
    "sha",
    "created_at",
    "modified_at",
    "downloads",
    "downloads_all",
    "likes",
    "trending",
    "licence_name",
    "licence_link",
    "tags",
    "parameters",
    "dtypes",
    "gated",
    "card_length",
    "card_excerpt",
    "card_sha",
    "lookup_answer",
)
_TERMS = ("task", "library", "licence", "architecture", "model_type")


class Command(BaseCommand):
    help = "Print everything that crawls have learned, sorted, without keys and times of our own, one JSON line each."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--summary", action="store_true", help="only how many lines of each kind, and a digest")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["summary"]:
            self.stdout.write(summary())
            return
        for line in lines():
            self.stdout.write(line)


def summary() -> str:
    """One line: a digest of the dump and how many lines of each kind it has."""
    from collections import Counter
    from hashlib import sha256

    digest, kinds = sha256(), Counter[str]()
    for line in lines():
        digest.update(line.encode() + b"\n")
        kinds[orjson.loads(line)[0]] += 1
    return f"{digest.hexdigest()}  " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def lines() -> Iterator[str]:
    """The dump, line by line, sorted within each kind."""
    names = dict(bulk.fetch("SELECT id, CASE WHEN state = 'stub' THEN folded ELSE name END FROM catalog_repo"))
    gone = set(Repo.objects.filter(state=RepoState.GONE).values_list("pk", flat=True))
    names |= {pk: f"{names[pk]} (gone)" for pk in gone}
    for part in (_repos, _aliases, _terms, _evidence, _edges, _nodes, _findings, _entries):
        yield from sorted(orjson.dumps(line, option=orjson.OPT_SORT_KEYS).decode() for line in part(names))


def _repos(names: dict[int, str]) -> Iterator[list[Any]]:
    fields = [*_REPO, *(f"{term}__value" for term in _TERMS)]
    for pk, moved_to, *values in Repo.objects.values_list("pk", "moved_to_id", *fields).iterator(2000):
        facts = dict(zip(fields, values, strict=True))
        if facts["state"] == RepoState.GONE and facts["hub_id"] is None:
            continue  # a name that was only ever hearsay, and is somebody's now
        yield ["repo", names[pk], names.get(moved_to), facts]


def _aliases(names: dict[int, str]) -> Iterator[list[Any]]:
    for name, repo in Alias.objects.values_list("name", "repo_id"):
        yield ["alias", name, names[repo]]


def _terms(names: dict[int, str]) -> Iterator[list[Any]]:
    for repo, kind, value in RepoTerm.objects.values_list("repo_id", "term__kind", "term__value").iterator(5000):
        yield ["term", names[repo], kind, value]


def _evidence(names: dict[int, str]) -> Iterator[list[Any]]:
    fields = ("child_id", "source", "text", "target", "relation", "hub_id", "times", "withdrawn_at")
    # What weights say depends on which of them were read, and when: it is no part of what a crawl learns.
    for child, *values, withdrawn in (
        Evidence.objects.exclude(source=Source.WEIGHTS).values_list(*fields).iterator(5000)
    ):
        yield ["evidence", names[child], *values, withdrawn is None]


def _edges(names: dict[int, str]) -> Iterator[list[Any]]:
    fields = ("parent_id", "child_id", "relation", "sources", "repaired", "primary", "closes")
    for parent, child, *values in Edge.objects.values_list(*fields).iterator(5000):
        yield ["edge", names[parent], names[child], *values]


def _nodes(names: dict[int, str]) -> Iterator[list[Any]]:
    fields = ("depth", "descendants", "finetunes", "adapters", "quantized", "merges", "unknown")
    for repo, root, parent, *values in Node.objects.values_list("repo_id", "root_id", "parent_id", *fields).iterator(
        5000
    ):
        yield ["node", names[repo], names[root], names.get(parent), *values]


def _findings(names: dict[int, str]) -> Iterator[list[Any]]:
    told = Finding.objects.exclude(code__in=[code.value for code in WEIGHED_CODES])
    for repo, *values in told.values_list("repo_id", "code", "subject", "detail").iterator(5000):
        yield ["finding", names[repo], *values]


def _entries(names: dict[int, str]) -> Iterator[list[Any]]:
    for repo, text in Entry.objects.values_list("repo_id", "text").iterator(5000):
        yield ["entry", names[repo], text]
