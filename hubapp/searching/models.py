"""What the search box looks through.

The index beside ``Entry`` differs by database and is made in a migration: on PostgreSQL a GIN index over the trigrams
of ``text`` and over ``facets``, and a B-tree over ``key`` that holds all a walk by popularity must look at; on SQLite a
full-text table (FTS5) of the trigrams of both. SQLite's is filled in batches by the ``search`` job: until then new
entries are found by looking through them (``Upkeep``, ``Unfolded``), as PostgreSQL does with GIN's pending list.
"""

from __future__ import annotations

from django.db import models

from hubapp.catalog.models import Repo, Term
from hubapp.searching.facets import FacetsField


class Entry(models.Model):
    """One searchable repo. ``key`` is the repo's popularity rank: the default order needs no sort.

    ``created`` is in seconds since 1970, ``parameters`` a count: both null where not known.
    """

    key = models.BigIntegerField(primary_key=True)
    # Without a constraint: checking it costs PostgreSQL as much as the row. The same transaction writes both.
    repo = models.OneToOneField(Repo, on_delete=models.CASCADE, related_name="entry", db_constraint=False)
    text = models.CharField(max_length=300)
    facets = FacetsField(default=tuple, editable=False)
    created = models.BigIntegerField(null=True, blank=True)
    parameters = models.BigIntegerField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "entries"

    def __str__(self) -> str:
        return self.text.strip()


class Standing(models.Model):
    """Where a repo stands in the orders other than popularity, as the ``search`` job last saw it.

    Apart from the catalogue, because an index in no order of arrival is what costs a crawl most; here they are filled
    after it, in bulk. ``key`` repeats the entry's; times are seconds since 1970; 0 where nothing is known.
    """

    repo = models.OneToOneField(
        Repo, primary_key=True, on_delete=models.CASCADE, related_name="standing", db_constraint=False
    )
    key = models.BigIntegerField()
    downloads = models.BigIntegerField()
    likes = models.IntegerField()
    trending = models.FloatField()
    created = models.BigIntegerField()
    modified = models.BigIntegerField()
    parameters = models.BigIntegerField()

    class Meta:
        indexes = [
            models.Index(fields=["-downloads", "key"], name="standing_downloads", condition=models.Q(downloads__gt=0)),
            models.Index(fields=["-likes", "key"], name="standing_likes", condition=models.Q(likes__gt=0)),
            models.Index(fields=["-trending", "key"], name="standing_trending", condition=models.Q(trending__gt=0)),
            models.Index(fields=["-created", "key"], name="standing_created", condition=models.Q(created__gt=0)),
            models.Index(fields=["-modified", "key"], name="standing_modified", condition=models.Q(modified__gt=0)),
            models.Index(fields=["-parameters", "key"], name="standing_size", condition=models.Q(parameters__gt=0)),
        ]

    def __str__(self) -> str:
        return str(self.repo_id)


class Upkeep(models.Model):
    """How far the ``search`` job came; one row.

    ``folded_to``: SQLite only, all entries of repos up to that id are in the full-text table. ``counted_to``: the
    newest repo when words and terms were last counted. ``stood_at``: when the standings were last brought up to date.
    """

    folded_to = models.BigIntegerField(default=0)
    counted_to = models.BigIntegerField(default=0)
    counted_at = models.DateTimeField(null=True, blank=True)
    stood_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"counted to {self.counted_to}"


class Unfolded(models.Model):
    """SQLite only: an entry that changed after it was folded in.

    The full-text table still holds ``text`` and ``facets`` under ``key``; null where it holds nothing.
    """

    key = models.BigIntegerField(primary_key=True)
    text = models.CharField(max_length=300, null=True)
    facets = models.TextField(null=True)

    def __str__(self) -> str:
        return str(self.key)


class Word(models.Model):
    """A word of the names in the index and how many names hold it: misspelt queries are mended from these."""

    word = models.CharField(max_length=60, primary_key=True)
    count = models.IntegerField(default=0)

    def __str__(self) -> str:
        return self.word


class Spelling(models.Model):
    """What a word becomes when one letter is left out: how the word is found for a misspelt one."""

    spelling = models.CharField(max_length=60, db_index=True)
    word = models.CharField(max_length=60)

    def __str__(self) -> str:
        return f"{self.spelling}: {self.word}"


class Tally(models.Model):
    """How many entries hold a term: for the choices that filters offer, and to know the rare from the common.

    Counted by the ``search`` job, so a little old; a term that it has not seen has no row.
    """

    term = models.OneToOneField(Term, primary_key=True, on_delete=models.CASCADE, related_name="tally")
    kind = models.CharField(max_length=12)  # the term's
    count = models.IntegerField()

    class Meta:
        verbose_name_plural = "tallies"
        indexes = [models.Index(fields=["kind", "-count"], name="tally_common")]

    def __str__(self) -> str:
        return f"{self.term_id}: {self.count}"


class Meaning(models.Model):
    """A model's card and name as points of the text encoder: what the ``search`` process compares questions with.

    ``card`` and ``name``: unit rows in half precision, empty where there is nothing to read. ``text_hash``: of the
    texts and of the encoder that read them, so that what has not changed is not read again. ``version`` grows with each
    write: the process fetches what is newer than what it has.
    """

    repo = models.OneToOneField(
        Repo, primary_key=True, on_delete=models.CASCADE, related_name="meaning", db_constraint=False
    )
    text_hash = models.CharField(max_length=32)
    encoder = models.CharField(max_length=64)  # its digest
    card = models.BinaryField(default=bytes)
    name = models.BinaryField(default=bytes)
    words = models.TextField(default="")  # of both, each once: what a likeness of points must not contradict
    version = models.BigIntegerField(db_index=True)

    def __str__(self) -> str:
        return str(self.repo_id)


class Lexicon(models.Model):
    """The stand-in for a text encoder, fitted on the cards and names that are stored; one row."""

    digest = models.CharField(max_length=64)
    texts = models.IntegerField()  # that it was fitted on
    data = models.BinaryField()
    fitted_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "lexicons"

    def __str__(self) -> str:
        return f"{self.texts} texts"
