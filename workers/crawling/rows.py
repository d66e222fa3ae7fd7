"""From a listing's answer to facts: every type is checked, nothing wrong stops the row it stands in.

A row is kept whenever it has an id; a field that can't be used is left out and named in ``RepoFacts.oddities``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import orjson

from workers.crawling.records import Rejected, RepoFacts
from workers.errors import BadRow, RemoteGarbled
from workers.lineage.declarations import from_row

EXPAND = (
    "author",
    "baseModels",
    "cardData",
    "config",
    "createdAt",
    "disabled",
    "downloads",
    "downloadsAllTime",
    "gated",
    "gguf",
    "lastModified",
    "library_name",
    "likes",
    "pipeline_tag",
    "private",
    "safetensors",
    "sha",
    "tags",
    "trendingScore",
)
"""The fields asked for. Not asked: siblings and spaces (long, of no use here), whatever a later room reads itself."""

METHOD = b"rows 1"  # to be raised when rows are read otherwise: then all that is stored is read anew
TEXT = 200  # characters of a term, as the column is wide; longer values are cut and named as oddities
LINK = 500
TAGS = 5_000  # of one repo; the longest real list has some hundreds
TERMS = 2_000  # languages or datasets of one repo
BIG = 2**63 - 1
INT = 2**31 - 1
EXCERPT = 1_000  # characters of a bad row that are kept with its fault

# The Hub's ids are ASCII letters, digits, "-", "_" and "."; anything that can stand in a path is taken, since a
# listing is the authority on what exists.
_PLAIN = re.compile(r"[\w.-]{1,100}/[\w.-]{1,100}", re.ASCII)  # nearly all
_PART = r"[^\s/\\?#%\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,100}"
_NAME = re.compile(f"{_PART}(?:/{_PART})?")
_HUB_ID = re.compile(r"[0-9A-Za-z_-]{1,24}")
_SHA = re.compile(r"[0-9A-Fa-f]{7,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# Keys of a card's front matter, in the forms that authors write: folded, "-" as "_".
_CARD_KEYS = {
    "license": "license",
    "license_name": "license_name",
    "license_link": "license_link",
    "language": "language",
    "languages": "language",
    "datasets": "datasets",
    "dataset": "datasets",
    "library_name": "library_name",
    "pipeline_tag": "pipeline_tag",
    "base_model": "base_model",
    "base_model_relation": "base_model_relation",
}
_TELLING = frozenset({"license:", "dataset:"})
_PROPER = frozenset(_CARD_KEYS.values())
_MISSPELT_LENGTHS = frozenset(map(len, _CARD_KEYS))


# --- a page ---------------------------------------------------------------------------------------------------------
def parse(body: bytes) -> Any:
    """The JSON of an answer, free of NUL characters and lone surrogates (which no database takes).

    What the strict parser refuses but a page may well hold in one of its thousand rows is read by the lenient one:
    NaN, Infinity, lone surrogates, bytes that are no UTF-8. Raises RemoteGarbled for what is no JSON at all.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            value = json.loads(body.decode("utf-8", "replace"), parse_int=_int)
        except (ValueError, RecursionError) as error:
            raise RemoteGarbled(f"The answer is no JSON ({len(body):,} bytes): {error}") from None
        return scrubbed(value)
    return scrubbed(value) if b"\\u0000" in body else value


def _int(digits: str) -> int | float:
    return int(digits) if len(digits) < 400 else math.inf  # Python refuses to read ints of more than 4,300 digits


