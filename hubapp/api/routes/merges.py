"""Merges: whether models can be merged, what stands in the way, and how it is done."""

from __future__ import annotations

from typing import Annotated, Literal

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from hubapp.api import schemas
from hubapp.api.routes import UNKNOWN
from hubapp.merging import queries
from hubapp.merging.answers import as_json
from workers.errors import BadRequest
from workers.merging import rules
from workers.merging.records import MOST

router = Router(tags=["merges"])

MethodName = Literal["", "linear", "task_arithmetic", "slerp", "ties"]
Name = Annotated[str, Field(max_length=300)]


class MergeParams(Schema):
    models: Annotated[str, Field(max_length=3_000, description="Two to eight model ids, with commas between them.")]
    method: MethodName = Field("", description="Write the recipe by this method, where it can be.")


class MergeWish(Schema):
    """Models, or a mergekit configuration whose models are judged."""

    models: list[Name] = Field(default=[], max_length=MOST)
    config: Annotated[str, Field(max_length=rules.CONFIG_BYTES, description="A mergekit configuration, as YAML.")] = ""
    method: MethodName = ""


class Compared(Schema):
    what: str
    value: str


class MergeFault(Schema):
    code: str = Field(description="Stable; for programs.")
    title: str
    level: str = Field(description="stop, mend, unknown or note")
    cause: str
    compared: list[Compared]
    mend: str
    models: list[str]
    by_recipe: bool = Field(description="The recipe sees to it.")
    mergekit: str = Field(description="What mergekit 0.1.5 does with it: error, silent, or empty where not tried.")


class CommonAncestor(Schema):
    name: str
    by: str = Field(description="lineage, weights, both, or empty where nothing is known")
    sentence: str
    steps: dict[str, int]


class WeightsPair(Schema):
    a: str
    b: str
    weights: float | None = Field(description="Median cosine of their matrices.")
    distance: float
    tasks: float | None = Field(description="Cosine of what they changed in the base.")
    conflict: float | None = Field(description="Share of opposite signs among the largest changes of both.")


class WeightsCell(Schema):
    layer: int = Field(description="-1 outside the layers")
    module: str
    cosine: float | None
    conflict: float | None
    change: float


class ComparedWeights(Schema):
    """What comparing the weights told. It describes; it is no score."""

    base: str
    share: float = Field(description="The share of all numbers that was read.")
    numbers: int
    bytes_read: int
    full: bool
    pairs: list[WeightsPair]
    changes: dict[str, float] = Field(description="Each model's relative distance from the base.")
    cells: list[WeightsCell]


class MergeMethod(Schema):
    name: str
    fits: bool
    reasons: list[str]


class MergeRecipe(Schema):
    method: str
    yaml: str = Field(description="A configuration for mergekit 0.1.5.")
    reasons: list[str]
    methods: list[MergeMethod]


class LicenceClash(Schema):
    licence: str
    sentence: str
    chain: list[str]


class LicenceConflict(Schema):
    model: str
    sentence: str
    chain: list[str]


class LicenceSource(Schema):
    model: str
    licence: str
    chain: list[str]


class LicenceCondition(Schema):
    text: str
    model: str


class MergeLicences(Schema):
    fits: list[str] = Field(description="Licences among the ancestors' under which the merge may stand.")
    clashes: list[LicenceClash]
    conflicts: list[LicenceConflict]
    duties: list[schemas.Duty]
    limits: list[schemas.Duty]
    conditions: list[LicenceCondition]
    unclear: list[LicenceSource]
    sources: list[LicenceSource]
    disclaimer: str


class Merge(Schema):
    """The judgement of a merge."""

    models: list[str]
    base: str
    verdict: str = Field(description="mergeable, mergeable after, not mergeable by weights, or cannot tell yet")
    headline: str
    ancestor: CommonAncestor
    faults: list[MergeFault]
    weights: ComparedWeights | None
    recipe: MergeRecipe | None
    instead: list[str]
    unread: list[str] = Field(description="Models whose headers were not read yet.")
    compared_at: str | None
    stale: bool = Field(description="A model has changed since the weights were compared.")
    revisions: dict[str, str]
    licences: MergeLicences


@router.get("", response={200: Merge, 413: schemas.Error, **UNKNOWN}, summary="Can these be merged?")
def merge(request: HttpRequest, wish: Query[MergeParams]) -> Merge:
    repos = queries.find([name.strip() for name in wish.models.split(",") if name.strip()][: 2 * MOST])
    return Merge.model_validate(as_json(queries.judged(repos, method=wish.method)))


@router.post(
    "",
    response={200: Merge, 413: schemas.Error, **UNKNOWN},
    summary="Can these, or the models of a configuration, be merged?",
)
def judge(request: HttpRequest, wish: MergeWish) -> Merge:
    if bool(wish.models) == bool(wish.config):
        raise BadRequest("Name two to eight models, or give a configuration.")
    config = rules.check(rules.read(wish.config)) if wish.config else None
    names = [model.name for model in rules.wanted(config)] if config is not None else wish.models
    if config is not None and not names:
        raise BadRequest("The configuration names no models: " + " ".join(fault.cause for fault in config.faults[:3]))
    repos = queries.find(names[: 2 * MOST])
    return Merge.model_validate(as_json(queries.judged(repos, config=config, method=wish.method)))
