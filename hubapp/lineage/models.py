"""Descent: who says what (evidence), what follows from it (edges, nodes), and what is wrong with it (findings)."""

from __future__ import annotations

from django.db import models

from hubapp.catalog.models import Repo
from workers.lineage.records import Kinship, Relation, Source, Standing

RELATIONS = [(r.value, r.name.lower()) for r in Relation]
SOURCES = [(s.value, s.name.lower()) for s in Source]
STANDINGS = [(s.value, s.value.replace("_", " ")) for s in Standing]
KINSHIPS = [(k.value, k.value.replace("_", " ")) for k in Kinship]


class Evidence(models.Model):
    """One statement of descent, verbatim. It stands while ``withdrawn_at`` is null.

    ``target`` is the folded id that ``text`` was read as, "" where it names no repo (a local path, a URL elsewhere).
    ``times`` is how often its source lists it. ``last_seen`` is written when a statement comes, comes back or goes:
    while it stands, its repo's ``crawled_at`` says when it was last seen (an unchanged row costs no write).
    """

    child = models.ForeignKey(
        Repo, on_delete=models.CASCADE, related_name="evidence", db_index=False, db_constraint=False
    )
    source = models.PositiveSmallIntegerField(choices=SOURCES)
    text = models.CharField(max_length=500)
    target = models.CharField(max_length=200, blank=True, default="")
    relation = models.PositiveSmallIntegerField(choices=[(0, "not said"), *RELATIONS], default=0)
    hub_id = models.CharField(max_length=24, blank=True, default="")
    times = models.PositiveSmallIntegerField(default=1)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            # SQLite takes it only for a query that repeats its condition in these words: NOT (target = '').
            models.Index(fields=["target"], name="evidence_target", condition=~models.Q(target="")),
        ]
        constraints = [models.UniqueConstraint(fields=["child", "source", "text", "relation"], name="evidence_once")]

    def __str__(self) -> str:
        return f"{self.get_source_display()}: {self.text}"


class Edge(models.Model):
    """Parent → child, derived from the standing evidence.

    ``sources`` is a bit mask (1 << Source). ``rank`` is the child's popularity rank, so that a parent's children page
    by relation and popularity along one index. ``repaired`` says why the parent differs from what was declared
    ("" where it does not). ``place`` is the parent's place among the child's parents by the rule of the primary
    parent, 0 the first; ``primary`` marks the edge along which the family runs: the one of place 0, unless that would
    close a cycle. ``closes`` marks the edges of a cycle that no family runs along: they contradict the others.
    """

    parent = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="child_edges", db_index=False)
    child = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="parent_edges", db_index=False)
    relation = models.PositiveSmallIntegerField(choices=RELATIONS)
    sources = models.PositiveIntegerField()
    repaired = models.CharField(max_length=20, blank=True, default="")
    place = models.PositiveSmallIntegerField(default=0)
    primary = models.BooleanField(default=False)
    closes = models.BooleanField(default=False)
    rank = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["child", "parent"], name="edge_once")]
        indexes = [
            models.Index(fields=["parent", "relation", "rank"], name="edge_children"),
            models.Index(fields=["relation", "rank"], name="edge_relation"),
        ]

    def __str__(self) -> str:
        return f"{self.parent_id} → {self.child_id}"


class Verdict(models.Model):
    """What the weights say of a declared edge: by its ends, as edges come and go with the evidence.

    ``figures`` and ``layers`` are what was measured (``workers.lineage.records.Verdict``), ``likelier`` a model that
    stands nearer to the child. It stands for the revisions of both and the ``version`` of the method; ``others`` is a
    digest of the other models that were held against it.
    """

    child = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="verdicts", db_index=False)
    parent = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="verdicts_on_children")
    verdict = models.CharField(max_length=12, choices=STANDINGS)
    kinship = models.CharField(max_length=12, choices=KINSHIPS, blank=True, default="")
    reason = models.CharField(max_length=40)
    figures = models.JSONField(default=dict)
    layers = models.JSONField(default=list)  # [label, similarity, change]
    likelier = models.ForeignKey(
        Repo, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    child_revision = models.CharField(max_length=64)
    parent_revision = models.CharField(max_length=64)
    version = models.PositiveSmallIntegerField()
    others = models.CharField(max_length=32, blank=True, default="")
    bytes_read = models.BigIntegerField(default=0)
    parent_bytes = models.BigIntegerField(default=0)
    judged_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["child", "parent"], name="verdict_once")]
        indexes = [models.Index(fields=["verdict", "child"], name="verdict_kind")]

    def __str__(self) -> str:
        return f"{self.parent_id} → {self.child_id}: {self.verdict}"