def scrubbed(value: Any) -> Any:
    """``value`` with U+FFFD in place of NUL and lone surrogates, in keys and texts at any depth."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [scrubbed(entry) for entry in value]
    if isinstance(value, dict):
        return {scrubbed(key): scrubbed(entry) for key, entry in value.items()}
    return value


def read(rows: list[Any]) -> tuple[list[RepoFacts], list[Rejected], int]:
    """Facts of all rows that have an id, the rows that have none, and how many private ones were dropped."""
    facts: list[RepoFacts] = []
    rejected: list[Rejected] = []
    private = 0
    for row in rows:
        try:
            found = facts_of(row)
        except BadRow as error:
            rejected.append(_rejected(row, error))
            continue
        if found.private:
            private += 1
        else:
            facts.append(found)
    return facts, rejected, private


def _rejected(row: object, error: BadRow) -> Rejected:
    shown = excerpt(row)
    named = row.get("id") if isinstance(row, dict) else None
    mark = blake2b(shown.encode("utf-8", "replace"), digest_size=4).hexdigest()
    return Rejected(f"{_shown(named) if named is not None else 'no id'} ({mark})", error.code, str(error), shown)


def excerpt(row: object) -> str:
    """The beginning of a row as JSON, to be kept with its fault."""
    try:
        return orjson.dumps(row).decode()[:EXCERPT]
    except (TypeError, ValueError, RecursionError):
        return repr(row)[:EXCERPT]


# --- a row ----------------------------------------------------------------------------------------------------------
def facts_of(row: object) -> RepoFacts:  # noqa: PLR0912, PLR0915 (once for each of millions of rows: calls cost)
    """Read one row of a listing (or one answer of model info). Raises BadRow where it has no usable id."""
    if type(row) is not dict:
        raise BadRow(f"A row is no JSON object but {_kind(row)}.")
    name = row.get("id")
    if type(name) is not str or not (_PLAIN.fullmatch(name) or _NAME.fullmatch(name)):
        name = row.get("modelId") if name is None else name
        if type(name) is not str or not _NAME.fullmatch(name):
            raise BadRow(f"A row's id is {_shown(name)}: no repo can have it.")
    if row.get("private") is True:
        return RepoFacts(name, "", private=True)
    odd: list[tuple[str, str]] = []
    get = row.get

    hub_id = get("_id")
    if type(hub_id) is not str or not ((len(hub_id) == 24 and hub_id.isalnum()) or _HUB_ID.fullmatch(hub_id)):
        if hub_id is not None:
            _note(odd, "_id", hub_id)
        hub_id = ""
    author = get("author")
    if type(author) is not str or len(author) > 100 or not author:
        if author not in (None, ""):
            _note(odd, "author", author)
        author = name.partition("/")[0] if "/" in name else ""
    elif not author.isprintable():
        author = _CONTROL.sub(" ", author)
    sha = get("sha")
    if sha is None:
        sha = ""
    elif type(sha) is not str or not ((len(sha) == 40 and sha.isalnum()) or _SHA.fullmatch(sha)):
        _note(odd, "sha", sha)
        sha = ""
    gated = get("gated")
    if gated is None or gated is False or gated == "":
        gated = ""
    elif gated is True:
        gated = "manual"
    elif gated not in ("auto", "manual"):
        _note(odd, "gated", gated)
        gated = "manual"

    tags = get("tags")
    if type(tags) is list:
        strange = [tag for tag in tags if type(tag) is not str]
        if strange:
            _note(odd, "tags", strange[0], "an entry")
            tags = [tag for tag in tags if type(tag) is str]
        if len(tags) > TAGS:
            _note(odd, "tags", f"a list of {len(tags)}", f"the first {TAGS} are kept of")
            tags = tags[:TAGS]
    else:
        if tags is not None:
            _note(odd, "tags", tags)
        tags = []

    card = get("cardData")
    if card is not None and type(card) is not dict:
        card = _card_of(card, odd)
        row = {**row, "cardData": card}
    licence = licence_name = licence_link = ""
    languages: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    task = library = None
    if card:
        fields = {key: card[key] for key in card if key in _PROPER}
        if len(fields) < len(card):
            _add_misspelt(card, fields, odd)
        if fields:
            if (value := fields.get("license")) is not None:
                licence = value if type(value) is str and len(value) <= TEXT else _licence(value, odd)
                licence = licence.strip().lower()
            if (value := fields.get("license_name")) is not None:
                licence_name = _one(value, "cardData.license_name", odd)
            if (value := fields.get("license_link")) is not None:
                licence_link = _one(value, "cardData.license_link", odd, LINK)
            if (value := fields.get("language")) is not None:
                languages = _several(value, "cardData.language", odd, fold=True)
            if (value := fields.get("datasets")) is not None:
                datasets = _several(value, "cardData.datasets", odd)
            if (value := fields.get("base_model")) is not None:
                _check_base_model(value, odd)
            task = fields.get("pipeline_tag")
            library = fields.get("library_name")
    for tag in [tag for tag in tags if tag[:8] in _TELLING]:
        value = tag[8:].strip()
        if tag[0] == "l":
            licence = licence or _clip(value.lower(), TEXT)
        elif value and value not in datasets and len(value) <= TEXT and len(datasets) < TERMS:
            datasets = (*datasets, value)
    value = get("pipeline_tag")
    task = _one(value if value is not None else task, "pipeline_tag", odd)
    value = get("library_name")
    library = _one(value if value is not None else library, "library_name", odd)

    created, modified = get("createdAt"), get("lastModified")
    parameters, dtypes = _weights(get("safetensors"), odd)
    gguf = get("gguf")
    architecture = model_type = ""
    config = get("config")
    if config:
        architecture, model_type = _config(config, odd)
    if gguf:
        gguf = _card_of(gguf, odd, "gguf") if type(gguf) is not dict else gguf
        if parameters is None and "total" in gguf:
            parameters = _count(gguf["total"], "gguf.total", odd) or None
        if not model_type and "architecture" in gguf:
            model_type = _one(gguf["architecture"], "gguf.architecture", odd)
    downloads, all_time, likes = get("downloads"), get("downloadsAllTime"), get("likes")
    trending = get("trendingScore")
    return RepoFacts(
        name,
        hub_id,
        author,
        sha,
        None if created is None else _moment(created, "createdAt", odd),
        None if modified is None else _moment(modified, "lastModified", odd),
        downloads if type(downloads) is int and 0 <= downloads <= BIG else _count(downloads, "downloads", odd),
        all_time if type(all_time) is int and 0 <= all_time <= BIG else _count(all_time, "downloadsAllTime", odd),
        likes if type(likes) is int and 0 <= likes <= INT else _count(likes, "likes", odd, INT),
        0.0 if not trending else _number(trending, "trendingScore", odd),
        task,
        library,
        licence,
        licence_name,
        licence_link,
        languages,
        datasets,
        tuple(tags),
        parameters,
        dtypes,
        architecture,
        model_type,
        gated,
        False,
        get("disabled") is True,
        from_row(row),
        tuple(odd),
        _digest(row),
    )


def _digest(row: dict[str, Any]) -> str:
    """Of the whole row: cheaper than one of the facts, and whatever else changes is rare or comes with a change."""
    try:
        data = orjson.dumps(row)
    except (TypeError, ValueError, RecursionError):  # numbers of more than 64 bits
        data = repr(row).encode("utf-8", "replace")
    return blake2b(data, digest_size=8, person=METHOD).hexdigest()


# --- fields ---------------------------------------------------------------------------------------------------------
def _card_of(value: object, odd: list[tuple[str, str]], field: str = "cardData") -> dict[str, Any]:
    """A card's front matter that did not come as an object; exports of the Hub's tables hold it as a JSON text."""
    if type(value) is str:
        try:
            value = parse(value.encode("utf-8", "replace"))
        except RemoteGarbled:
            _note(odd, field, value)
            return {}
    if type(value) is dict:
        return value
    if value not in (None, "", []):
        _note(odd, field, value)
    return {}


def _add_misspelt(card: dict[Any, Any], fields: dict[str, Any], odd: list[tuple[str, str]]) -> None:
    """Put into ``fields`` what the card says under another spelling of a key that it has not got otherwise."""
    for key, value in card.items():
        if key in fields or len(key) not in _MISSPELT_LENGTHS:
            continue
        meant = _CARD_KEYS.get(key.lower().replace("-", "_"))
        if meant is not None and value is not None:
            odd.append((f"row.key.{meant}", f"The card says {key!r}: read as {meant!r}."))
            if fields.get(meant) is None:
                fields[meant] = value


def _licence(value: object, odd: list[tuple[str, str]]) -> str:
    # A list of one occurs; of several the first is stored, and the card's tags keep the others.
    if type(value) is list and value and type(value[0]) is str:
        if len(value) > 1:
            _note(odd, "cardData.license", value, "the first is kept of")
        return _clip(value[0], TEXT)
    return _one(value, "cardData.license", odd)


def _one(value: object, field: str, odd: list[tuple[str, str]], limit: int = TEXT) -> str:
    if value is None:
        return ""
    if type(value) is not str:
        if type(value) is list and len(value) == 1 and type(value[0]) is str:
            value = value[0]
        else:
            _note(odd, field, value)
            return ""
    if len(value) > limit:
        _note(odd, field, value, f"{len(value):,} characters are cut to {limit} of")
        value = value[:limit]
    return value.strip() if value.isascii() and value.isprintable() else _CONTROL.sub(" ", value).strip()


def _several(value: object, field: str, odd: list[tuple[str, str]], *, fold: bool = False) -> tuple[str, ...]:
    """The texts of a string or a list, each once, in their order."""
    if type(value) is not list:
        value = [value]
    found: dict[str, None] = {}
    for entry in value[:TERMS]:
        if type(entry) is str:
            text = entry.strip()
            if len(text) > TEXT or not (text.isascii() and text.isprintable()):
                text = _one(text, field, odd)
            if text:
                found[text.lower() if fold else text] = None
        elif entry is False and fold:
            found["no"] = None  # YAML reads a bare "no" (Norwegian) as false
        elif type(entry) is dict and type(entry.get("name")) is str:
            found[_one(entry["name"], field, odd)] = None  # datasets as {name: …, type: …}
        elif entry not in (None, ""):
            _note(odd, field, entry, "an entry")
    if len(value) > TERMS:
        _note(odd, field, f"a list of {len(value)}", f"the first {TERMS} are kept of")
    return tuple(found)


def _check_base_model(value: object, odd: list[tuple[str, str]]) -> None:
    """Name what is no text under base_model; lineage keeps it verbatim all the same."""
    if type(value) is str:
        return
    if type(value) is not list:
        _note(odd, "cardData.base_model", value)
        return
    for entry in value:
        if type(entry) is not str:
            _note(odd, "cardData.base_model", entry, "an entry")
            return


def _weights(value: object, odd: list[tuple[str, str]]) -> tuple[int | None, dict[str, int]]:
    """(count of parameters, count by dtype) of the Hub's ``safetensors`` field."""
    if not value:
        return None, {}
    if type(value) is not dict:
        _note(odd, "safetensors", value)
        return None, {}
    dtypes: dict[str, int] = {}
    by_type = value.get("parameters")
    if type(by_type) is dict:
        for dtype, count in by_type.items():
            if type(count) is int and 0 <= count <= BIG and len(dtype) <= 40:
                dtypes[dtype] = count
            elif count is not None:
                _note(odd, "safetensors.parameters", {dtype[:40]: count}, "an entry")
    elif by_type is not None:
        _note(odd, "safetensors.parameters", by_type)
    total = value.get("total")
    if type(total) is int and 0 < total <= BIG:
        return total, dtypes
    if total is not None and total != 0:
        _note(odd, "safetensors.total", total)
    return (sum(dtypes.values()) or None) if dtypes else None, dtypes


