"""The shapes of the API. Times are UTC; sizes are bytes; parameters are counts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Field, Schema

RelationName = Literal["finetune", "adapter", "quantized", "merge", "unknown"]
Cursor = Annotated[str | None, Field(description="Give it as `after` for the next page; null at the end.")]


class ErrorBody(Schema):
    code: str = Field(description="Stable; for programs.")
    message: str = Field(description="What happened, to what, and what to do; for people.")


class Error(Schema):
    """Every answer from 400 on has this shape."""

    error: ErrorBody


class Counts(Schema):
    """Direct children by relation."""

    finetune: int
    adapter: int
    quantized: int
    merge: int
    unknown: int


class Brief(Schema):
    """A model as lists and trees show it."""

    name: str
    state: str = Field(description="listed, stub, renamed, gated, disabled, private or gone")
    author: str
    created_at: datetime | None
    downloads: int
    likes: int
    task: str
    library: str
    licence: str
    parameters: int | None
    depth: int = Field(description="Steps to the root along primary parents.")
    descendants: int = Field(description="All that follow along primary parents.")
    children: Counts
    findings: int


class Link(Schema):
    """An edge from parent to child."""

    parent: str
    child: str
    relation: RelationName
    sources: list[str] = Field(description="Who says so, the most trusted first.")
    primary: bool
    repaired: str = Field(description="Why it differs from what was declared; empty where it does not.")
    standing: str = Field(description="declared, unresolved (the parent is only a name), confirmed or contradicted")
    verdict: str = Field(description="What the weights say: confirmed, contradicted, cannot_tell; empty: not compared.")


class Statement(Schema):
    """One piece of evidence, verbatim."""

    source: str
    text: str
    relation: RelationName | None
    times: int
    first_seen: datetime
    last_seen: datetime
    withdrawn_at: datetime | None


class Remark(Schema):
    """A finding in words."""

    code: str
    severity: str
    title: str
    sentence: str
    subject: str
    suggestions: list[str]


class Layer(Schema):
    """How alike one layer is to the parent's."""

    label: str
    similarity: float = Field(description="Mean cosine of centred rows; of an adapter: how far it leans, in sd.")
    change: float = Field(description="Size of the difference over the size of the parent's layer.")


class Verdict(Schema):
    """What the weights say of an edge."""

    verdict: Literal["confirmed", "contradicted", "cannot_tell"]
    kinship: str = Field(
        description="same_weights, quantized, adapter, finetune, merge, unrelated; empty: none could be read"
    )
    reason: str = Field(description="Stable; for programs.")
    sentence: str
    figures: dict[str, float]
    layers: list[Layer]
    likelier: str = Field(description="A model that stands nearer to the child; empty where none is known.")
    bytes_read: int = Field(description="Of the child's weights.")
    parent_bytes: int
    version: int
    judged_at: datetime
    fresh: bool = Field(description="Whether both ends are still of the revisions that were compared.")


class Parent(Schema):
    model: Brief
    link: Link
    weights: Verdict | None = Field(description="null: the weights were not compared.")
    evidence: list[Statement]
    findings: list[Remark]


class Parents(Schema):
    """All parents, the primary one first; evidence that leads to none; findings about no single parent."""

    name: str
    parents: list[Parent]
    other_evidence: list[Statement]
    other_findings: list[Remark]


class WeightsFile(Schema):
    name: str
    size: int
    sha256: str = Field(description="Empty where the Hub did not tell it.")


class Quantization(Schema):
    method: str
    bits: float = Field(description="A number's, scales included; 0: not known.")
    detail: str
    source: str = Field(description="config, tensors or file name")


class Adapter(Schema):
    kind: str
    rank: int
    alpha: float
    targets: list[str]
    base: str = Field(description="As its configuration names it.")
    dora: bool
    rslora: bool


class Weights(Schema):
    """What was read of a model's weights: their headers and the small files beside them."""

    state: str = Field(description="read, no_safe_weights, no_weights, gated, refused or missing")
    reason: str = Field(description="Why nothing could be read; empty where it was.")
    revision: str
    fresh: bool = Field(description="Whether that is the revision which the last crawl saw.")
    format: str
    dtypes: dict[str, int] = Field(description="Numbers by dtype.")
    parameters: int
    tensors: int
    size: int = Field(description="Bytes of all files of weights.")
    files: list[WeightsFile] = Field(description="The first twelve.")
    file_count: int
    signature: str = Field(description="Equal for models of one architecture and size, whatever their dtype.")
    quantization: Quantization | None
    adapter: Adapter | None
    tokenizer_kind: str
    tokenizer_size: int
    bytes_read: int
    requests: int
    read_at: datetime


class Guess(Schema):
    label: str
    probability: float = Field(description="Calibrated on models that the expert was not fitted to.")


class Expert(Schema):
    """What reads the weights of one tree's models."""

    id: int
    root: str
    form: str = Field(description="adapter (updates are read) or full (whole weights)")
    method: str
    state: str = Field(description="in_service or retired")
    labels: list[str]
    layers: list[str]
    fitted: int = Field(description="Models that it was fitted to.")
    quality: dict[str, Any] = Field(description="By method: how it did on held-out models; the best one serves.")
    trained_at: datetime


class Experts(Schema):
    experts: list[Expert]


