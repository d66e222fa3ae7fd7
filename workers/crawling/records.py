"""What a crawl reads of a repo. Standard library only: both wings import it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from workers.lineage.records import Declared


@dataclass(slots=True)
class RepoFacts:
    """One repo as the Hub's API described it, cleaned of wrong types but of nothing else.

    Nobody changes one once it is made (declaring it frozen would cost 8 µs a row, a tenth of all that a row costs).
    Times are aware UTC; ``parameters`` is a count; ``dtypes`` maps a safetensors dtype to its count of parameters.
    ``oddities`` are (code, message) pairs about fields that had to be dropped: recorded as faults, the row is kept.
    ``digest`` is of the row as it was read, "" where there was none: equal digests mean equal facts.
    """

    name: str
    hub_id: str
    author: str = ""
    sha: str = ""
    created_at: datetime | None = None
    modified_at: datetime | None = None
    downloads: int = 0
    downloads_all: int = 0
    likes: int = 0
    trending: float = 0.0
    task: str = ""
    library: str = ""
    licence: str = ""
    licence_name: str = ""
    licence_link: str = ""
    languages: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    parameters: int | None = None
    dtypes: dict[str, int] = field(default_factory=dict)
    architecture: str = ""
    model_type: str = ""
    gated: str = ""  # "", "auto" or "manual"
    private: bool = False
    disabled: bool = False
    declared: tuple[Declared, ...] = ()
    oddities: tuple[tuple[str, str], ...] = ()
    digest: str = ""


class Rejected(NamedTuple):
    """A row without a usable id. ``subject`` tells it from others of its kind, ``excerpt`` is how it began."""

    subject: str
    code: str
    message: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What was read of a repo's files: the card's length in characters (None: no card), its first prose, and the
    statements of descent in its body and in ``adapter_config.json``. ``sha`` is the revision that was asked for.
    """

    repo_id: int
    sha: str
    length: int | None
    excerpt: str
    declared: tuple[Declared, ...] = ()
    oddities: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """What one answer said of the limit: ``remaining`` requests in a window that resets in ``reset`` seconds.

    ``at`` is when it was heard (seconds since the epoch). ``refused`` marks a 429. ``quota`` and ``window`` (seconds)
    are 0 where the policy header is missing. ``spare`` counts requests that this gate has drawn and the Hub has not
    seen yet.
    """

    remaining: int
    reset: float
    quota: int = 0
    window: float = 0.0
    at: float = 0.0
    refused: bool = False
    spare: int = 0


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the ledger granted: ``count`` requests, to be used before ``until`` (seconds since the epoch); with none
    granted, ``wait`` is the number of seconds until there are more."""

    count: int
    until: float = 0.0
    wait: float = 0.0
