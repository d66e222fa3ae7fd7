"""Families of known shape, written as rows: a chain, a merge of many, a star of many children, dirty and hostile cases.

``Grove`` collects models and their parents, ``plant()`` writes repos, edges, nodes with all counts, evidence and
findings as the lineage job leaves them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hubapp.catalog.models import Repo, RepoState, Term
from hubapp.lineage.models import Edge, Evidence, Finding, Node
from hubapp.searching.models import Entry
from workers.lineage.records import Code, Relation, Source

START = datetime(2023, 3, 1, tzinfo=UTC)
COUNTS = {
    Relation.FINETUNE: "finetunes",
    Relation.ADAPTER: "adapters",
    Relation.QUANTIZED: "quantized",
    Relation.MERGE: "merges",
    Relation.UNKNOWN: "unknown",
}
HOSTILE = (
    '<img src=x onerror="alert(1)">/<script>alert(2)</script>',
    "evil/\u202egnp.exe\u202c",
    "evil/zero\u200bwidth\x07bell",
    "evil/]]>&amp;<![CDATA[x",
    "=cmd|' /C calc'!A0/+1+1",
    "evil/" + "very-long-name-" * 8,
)


@dataclass
class _Model:
    name: str
    parents: list[tuple[str, Relation]]
    facts: dict[str, Any]
    loose: list[str]
    findings: list[tuple[Code, str]]
    back: list[tuple[str, Relation]] = field(default_factory=list)


class Grove:
    """Collects models in the order in which they are named; parents first."""

    def __init__(self) -> None:
        self.models: dict[str, _Model] = {}

    def add(
        self,
        name: str,
        *parents: str,
        relation: Relation = Relation.FINETUNE,
        loose: tuple[str, ...] = (),
        findings: tuple[tuple[Code, str], ...] = (),
        **facts: Any,
    ) -> str:
        """A model and its parents, the primary one first. ``facts`` are fields of Repo; task and licence by value."""
        at = len(self.models)
        defaults = {
            "created_at": START + timedelta(hours=7 * at),
            "downloads": max(1, 1_000_000 // (at + 1)),
            "parameters": 8_030_261_248,
            "state": RepoState.LISTED,
            "task": "text-generation",
            "licence": "apache-2.0",
        }
        self.models[name] = _Model(
            name, [(p, relation) for p in parents], defaults | facts, list(loose), list(findings)
        )
        return name

    def close_cycle(self, parent: str, child: str) -> None:
        """An edge that is not primary because it would close a cycle, with its finding."""
        self.models[child].back.append((parent, Relation.FINETUNE))
        self.models[child].findings.append((Code.CYCLE, parent))

    def plant(self) -> dict[str, int]:
        """Write all. Returns ids by name."""
        terms = {
            (kind, value): Term.objects.get_or_create(kind=kind, value=value)[0]
            for kind in ("task", "licence")
            for value in sorted({str(m.facts[kind]) for m in self.models.values() if m.facts[kind]})
        }
        base = (Repo.objects.order_by("-rank").values_list("rank", flat=True).first() or 0) + 1
        repos = [
            Repo(
                name=m.name,
                folded=m.name.lower(),
                author=m.name.partition("/")[0] if "/" in m.name else "",
                rank=base + at,
                **{key: value for key, value in m.facts.items() if key not in {"task", "licence"}},
                **{key: terms.get((key, m.facts[key])) for key in ("task", "licence")},
            )
            for at, m in enumerate(self.models.values())
        ]
        Repo.objects.bulk_create(repos, batch_size=2000)
        ids = {repo.name: repo.pk for repo in repos}
        Entry.objects.bulk_create((Entry(key=r.rank, repo=r, text=r.name) for r in repos), batch_size=2000)
        self._edges(ids, {repo.name: repo.rank for repo in repos})
        self._nodes(ids)
        self._evidence(ids)
        return ids

    def _edges(self, ids: dict[str, int], ranks: dict[str, int]) -> None:
        mask = (1 << Source.HUB) | (1 << Source.CARD)
        edges = []
        for m in self.models.values():
            # A root has no first place to give: what closes a cycle comes after it.
            every = [*enumerate(m.parents), *enumerate(m.back, start=max(1, len(m.parents)))]
            edges += [
                Edge(
                    parent_id=ids[parent],
                    child_id=ids[m.name],
                    relation=relation,
                    sources=mask,
                    place=place,
                    primary=place < len(m.parents) and place == 0,
                    closes=place >= len(m.parents),
                    rank=ranks[m.name],
                )
                for place, (parent, relation) in every
            ]
        Edge.objects.bulk_create(edges, batch_size=2000)

    def _nodes(self, ids: dict[str, int]) -> None:
        nodes: dict[str, Node] = {}
        for m in self.models.values():
            primary = m.parents[0][0] if m.parents else None
            above = nodes.get(primary) if primary else None
            nodes[m.name] = Node(
                repo_id=ids[m.name],
                root_id=above.root_id if above else ids[m.name],
                parent_id=ids[primary] if primary else None,
                depth=above.depth + 1 if above else 0,
            )
        for m in self.models.values():
            for parent, relation in [*m.parents, *m.back]:
                field_name = COUNTS[relation]
                setattr(nodes[parent], field_name, getattr(nodes[parent], field_name) + 1)
        for m in reversed(self.models.values()):
            if m.parents:
                nodes[m.parents[0][0]].descendants += nodes[m.name].descendants + 1
        Node.objects.bulk_create(nodes.values(), batch_size=2000)

    def _evidence(self, ids: dict[str, int]) -> None:
        Evidence.objects.bulk_create(
            Evidence(child_id=ids[m.name], source=Source.CARD, text=text, target="", first_seen=START, last_seen=START)
            for m in self.models.values()
            for text in m.loose
        )
        Finding.objects.bulk_create(
            Finding(repo_id=ids[m.name], code=code.value, subject=subject, first_seen=START)
            for m in self.models.values()
            for code, subject in m.findings
        )


def chain(grove: Grove, length: int = 17) -> list[str]:
    """A line of descent: ``length`` models, each the only child of the one before."""
    names = ["chain/root-7B"]
    grove.add(names[0], downloads=90_000)
    for at in range(1, length):
        relation = (Relation.FINETUNE, Relation.MERGE, Relation.ADAPTER, Relation.FINETUNE, Relation.QUANTIZED)[at % 5]
        names.append(grove.add(f"author{at % 4}/Some-Model-7B-step{at:02d}-dpo", names[-1], relation=relation))
    return names


def merge(grove: Grove, parents: int = 65) -> str:
    """A merge of many parents, of different families, with some children of its own."""
    base = grove.add("meta/Meta-Base-8B")
    names = [grove.add("merger/primary-8B", base)]
    names += [grove.add(f"lab{at % 9}/expert-{at:02d}-8B-instruct") for at in range(1, parents)]
    merged = grove.add(
        "merger/Everything-Everywhere-8B", *names, relation=Relation.MERGE, loose=("/home/me/models/secret-sauce",)
    )
    for at in range(4):
        grove.add(f"quanter/Everything-Everywhere-8B-Q{at}_K", merged, relation=Relation.QUANTIZED)
    return merged


def star(grove: Grove, children: int = 100_000, name: str = "meta-llama/Giant-8B") -> str:
    """A parent of very many children, in four relations, a few authors with most of them; some have children."""
    grove.add(name, task="text-generation", licence="llama3.1", downloads=5_000_000, created_at=START)
    in_tens = "aqfaaqfama"
    letters = {"f": Relation.FINETUNE, "a": Relation.ADAPTER, "q": Relation.QUANTIZED, "m": Relation.MERGE}
    words = {Relation.ADAPTER: "lora", Relation.QUANTIZED: "GGUF", Relation.FINETUNE: "tuned", Relation.MERGE: "blend"}
    authors = {Relation.QUANTIZED: ("mradermacher", "bartowski", "TheBloke")}
    for at in range(children):
        relation = letters[in_tens[at % 10]]
        few = authors.get(relation)
        author = few[at % 3] if few and at % 7 else f"user{(at * 7919) % 4001}"
        child = grove.add(
            f"{author}/Giant-8B-{words[relation]}-{at}",
            name,
            relation=relation,
            licence="llama3.1" if at % 3 else "mit",
            parameters=8_030_261_248 if relation != Relation.ADAPTER else 41_943_040,
            created_at=START + timedelta(minutes=17 * at),
            task="text-generation" if at % 47 else "text-classification",
            findings=((Code.WRONG_CASE, name),) if at % 400 == 3 else (),
        )
        if at % 60 == 2 and at < 5000:
            for quant in range(3):
                grove.add(f"quanter/Giant-8B-{words[relation]}-{at}-Q{quant}", child, relation=Relation.QUANTIZED)
    return name


def dirty(grove: Grove) -> str:
    """What real data holds: a parent that was never crawled, one that is gone, a cycle, a model that names itself, a
    parent younger than its child, paths that lead nowhere, two parents that are both in the picture.
    """
    stub = grove.add(
        "lost/never-crawled-13B",
        state=RepoState.STUB,
        created_at=None,
        parameters=None,
        task="",
        licence="",
        downloads=0,
    )
    first = grove.add("odd/first-13B", stub, findings=((Code.MISSING_PARENT, stub),))
    gone = grove.add("odd/deleted-13B", first, state=RepoState.GONE)
    grove.add("odd/orphan-13B", gone, relation=Relation.ADAPTER, findings=((Code.PARENT_GONE, gone),))
    left = grove.add("odd/left-13B", first)
    right = grove.add("odd/right-13B", first)
    both = grove.add("odd/left-right-13B", left, right, relation=Relation.MERGE)
    grove.close_cycle(both, left)
    grove.add(
        "odd/older-13B", right, created_at=datetime(2022, 6, 1, tzinfo=UTC), findings=((Code.PARENT_YOUNGER, right),)
    )
    grove.add("odd/myself-13B", both, findings=((Code.SELF_REFERENCE, "odd/myself-13B"),))
    grove.add("odd/nowhere-13B", left, relation=Relation.UNKNOWN, loose=("./checkpoint-500", "s3://bucket/private"))
    grove.add("odd/gated-13B", right, state=RepoState.GATED, relation=Relation.UNKNOWN)
    return first


def hostile(grove: Grove) -> str:
    """Names that try to be markup, turn the text around, or carry control characters."""
    root = grove.add("plain/root-1B")
    for name in HOSTILE:
        grove.add(name, root, licence="<b>mine</b>", loose=('<a href="javascript:alert(1)">x</a>',))
    return root