class Training(Schema):
    """What a model was trained on, from its weights."""

    name: str
    state: str = Field(description="answered, abstained, not_asked (there is an expert) or no_expert")
    why: str = Field(description="Of an abstention, in words.")
    guesses: list[Guess]
    claims: list[str] = Field(description="What its card says, in the expert's labels.")
    agrees: bool | None
    expert: int | None
    method: str | None
    read_at: datetime | None


class Model(Brief):
    """Everything that is known of a model, but for its graph."""

    hub_id: str
    moved_to: str | None
    revision: str
    modified_at: datetime | None
    downloads_all: int
    licence_name: str
    licence_link: str
    languages: list[str]
    datasets: list[str]
    tags: list[str]
    dtypes: dict[str, int]
    architecture: str
    model_type: str
    gated: str
    card_length: int | None = Field(description="Characters; null: not read yet; 0: no card.")
    card_excerpt: str
    read_at: datetime | None
    weights: Weights | None = Field(description="null: not read yet")
    former_names: list[str]
    root: str
    primary_parent: str | None
    trained_on: Training | None = Field(description="From its weights; null where they were not read by an expert.")
    found_by: str = Field(description="exact, case, alias or renamed: how the asked name led here")
    page: str


class Batch(Schema):
    ids: list[Annotated[str, Field(max_length=200)]] = Field(min_length=1, max_length=100)


class BatchItem(Schema):
    asked: str
    model: Model | None


class BatchAnswer(Schema):
    models: list[BatchItem] = Field(description="In the order asked for; null where nothing is stored.")


class Hit(Schema):
    name: str
    author: str
    state: str
    relations: list[RelationName]
    task: str
    library: str
    licence: str
    parameters: int | None
    gated: str
    downloads: int
    likes: int
    created_at: datetime | None
    modified_at: datetime | None
    descendants: int
    findings: int


class Reason(Schema):
    """Why a result by meaning is there."""

    why: Literal["weights", "card", "name", "siblings"]
    share: float = Field(description="How sure this reason makes by itself, 0 to 1.")
    words: str = Field(description="What it rests on, in words; may be empty.")


class MeantHit(Hit):
    score: float = Field(description="How sure all reasons make together, 0 to 1.")
    reasons: list[Reason]


class Meant(Schema):
    """Results by meaning, best first."""

    hits: list[MeantHit]
    total: int = Field(description="All results there are; at most 200 are kept.")
    state: Literal["ready", "loading", "down"] = Field(
        description="ready, or why weights and meanings were not compared: then these are from names and cards."
    )
    after: Cursor


class SearchPage(Schema):
    hits: list[Hit]
    total: int | None = Field(description="Exact up to 10,000; 10,001 stands for more; null: not counted (see count).")
    corrected: str = Field(description="What was searched instead because the text as given was found nowhere.")
    after: Cursor


class Suggestions(Schema):
    hits: list[Hit]


class Line(Schema):
    """From the root to the model along primary parents."""

    members: list[Brief]
    links: list[Link]
    truncated: bool


class Graph(Schema):
    """A piece of the family graph; `distances` are the least numbers of edges from the model asked for."""

    nodes: list[Brief]
    links: list[Link]
    distances: dict[str, int]
    truncated: bool


class Group(Schema):
    """Children of one parent by one relation: so many of so many are here."""

    parent: str
    relation: RelationName
    total: int
    shown: int
    after: Cursor


class Tree(Schema):
    focus: str
    root: str
    nodes: list[Brief]
    links: list[Link]
    groups: list[Group]
    truncated: bool


class Child(Schema):
    model: Brief
    link: Link


class Children(Schema):
    name: str
    children: list[Child]
    total: int | None
    after: Cursor


class Path(Schema):
    """Up to the nearest common ancestor, which is `members[top]`, and down again."""

    members: list[Brief]
    links: list[Link]
    top: int


class Common(Schema):
    ancestor: Brief
    distance_a: int
    distance_b: int
    others: list[Brief]


class Named(Schema):
    name: str
    count: int


class Month(Schema):
    month: str
    count: int


class Family(Schema):
    root: Brief
    size: int
    depth: int
    growth: list[Month]
    undated: int
    by_depth: list[int]
    relations: Counts
    authors: list[Named]
    licences: list[Named]
    unresolved: int
    findings: int
    guests: int


class Families(Schema):
    families: list[Family]


class CrawlWish(Schema):
    scope: Literal["everything", "changed", "top", "author", "search", "family"]
    argument: Annotated[str, Field(max_length=200)] = ""


class Crawl(Schema):
    id: int
    scope: str
    argument: str
    endpoint: str
    state: str
    progress: dict[str, Any]
    faults: int
    error_code: str
    error: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Crawls(Schema):
    crawls: list[Crawl]
    after: Cursor


class LicenceVerdict(Schema):
    """An ancestor's licence beside the model's own: fine, conflict or not judged."""

    ancestor: str
    licence: str
    verdict: str
    sentence: str
    chain: list[str] = Field(description="From the ancestor down to the model.")


class Duty(Schema):
    code: str
    text: str
    because: list[str]


class Condition(Schema):
    """Something to be checked; `met` is null where the stored facts don't tell."""

    text: str
    met: bool | None
    ancestor: str


class Obligations(Schema):
    name: str
    licence: str
    conflicts: list[LicenceVerdict]
    line: list[LicenceVerdict]
    duties: list[Duty]
    limits: list[Duty]
    conditions: list[Condition]
    truncated: bool
    disclaimer: str
