"""From the rooms' shapes to the API's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from django.urls import reverse

from hubapp.api import schemas
from hubapp.catalog import queries as catalog
from hubapp.catalog.models import Repo
from hubapp.lineage import queries as lineage
from hubapp.lineage import shapes
from hubapp.probing import queries as probing
from hubapp.probing.models import Expert, Reading
from hubapp.searching.meaning import Meant
from hubapp.searching.queries import Hit
from hubapp.weights import queries as weights_queries
from workers.errors import UnknownModel
from workers.lineage.records import Relation


def found(name: str) -> catalog.Found:
    """The repo that ``name`` stands for. Raises UnknownModel."""
    repo = catalog.find(name)
    if repo is None:
        raise UnknownModel(f"No model {name[:200]!r} is stored here: it was not crawled, or there is none.")
    return repo


def relation(value: Relation) -> schemas.RelationName:
    return cast(schemas.RelationName, value.name.lower())


def counts(numbers: Mapping[Relation, int]) -> schemas.Counts:
    return schemas.Counts(**{relation(each): numbers.get(each, 0) for each in Relation})


def brief(node: shapes.Brief) -> schemas.Brief:
    return schemas.Brief(**_brief(node))


def _brief(node: shapes.Brief) -> dict[str, Any]:
    return {
        "name": node.name,
        "state": node.state,
        "author": node.author,
        "created_at": node.created_at,
        "downloads": node.downloads,
        "likes": node.likes,
        "task": node.task,
        "library": node.library,
        "licence": node.licence,
        "parameters": node.parameters,
        "depth": node.depth,
        "descendants": node.descendants,
        "children": counts(node.children.by_relation()),
        "findings": node.findings,
    }


def links(edges: Iterable[shapes.Link], nodes: Iterable[shapes.Brief]) -> list[schemas.Link]:
    """Edges by name; those with an end outside ``nodes`` are left out."""
    names = {node.id: node.name for node in nodes}
    return [
        schemas.Link(
            parent=names[edge.parent_id],
            child=names[edge.child_id],
            relation=relation(edge.relation),
            sources=[source.name.lower() for source in edge.sources],
            primary=edge.primary,
            repaired=edge.repaired,
            standing=edge.standing,
            verdict=edge.verdict,
        )
        for edge in edges
        if edge.parent_id in names and edge.child_id in names
    ]


def statement(said: shapes.Statement) -> schemas.Statement:
    return schemas.Statement(
        source=said.source.name.lower(),
        text=said.text,
        relation=relation(said.relation) if said.relation else None,
        times=said.times,
        first_seen=said.first_seen,
        last_seen=said.last_seen,
        withdrawn_at=said.withdrawn_at,
    )


def verdict(each: shapes.Weighed | None) -> schemas.Verdict | None:
    if each is None:
        return None
    return schemas.Verdict(
        verdict=cast(Any, each.verdict),
        kinship=each.kinship,
        reason=each.reason,
        sentence=each.sentence,
        figures=dict(each.figures),
        layers=[schemas.Layer(label=name, similarity=s, change=c) for name, s, c in each.layers],
        likelier=each.likelier,
        bytes_read=each.bytes_read,
        parent_bytes=each.parent_bytes,
        version=each.version,
        judged_at=each.judged_at,
        fresh=each.fresh,
    )


def remark(each: shapes.Remark) -> schemas.Remark:
    return schemas.Remark(
        code=each.code,
        severity=each.severity,
        title=each.title,
        sentence=each.sentence,
        subject=each.subject,
        suggestions=[suggestion.name for suggestion in each.suggestions],
    )


def graph(piece: shapes.Graph) -> schemas.Graph:
    names = {node.id: node.name for node in piece.nodes}
    return schemas.Graph(
        nodes=[brief(node) for node in piece.nodes],
        links=links(piece.links, piece.nodes),
        distances={names[key]: steps for key, steps in piece.distances.items() if key in names},
        truncated=piece.truncated,
    )


def family(each: shapes.Family) -> schemas.Family:
    return schemas.Family(
        root=brief(each.root),
        size=each.size,
        depth=each.depth,
        growth=[schemas.Month(month=month, count=count) for month, count in each.growth],
        undated=each.undated,
        by_depth=list(each.by_depth),
        relations=counts(each.relations),
        authors=[schemas.Named(name=name, count=count) for name, count in each.authors],
        licences=[schemas.Named(name=name, count=count) for name, count in each.licences],
        unresolved=each.unresolved,
        findings=each.findings,
        guests=each.guests,
    )


def hit(each: Hit) -> schemas.Hit:
    return schemas.Hit(
        name=each.name,
        author=each.author,
        state=each.state,
        relations=[relation(r) for r in each.relations],
        task=each.task,
        library=each.library,
        licence=each.licence,
        parameters=each.parameters,
        gated=each.gated,
        downloads=each.downloads,
        likes=each.likes,
        created_at=each.created_at,
        modified_at=each.modified_at,
        descendants=each.descendants,
        findings=each.findings,
    )


def meant(each: Meant) -> schemas.Meant:
    return schemas.Meant(
        hits=[
            schemas.MeantHit(
                **hit(found).model_dump(),
                score=round(each.scores.get(found.repo_id, 0.0), 4),
                reasons=[
                    schemas.Reason(why=reason.why.value, share=round(reason.share, 4), words=reason.words)
                    for reason in each.reasons.get(found.repo_id, ())
                ],
            )
            for found in each.hits
        ],
        total=each.total,
        state=cast(Any, each.state),
        after=each.next or None,
    )


def models(answers: Iterable[catalog.Found]) -> list[schemas.Model]:
    """Everything about these repos; a few statements for all of them and two for each."""
    asked = list(answers)
    nodes = lineage.briefs(answer.repo.pk for answer in asked)
    around = lineage.briefs({key for node in nodes.values() for key in (node.root_id, node.parent_id) if key})
    ids = [answer.repo.pk for answer in asked]
    read, said = weights_queries.summaries(ids), probing.readings(ids)
    return [_model(a, nodes[a.repo.pk], around, read.get(a.repo.pk), said.get(a.repo.pk)) for a in asked]


def weights(read: weights_queries.Summary) -> schemas.Weights:
    kind, adapter = read.quantization, read.adapter
    return schemas.Weights(
        state=read.state.value,
        reason=read.reason,
        revision=read.revision,
        fresh=read.fresh,
        format=read.format,
        dtypes=read.dtypes,
        parameters=read.parameters,
        tensors=read.tensors,
        size=read.size,
        files=[schemas.WeightsFile(name=file.name, size=file.size, sha256=file.sha256) for file in read.files],
        file_count=read.file_count,
        signature=read.signature,
        quantization=schemas.Quantization(method=kind.method, bits=kind.bits, detail=kind.detail, source=kind.source)
        if kind
        else None,
        adapter=schemas.Adapter(
            kind=adapter.kind,
            rank=adapter.rank,
            alpha=adapter.alpha,
            targets=list(adapter.targets),
            base=adapter.base,
            dora=adapter.dora,
            rslora=adapter.rslora,
        )
        if adapter
        else None,
        tokenizer_kind=read.tokenizer_kind,
        tokenizer_size=read.tokenizer_size,
        bytes_read=read.bytes_read,
        requests=read.requests,
        read_at=read.read_at,
    )


def _model(
    answer: catalog.Found,
    node: shapes.Brief,
    around: Mapping[int, shapes.Brief],
    read: weights_queries.Summary | None,
    reading: Reading | None,
) -> schemas.Model:
    repo = answer.repo
    terms = catalog.terms(repo)
    root = around.get(node.root_id)
    parent = around.get(node.parent_id) if node.parent_id else None
    return schemas.Model(
        **_brief(node),
        hub_id=repo.hub_id or "",
        moved_to=repo.moved_to.name if repo.moved_to else None,
        revision=repo.sha,
        modified_at=repo.modified_at,
        downloads_all=repo.downloads_all,
        licence_name=repo.licence_name,
        licence_link=repo.licence_link,
        languages=terms["language"],
        datasets=terms["dataset"],
        tags=[str(tag) for tag in repo.tags],
        dtypes=repo.dtypes,
        architecture=_value(repo, "architecture"),
        model_type=_value(repo, "model_type"),
        gated=repo.gated,
        card_length=repo.card_length,
        card_excerpt=repo.card_excerpt,
        read_at=repo.crawled_at,
        weights=weights(read) if read is not None else None,
        former_names=catalog.former_names(repo),
        root=root.name if root else repo.name,
        primary_parent=parent.name if parent else None,
        trained_on=training(repo.name, probing.told(repo, reading)) if reading is not None else None,
        found_by=answer.how,
        page=reverse("web:model", args=[repo.name]),
    )


def training(name: str, found: probing.Training) -> schemas.Training:
    return schemas.Training(
        name=name,
        state=found.state,
        why=found.why,
        guesses=[schemas.Guess(label=bar.label, probability=bar.probability) for bar in found.bars],
        claims=list(found.claims),
        agrees=found.agrees,
        expert=found.expert.pk if found.expert else None,
        method=found.expert.method if found.expert else None,
        read_at=found.read_at,
    )


def expert(row: Expert) -> schemas.Expert:
    return schemas.Expert(
        id=row.pk,
        root=row.root.name,
        form=row.form,
        method=row.method,
        state=row.state,
        labels=row.labels,
        layers=[layer[0] for layer in row.layers],
        fitted=row.fitted,
        quality=row.quality,
        trained_at=row.trained_at,
    )


def _value(repo: Repo, field: str) -> str:
    term = getattr(repo, field)
    return term.value if term else ""
