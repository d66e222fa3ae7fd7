"""Descent: parents with their evidence, ancestors, descendants, the way between two models, exports."""

from __future__ import annotations

from typing import Annotated, Literal

from django.http import HttpRequest, StreamingHttpResponse
from ninja import Path, Query, Router

from hubapp.api import answers, schemas
from hubapp.api.routes import UNKNOWN
from hubapp.lineage import queries as lineage
from hubapp.lineage.exports import FORMATS, export
from workers.errors import UnknownModel
from workers.lineage.records import Relation

router = Router(tags=["lineage"])
MAX_NODES = 2_000  # in one answer

Name = Annotated[str, Path(description="A model's id, such as `gpt2` or `org/name`.")]
Asked = Annotated[str, Query(max_length=200, description="A model's id.")]


@router.get("/parents/{path:name}", response={200: schemas.Parents, **UNKNOWN}, summary="Parents and their evidence")
def parents(request: HttpRequest, name: Name) -> schemas.Parents:
    repo = answers.found(name).repo
    found = lineage.parents(repo)
    own = lineage.briefs([repo.pk])
    return schemas.Parents(
        name=repo.name,
        parents=[
            schemas.Parent(
                model=answers.brief(each.repo),
                link=answers.links([each.link], [each.repo, own[repo.pk]])[0],
                weights=answers.verdict(each.weighed),
                evidence=[answers.statement(said) for said in each.statements],
                findings=[answers.remark(remark) for remark in each.remarks],
            )
            for each in found.items
        ],
        other_evidence=[answers.statement(said) for said in (*found.loose, *found.withdrawn)],
        other_findings=[answers.remark(remark) for remark in found.remarks],
    )


@router.get("/line/{path:name}", response={200: schemas.Line, **UNKNOWN}, summary="From the root to a model")
def line(request: HttpRequest, name: Name) -> schemas.Line:
    found = lineage.line(answers.found(name).repo)
    return schemas.Line(
        members=[answers.brief(node) for node in found.members],
        links=answers.links(found.links, found.members),
        truncated=found.truncated,
    )


@router.get("/ancestors/{path:name}", response={200: schemas.Graph, **UNKNOWN}, summary="All it descends from")
def ancestors(request: HttpRequest, name: Name) -> schemas.Graph:
    return answers.graph(lineage.ancestors(answers.found(name).repo, max_nodes=MAX_NODES))


@router.get("/descendants/{path:name}", response={200: schemas.Graph, **UNKNOWN}, summary="What descends from it")
def descendants(request: HttpRequest, name: Name, depth: Annotated[int, Query(ge=1, le=20)] = 2) -> schemas.Graph:
    return answers.graph(lineage.descendants(answers.found(name).repo, depth=depth, max_nodes=MAX_NODES))


@router.get("/children/{path:name}", response={200: schemas.Children, **UNKNOWN}, summary="Direct children, paged")
def children(
    request: HttpRequest,
    name: Name,
    relation: schemas.RelationName | None = None,
    after: Annotated[str, Query(max_length=40)] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> schemas.Children:
    repo = answers.found(name).repo
    page = lineage.children(
        repo, relation=Relation[relation.upper()] if relation else None, after=after or None, limit=limit
    )
    own = lineage.briefs([repo.pk])[repo.pk]
    return schemas.Children(
        name=repo.name,
        children=[
            schemas.Child(model=answers.brief(each.repo), link=answers.links([each.link], [own, each.repo])[0])
            for each in page.items
        ],
        total=page.total,
        after=page.after,
    )


@router.get(
    "/tree/{path:name}", response={200: schemas.Tree, **UNKNOWN}, summary="Around a model, as the tree draws it"
)
def tree(
    request: HttpRequest,
    name: Name,
    up: Annotated[int, Query(ge=0, le=20)] = 20,
    down: Annotated[int, Query(ge=0, le=4)] = 1,
    per_parent: Annotated[int, Query(ge=1, le=50)] = 12,
) -> schemas.Tree:
    repo = answers.found(name).repo
    found = lineage.neighbourhood(repo, up=up, down=down, per_parent=per_parent, max_nodes=MAX_NODES)
    names = {node.id: node.name for node in found.nodes}
    return schemas.Tree(
        focus=repo.name,
        root=found.root.name,
        nodes=[answers.brief(node) for node in found.nodes],
        links=answers.links(found.links, found.nodes),
        groups=[
            schemas.Group(
                parent=names[group.parent_id],
                relation=answers.relation(group.relation),
                total=group.total,
                shown=group.shown,
                after=group.after,
            )
            for group in found.groups
            if group.parent_id in names
        ],
        truncated=found.truncated,
    )


@router.get("/path", response={200: schemas.Path, **UNKNOWN}, summary="The way from one model to another")
def path(request: HttpRequest, a: Asked, b: Asked) -> schemas.Path:
    found = lineage.path(answers.found(a).repo, answers.found(b).repo)
    if found is None:
        raise UnknownModel(f"{a[:200]} and {b[:200]} have no common ancestor here, so no way joins them.")
    return schemas.Path(
        members=[answers.brief(node) for node in found.members],
        links=answers.links(found.links, found.members),
        top=found.top,
    )


@router.get("/common", response={200: schemas.Common, **UNKNOWN}, summary="The nearest common ancestor")
def common(request: HttpRequest, a: Asked, b: Asked) -> schemas.Common:
    found = lineage.common_ancestor(answers.found(a).repo, answers.found(b).repo)
    if found is None:
        raise UnknownModel(f"{a[:200]} and {b[:200]} have no common ancestor here.")
    return schemas.Common(
        ancestor=answers.brief(found.ancestor),
        distance_a=found.distance_a,
        distance_b=found.distance_b,
        others=[answers.brief(node) for node in found.others],
    )


@router.get(
    "/export/{format}/{path:name}",
    response=UNKNOWN,
    summary="Ancestors or descendants as GraphML, JSON, Mermaid, DOT or CSV",
    openapi_extra={
        "responses": {
            200: {
                "description": "OK",
                "content": {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind, _ in FORMATS.values()},
            }
        }
    },
)
def exports(
    request: HttpRequest,
    format: Literal["graphml", "json", "mermaid", "dot", "csv"],  # noqa: A002 - the API's own word
    name: Name,
    direction: Literal["up", "down"] = "down",
    depth: Annotated[int, Query(ge=1, le=20)] = 2,
) -> StreamingHttpResponse:
    repo = answers.found(name).repo
    if direction == "up":
        piece = lineage.ancestors(repo, max_nodes=MAX_NODES)
    else:
        piece = lineage.descendants(repo, depth=depth, max_nodes=MAX_NODES)
    content_type, extension = FORMATS[format]
    response = StreamingHttpResponse(export(piece, format), content_type=content_type)
    filename = "".join(char if char.isalnum() or char in "-_." else "_" for char in repo.name)
    response["Content-Disposition"] = f'attachment; filename="{filename}.{extension}"'
    return response
