"""What both wings must do alike: read a declared text as a repo id, and choose among parents. Standard library only."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

from workers.lineage.records import Reading, Relation, Source, TextKind

# The Hub's grammar: each part at most 96 characters of letters, digits, "-", "_", "."; it neither starts nor ends with
# "-" or ".", and holds neither "--" nor "..". Names with a leading or trailing "_" exist ("LeroyDyer/_Spydaz_Web").
_PART = r"(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_PART_RE = re.compile(_PART)
_ID_RE = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*/)?[A-Za-z0-9_][A-Za-z0-9_.-]*")

PLACEHOLDERS = frozenset(
    {
        "",
        "-",
        "?",
        "base",
        "base_model",
        "basemodel",
        "custom",
        "from scratch",
        "from-scratch",
        "lazymergekit",
        "merge",
        "mergekit",
        "model",
        "model_name",
        "more information needed",
        "n/a",
        "na",
        "nan",
        "nil",
        "no",
        "none",
        "null",
        "original",
        "other",
        "private",
        "scratch",
        "self",
        "tba",
        "tbd",
        "todo",
        "true",
        "false",
        "undefined",
        "unknown",
        "your-base-model",
        "your_base_model",
    }
)
"""Folded texts that stand for no model, as card templates and hurried authors write them."""


def is_repo_id(text: str) -> bool:
    """Whether ``text`` is a valid model id of the Hub: "name" (old ids) or "namespace/name"."""
    if len(text) > 193 or not _ID_RE.fullmatch(text) or text.endswith((".git", ".ipynb")):
        return False
    return all(_PART_RE.fullmatch(part) for part in text.split("/"))


def fold(name: str) -> str:
    """The form under which names are compared: the Hub tells names apart without regard to case."""
    return name.lower()


_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co", "www.hf.co", "hf-mirror.com", "huggingface.com")
_URL_RE = re.compile(r"(?:https?:)?//([^/?#]+)/*([^?#]*)", re.I)
_SCHEME_RE = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)
_TAG_RE = re.compile(r"<[^<>]*>")
_HREF_RE = re.compile(r"""href\s*=\s*["']?([^"'\s>]+)""", re.I)
_MD_LINK_RE = re.compile(r"!?\[([^\]]*)\]\(\s*<?([^)\s>]+)>?[^)]*\)")
_LOCAL_RE = re.compile(
    r"""(?:\.{1,2}(?:[/\\]|$)|~[/\\]?|/|[A-Za-z]:[\\/]|\\\\|file:)   # ./x  ../x  ~/x  /x  C:\x  \\host\x
      | .*\\                                                       # any backslash
      | (?:content|workspace|kaggle|mnt|home|root|data|tmp|scratch|drive|output|outputs|models|checkpoints)/.+/
      | (?:.*/)?checkpoint-\d+/*$                                  # what trainers call their own folders
      | .*\.(?:safetensors|gguf|ggml|bin|pt|pth|ckpt|onnx|h5|zip|tar|gz|json|ya?ml|py|txt)$
    """,
    re.X | re.I,
)
_PAGE_RE = re.compile(r"[\w.-]+/[\w.-]+/(?:blob|tree|resolve|raw)/", re.A)  # the path of a Hub page without its host
_QUOTES = "\"'`\u201c\u201d\u2018\u2019\u00ab\u00bb*"
_NOT_MODELS = ("datasets", "spaces", "collections", "papers", "docs", "blog", "organizations")
_AFTER_ID = frozenset({"blob", "tree", "resolve", "raw", "discussions", "commits", "commit", "edit", "settings"})


@lru_cache(maxsize=8192)
def read(text: str) -> Reading:
    """Read one declared ``text`` as the repo id that it names, if any.

    Returns a ``Reading``: ``target`` is a valid repo id in the author's own case, "" where the text names none, and
    ``kind`` says what the text is. Never raises; whatever can't be read is ``TextKind.JUNK``.
    """
    if _ID_RE.fullmatch(text) and "." not in text[-6:] and is_repo_id(text):  # nearly all
        return _bare_or_id(text, text)
    return _read_slowly(text)


def target_of(text: str, source: Source | int) -> str:
    """The folded id that ``text`` names, "" where it names none. What the Hub itself calls a model is one."""
    if source in _HUBS_OWN and is_repo_id(text):
        return fold(text)
    return fold(read(text).target)


_HUBS_OWN = frozenset({Source.HUB, Source.TAG})


def _bare_or_id(text: str, cleaned: str) -> Reading:
    if fold(cleaned) in PLACEHOLDERS:
        return Reading("", TextKind.PLACEHOLDER)
    if _LOCAL_RE.match(cleaned):
        return Reading("", TextKind.LOCAL)
    if "/" not in cleaned:
        # "12345" or "v2" would be valid ids by the grammar, but no one means a model by them.
        if len(cleaned) < 3 or cleaned.replace(".", "").isdigit():
            return Reading("", TextKind.JUNK)
        return Reading(cleaned, TextKind.BARE, cleaned != text)
    if cleaned.split("/", 1)[0].lower() in _NOT_MODELS:
        return Reading("", TextKind.NOT_MODEL)
    return Reading(cleaned, TextKind.ID, cleaned != text)


def _read_slowly(text: str) -> Reading:
    cleaned = _unwrap(text)
    if fold(cleaned.strip("[](){}<>.")).strip() in PLACEHOLDERS:
        return Reading("", TextKind.PLACEHOLDER)
    url = _URL_RE.match(cleaned)
    if url or cleaned.lower().startswith(_HOSTS):
        host, path = (url.group(1), url.group(2)) if url else cleaned.split("?")[0].split("#")[0].partition("/")[::2]
        ours = host.lower().rpartition("@")[2].partition(":")[0] in _HOSTS
        return _path(text, path, from_url=True) if ours else Reading("", TextKind.URL)
    if cleaned.lower().startswith("hf://"):
        return _path(text, cleaned[5:], from_url=True)
    if _PAGE_RE.match(cleaned):
        return _path(text, cleaned, from_url=True)
    if _SCHEME_RE.match(cleaned) or _LOCAL_RE.match(cleaned):
        return Reading("", TextKind.URL if _SCHEME_RE.match(cleaned) else TextKind.LOCAL)
    return _path(text, cleaned.split("?")[0].split("#")[0], from_url=False)


def _unwrap(text: str) -> str:
    """Take off what surrounds an id: whitespace, quotes, HTML, Markdown links, control characters."""
    cleaned = "".join(c for c in text if c.isprintable() or c in "\t\n").strip()
    if "<" in cleaned:
        href = _HREF_RE.search(cleaned)
        cleaned = href.group(1) if href else _TAG_RE.sub("", cleaned)
    link = _MD_LINK_RE.search(cleaned)
    if link:
        cleaned = link.group(2)
    return cleaned.strip().strip(_QUOTES + ",;").strip()


def _path(text: str, path: str, *, from_url: bool) -> Reading:
    parts = [part.strip() for part in path.split("/") if part.strip()]
    if parts and parts[0].lower() == "models" and from_url:
        parts = parts[1:]
    if parts and parts[0].lower() in _NOT_MODELS and len(parts) > 1:
        return Reading("", TextKind.NOT_MODEL)
    for at, part in enumerate(parts):
        if at and part.lower() in _AFTER_ID:
            parts = parts[:at]
            break
    if not parts:
        return Reading("", TextKind.JUNK)
    if len(parts) > 2:
        if not from_url:
            return Reading("", TextKind.LOCAL)
        parts = parts[:2]
    # "org/name@revision", "org/name:latest"
    parts[-1] = re.split(r"[@:]", parts[-1], maxsplit=1)[0].strip().strip(_QUOTES + ",;").removesuffix(".git")
    cleaned = "/".join(parts).strip()
    if from_url and len(parts) == 1 and not is_repo_id(cleaned):
        return Reading("", TextKind.URL)
    if not is_repo_id(cleaned):
        return Reading("", TextKind.JUNK)
    return _bare_or_id(text, cleaned)


# --- parents --------------------------------------------------------------------------------------------------------
_LAST = datetime.max.replace(tzinfo=UTC)


def age_key(created_at: datetime | None, folded: str) -> tuple[datetime, str]:
    """Sorts models by age, the oldest first: unknown times last, then by folded name."""
    return (created_at or _LAST, folded)


def primary_key(source: int, relation: int, created_at: datetime | None, folded: str) -> tuple[int, int, datetime, str]:
    """Sorts a child's parents: the first is its primary parent, unless that would close a cycle.

    The most trusted source first, then the relation in the order of ``Relation``, then the parent created first
    (unknown times last), then its folded name. No key of ours takes part, so that the choice does not depend on the
    order of arrival.
    """
    return (source, relation, created_at or _LAST, folded)


# --- signs ----------------------------------------------------------------------------------------------------------
_SIGNS: dict[Relation, tuple[str, ...]] = {
    Relation.MERGE: ('"merge"',),
    Relation.ADAPTER: ('"peft"', '"lora"', '"adapter"', '"adapter-transformers"', '"qlora"'),
    Relation.QUANTIZED: (
        '"gguf"',
        '"gptq"',
        '"awq"',
        '"exl2"',
        '"exl3"',
        '"bitsandbytes"',
        '"hqq"',
        '"aqlm"',
        '"quantized"',
        '"compressed-tensors"',
    ),
}


def is_tagged(tags: str, relation: Relation) -> bool:
    """Whether a model's own tags, as JSON text, call it a merge, an adapter or quantized."""
    return any(word in tags for word in _SIGNS.get(relation, ()))
