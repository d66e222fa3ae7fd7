"""What is known of each repo: facts as the Hub gave them. Descent is lineage's."""

from __future__ import annotations

from django.db import models


class RepoState(models.TextChoices):
    LISTED = "listed"
    STUB = "stub"  # named as a parent, never seen in a listing
    RENAMED = "renamed"  # an old name that was declared as a parent; moved_to holds the repo
    GATED = "gated"
    DISABLED = "disabled"
    PRIVATE = "private"  # was public once; its card text is purged
    GONE = "gone"


class TermKind(models.TextChoices):
    TASK = "task"
    LIBRARY = "library"
    LICENCE = "licence"
    LANGUAGE = "language"
    DATASET = "dataset"
    ARCHITECTURE = "architecture"
    MODEL_TYPE = "model_type"


class Term(models.Model):
    """A value that many repos share: a task, a library, a licence id, a language, a dataset, …"""

    kind = models.CharField(max_length=12, choices=TermKind.choices)
    value = models.CharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "value"], name="term_once")]

    def __str__(self) -> str:
        return self.value


class Repo(models.Model):
    """A model repo. ``hub_id`` is the Hub's ``_id``, stable over renames; null for a stub.

    ``folded`` is the lower-case name. ``rank`` follows popularity (smaller is more popular), unique by its making: the
    default order of every list, kept steady while downloads change little. ``crawled_at`` is when its facts were last
    read; ``listing`` the number of the last complete listing that saw it. ``retired`` is 0 while the name is the
    repo's own and its key once it is gone: then another repo may take the name.

    Indexes are few on purpose: they cost more than half of what storing a repo costs. One serves look-ups by name and
    keeps names unique; lists by rank walk along ``searching.Entry``. For the same reason the database does not look up
    each term again: ids of terms come from the same transaction, and terms are never deleted.
    """

    hub_id = models.CharField(max_length=24, null=True, blank=True, unique=True)
    name = models.CharField(max_length=200)
    folded = models.CharField(max_length=200)
    author = models.CharField(max_length=100, blank=True, default="")
    state = models.CharField(max_length=10, choices=RepoState.choices, default=RepoState.STUB)
    moved_to = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="moved_from", db_index=False
    )
    rank = models.BigIntegerField(null=True)
    retired = models.BigIntegerField(default=0)
    sha = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField(null=True, blank=True)
    modified_at = models.DateTimeField(null=True, blank=True)
    downloads = models.BigIntegerField(default=0)
    downloads_all = models.BigIntegerField(default=0)
    likes = models.IntegerField(default=0)
    trending = models.FloatField(default=0)
    task = models.ForeignKey(
        Term, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    library = models.ForeignKey(
        Term, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    licence = models.ForeignKey(
        Term, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    architecture = models.ForeignKey(
        Term, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    model_type = models.ForeignKey(
        Term, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    licence_name = models.CharField(max_length=200, blank=True, default="")
    licence_link = models.CharField(max_length=500, blank=True, default="")
    tags = models.JSONField(default=list)
    parameters = models.BigIntegerField(null=True, blank=True)
    dtypes = models.JSONField(default=dict)
    gated = models.CharField(max_length=10, blank=True, default="")
    card_length = models.IntegerField(null=True, blank=True)  # characters; null: not fetched, 0: no card
    card_excerpt = models.TextField(blank=True, default="")
    card_sha = models.CharField(max_length=64, blank=True, default="")  # the revision whose card was read
    digest = models.CharField(max_length=32, blank=True, default="")  # of the facts: an unchanged row costs no write
    crawled_at = models.DateTimeField(null=True, blank=True)
    listing = models.IntegerField(default=0)
    looked_up_at = models.DateTimeField(null=True, blank=True)  # a stub was asked for by name …
    lookup_answer = models.CharField(max_length=60, blank=True, default="")  # … and this is the error's code

    class Meta:
        constraints = [models.UniqueConstraint(fields=["folded", "name", "retired"], name="repo_name_once")]
        indexes = [
            models.Index(fields=["author", "rank"], name="repo_author"),
            models.Index(fields=["moved_to"], name="repo_moved", condition=models.Q(moved_to__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.name


class RepoTerm(models.Model):
    """A language or dataset of a repo."""

    pk = models.CompositePrimaryKey("repo_id", "term_id")
    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, db_index=False, related_name="links", db_constraint=False)
    term = models.ForeignKey(Term, on_delete=models.CASCADE, db_index=False, db_constraint=False)

    class Meta:
        indexes = [models.Index(fields=["term", "repo"], name="repoterm_term")]

    def __str__(self) -> str:
        return f"{self.repo_id}: {self.term_id}"


class Alias(models.Model):
    """An old name of a repo. Names in use win over aliases."""

    folded = models.CharField(max_length=200, unique=True)
    name = models.CharField(max_length=200)
    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="aliases")

    def __str__(self) -> str:
        return self.name