class Node(models.Model):
    """Where a repo stands in its family. Only repos with an edge have one: all others are a family of their own.

    ``parent`` is the primary parent; ``depth`` and ``descendants`` follow primary parents; the counts are of direct
    children by relation (all edges, not only primary ones). Root and parent are taken from edges, whose ends the
    database checks: checking them here again would cost more than the row.
    """

    repo = models.OneToOneField(Repo, primary_key=True, on_delete=models.CASCADE, related_name="node")
    root = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False)
    parent = models.ForeignKey(
        Repo, null=True, blank=True, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    depth = models.PositiveIntegerField(default=0)
    descendants = models.PositiveIntegerField(default=0)
    finetunes = models.PositiveIntegerField(default=0)
    adapters = models.PositiveIntegerField(default=0)
    quantized = models.PositiveIntegerField(default=0)
    merges = models.PositiveIntegerField(default=0)
    unknown = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [
            models.Index(fields=["root", "depth"], name="node_family"),
            models.Index(fields=["parent"], name="node_parent"),
            models.Index(fields=["-descendants"], name="node_largest", condition=models.Q(parent=None)),
        ]

    def __str__(self) -> str:
        return f"{self.repo_id} in {self.root_id}"


class Finding(models.Model):
    """Something that does not fit, shown on the model: a stable code, whom it concerns, and what is known of it."""

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="findings", db_index=False)
    code = models.CharField(max_length=40)
    subject = models.CharField(max_length=500, blank=True, default="")
    detail = models.JSONField(default=dict)
    first_seen = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "code", "subject"], name="finding_once")]
        indexes = [models.Index(fields=["code", "repo"], name="finding_code")]

    def __str__(self) -> str:
        return f"{self.code}: {self.subject}"


class Wants(models.IntegerChoices):
    """What is to be done for a dirty repo; bits, so that a new mark never loses an old one."""

    JUDGE = 1, "judge its evidence"
    PLACE = 2, "place it in its family"
    COUNT = 4, "count its children"


class Dirty(models.Model):
    """A repo whose evidence, name or state changed since lineage last looked. Written by crawls, emptied by the job.

    ``marks`` counts the times it was marked: the job takes a mark off only if no other came while it was at work.
    """

    repo = models.OneToOneField(Repo, primary_key=True, on_delete=models.CASCADE, related_name="+")
    wants = models.PositiveSmallIntegerField(default=Wants.JUDGE)  # bits of Wants
    marks = models.PositiveIntegerField(default=1)

    def __str__(self) -> str:
        return str(self.repo_id)


class Placement(models.Model):
    """One row: whether a pass over the whole Hub is wanted, and what there was when the job last ended."""

    whole_wanted = models.BooleanField(default=False)
    listed = models.PositiveIntegerField(default=0)
    stubs = models.PositiveIntegerField(default=0)
    nodes = models.PositiveIntegerField(default=0)
    edges = models.PositiveIntegerField(default=0)
    families = models.PositiveIntegerField(default=0)
    findings = models.PositiveIntegerField(default=0)
    counted_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.nodes} nodes in {self.families} families"


class FamilySummary(models.Model):
    """What the page of a large family shows, counted by the job: growth, relations, authors, licences.

    Small families are counted when asked. ``data`` holds the fields of ``queries.Family`` that need counting.
    """

    root = models.OneToOneField(Repo, primary_key=True, on_delete=models.CASCADE, related_name="+")
    size = models.PositiveIntegerField()
    data = models.JSONField(default=dict)
    counted_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["-size"], name="family_largest")]

    def __str__(self) -> str:
        return f"{self.root_id}: {self.size}"
