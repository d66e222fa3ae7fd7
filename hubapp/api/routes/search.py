"""Search by name and facts."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from django.http import HttpRequest
from ninja import Field, Path, Query, Router, Schema

from hubapp.api import answers, schemas
from hubapp.api.routes import COMMON, UNKNOWN
from hubapp.searching import meaning
from hubapp.searching import queries as searching
from hubapp.searching.query import LIMIT_MAX, TEXT_MAX, Sort
from hubapp.searching.query import Query as Wish
from workers.lineage.records import Relation

router = Router(tags=["search"])

Value = Annotated[str, Field(max_length=TEXT_MAX)]
Number = Annotated[int, Field(ge=0, le=2**62)]


class SearchParams(Schema):
    """What is searched for; all must hold."""

    text: Annotated[str, Field(max_length=TEXT_MAX, description="Fragments of the name, all of which occur.")] = ""
    relation: schemas.RelationName | None = Field(None, description="How it descends from some parent.")
    task: Value = ""
    library: Value = ""
    licence: Value = ""
    language: Value = ""
    dataset: Value = ""
    architecture: Value = ""
    model_type: Value = ""
    author: Value = ""
    min_parameters: Number | None = None
    max_parameters: Number | None = None
    created_after: date | None = None
    created_before: date | None = None
    no_parent: bool = False
    has_findings: bool = False
    finding: Annotated[str, Field(max_length=40, description="A finding's code.")] = ""
    gated: Literal["", "no", "yes", "auto", "manual"] = ""
    state: Literal["", "listed", "gated", "stub", "disabled"] = ""
    sort: Literal["popularity", "downloads", "likes", "trending", "created", "modified", "name", "size"] = "popularity"
    literal: bool = Field(False, description="Do not mend misspelt words.")
    after: Annotated[str, Field(max_length=2_000)] = ""
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)] = 25

    def wish(self) -> Wish:
        """The same as the searching room's value."""
        values = self.model_dump()
        values["relation"] = Relation[values["relation"].upper()] if values["relation"] else None
        values["sort"] = Sort(values["sort"])
        return Wish(**values)


class Count(Schema):
    total: int = Field(description="Exact up to 10,000; 10,001 stands for more.")


@router.get("", response={200: schemas.SearchPage, **COMMON}, summary="Search")
def search(request: HttpRequest, params: Query[SearchParams]) -> schemas.SearchPage:
    page = searching.search(params.wish())
    return schemas.SearchPage(
        hits=[answers.hit(each) for each in page.hits],
        total=page.total,
        corrected=page.corrected,
        after=page.next or None,
    )


class MeaningParams(SearchParams):
    """What is described; without words there is nothing to find."""

    text: Annotated[str, Field(min_length=1, max_length=TEXT_MAX, description="What it is about, in your own words.")]


@router.get("/meaning", response={200: schemas.Meant, **COMMON}, summary="Search by meaning")
def by_meaning(request: HttpRequest, params: Query[MeaningParams]) -> schemas.Meant:
    """Models that are about `text`, in your own words, by what weights, cards and names tell. `sort` and `literal` do
    not matter here; all other parameters narrow the results."""
    return answers.meant(meaning.search(params.wish()))


@router.get("/similar/{path:name}", response={200: schemas.Meant, **UNKNOWN}, summary="Models like one")
def similar(
    request: HttpRequest,
    name: Annotated[str, Path(description="A model's id, such as `gpt2` or `org/name`.")],
    limit: Annotated[int, Query(ge=1, le=100)] = 8,
) -> schemas.Meant:
    return answers.meant(meaning.alike(answers.found(name).repo.pk, limit))


@router.get("/count", response={200: Count, **COMMON}, summary="How many match")
def count(request: HttpRequest, params: Query[SearchParams]) -> Count:
    return Count(total=searching.count(params.wish()))


@router.get("/suggest", response={200: schemas.Suggestions, **COMMON}, summary="As one types")
def suggest(
    request: HttpRequest,
    text: Annotated[str, Query(max_length=TEXT_MAX)],
    limit: Annotated[int, Query(ge=1, le=20)] = 8,
) -> schemas.Suggestions:
    return schemas.Suggestions(hits=[answers.hit(each) for each in searching.suggest(text, limit)])