def _config(value: object, odd: list[tuple[str, str]]) -> tuple[str, str]:
    """(architecture, model_type) of the Hub's extract of ``config.json``."""
    if type(value) is not dict:
        _note(odd, "config", value)
        return "", ""
    architectures = value.get("architectures")
    architecture = ""
    if type(architectures) is list:
        if architectures:
            architecture = _one(architectures[0], "config.architectures", odd)
    elif architectures is not None:
        architecture = _one(architectures, "config.architectures", odd)
    return architecture, _one(value.get("model_type"), "config.model_type", odd)


def _moment(value: object, field: str, odd: list[tuple[str, str]]) -> datetime | None:
    if type(value) is str:
        try:
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                return moment.replace(tzinfo=UTC)
            return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    _note(odd, field, value)
    return None


def _count(value: object, field: str, odd: list[tuple[str, str]], most: int = BIG) -> int:
    if value is None:
        return 0
    if type(value) is int and 0 <= value <= most:
        return value
    if type(value) is float and value.is_integer() and 0 <= value <= most:
        return int(value)
    _note(odd, field, value)
    return most if type(value) in (int, float) and value > most else 0  # type: ignore[operator]


def _number(value: object, field: str, odd: list[tuple[str, str]]) -> float:
    if type(value) in (int, float) and abs(value) < 1e15:  # type: ignore[arg-type]
        return float(value)  # type: ignore[arg-type]
    _note(odd, field, value)
    return 0.0


# --- oddities -------------------------------------------------------------------------------------------------------
def _note(odd: list[tuple[str, str]], field: str, value: object, what: str = "") -> None:
    """Name a field that can't be used as it is. The code tells the field, the message its value."""
    code = f"row.{field}"
    if all(code != noted for noted, _ in odd):
        odd.append((code, f"{field}: {what + ' ' if what else ''}{_shown(value)}"))


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else excerpt(value)
    return f"{_kind(value)} {text[:120]!r}{'…' if len(text) > 120 else ''}"


def _kind(value: object) -> str:
    names: Iterator[str] = (word for kind, word in _KINDS if isinstance(value, kind))
    return next(names, "null")


_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "the truth value"),
    (str, "the text"),
    (int, "the number"),
    (float, "the number"),
    (list, "the list"),
    (dict, "the object"),
)


def _clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit]
