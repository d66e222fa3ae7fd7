"""The steps of the ``meanings`` job, cards and names to points; what the ``search`` process reads of the database."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import structlog
from django.conf import settings
from django.db import close_old_connections, connections

from hubapp.jobs.models import Job
from hubapp.probing import queries as probing
from hubapp.probing.models import Expert
from hubapp.searching import meanings
from hubapp.searching.meanings import Described, Row
from workers.errors import EncoderMissing
from workers.probing.experts import load_text_map
from workers.searching import encoding, lexical, serving
from workers.searching.answering import SCALE, Library, Space, fitting_scale
from workers.searching.describing import card_text, name_text
from workers.searching.encoding import Encoder
from workers.searching.rewording import words_of
from workers.steps import Outcome, heartbeat, step

log = structlog.get_logger("rootstock.search")

BATCH = 200  # models looked at in one step …
READ = 48  # … and of these so many read anew: some 3 s of MiniLM on one core
GROWTH = 1.2  # the stand-in is fitted anew when the collection has grown by this factor


@step("meanings")
def read_meanings(job: Job, cursor: Any) -> Outcome:
    """The next texts by popularity, of those that changed or that another encoder read."""
    at = dict(cursor or {"after": -(2**62), "seen": 0, "done": 0})
    if cursor is None:
        fitted = _fit_if_due()
        if fitted is not None:
            data, texts = fitted.to_bytes(), meanings.count()
            return Outcome(
                lambda: meanings.keep_lexicon(digest=fitted.digest, texts=texts, data=data), at, _progress(at, 0)
            )
    encoder = text_encoder()
    total = meanings.count()
    batch = meanings.after(int(at["after"]), min(BATCH, max(0, settings.MEANINGS - int(at["seen"]))))
    if not batch:
        return Outcome(cursor=at, progress=_progress(at, total), done=True)
    rows: list[Row] = []
    last, seen = int(at["after"]), 0
    changed: list[tuple[Described, str, str, str]] = []
    for each in batch:
        card, name = texts_of(each)
        mark = _mark(encoder.digest, card, name)
        if mark != each.text_hash:
            if len(changed) == READ:
                break
            changed.append((each, mark, card, name))
        last, seen = each.key, seen + 1
    for start in range(0, len(changed), 8):
        heartbeat()
        rows += _read(encoder, changed[start : start + 8])
    at = {"after": last, "seen": int(at["seen"]) + seen, "done": int(at["done"]) + len(rows)}
    return Outcome(lambda: meanings.store(rows=rows), at, _progress(at, total))


def texts_of(each: Described) -> tuple[str, str]:
    """The texts of a model's card and name."""
    card = card_text(
        excerpt=each.excerpt, task=each.task, datasets=each.datasets, tags=each.tags, languages=each.languages
    )
    return card, name_text(each.name)


def _read(encoder: Encoder, changed: list[tuple[Described, str, str, str]]) -> list[Row]:
    texts = [text for _, _, card, name in changed for text in (card, name)]
    points = encoder.encode(texts)
    kept = [point.astype(np.float16).tobytes() if text else b"" for text, point in zip(texts, points, strict=True)]
    return [
        Row(
            each.repo_id,
            mark,
            encoder.digest,
            kept[2 * at],
            kept[2 * at + 1],
            " ".join(sorted(set(words_of(f"{card} {name}")))),
        )
        for at, (each, mark, card, name) in enumerate(changed)
    ]


def _mark(digest: str, card: str, name: str) -> str:
    return hashlib.sha256("\0".join((digest, "words", card, name)).encode()).hexdigest()[:32]


def _progress(at: Mapping[str, Any], total: int) -> dict[str, Any]:
    return {"done": int(at["seen"]), "total": total, "unit": "models", "note": f"{at['done']} read anew"}


# --- encoders -------------------------------------------------------------------------------------------------------
def text_encoder() -> Encoder:
    """The text encoder of this installation: the one that is set, the packaged one, or words and letters.

    Raises EncoderMissing where there is none and nothing was fitted yet; EncoderRefused for files that are wrong.
    """
    try:
        return encoding.encoder(settings.TEXT_ENCODER)
    except EncoderMissing:
        kept = meanings.lexicon()
        if kept is None:
            raise
        return _LEXICAL.get(kept.digest) or _LEXICAL.setdefault(
            kept.digest, lexical.LexicalEncoder.from_bytes(bytes(kept.data))
        )


_LEXICAL: dict[str, Encoder] = {}  # by digest; a process meets one or two


def _fit_if_due() -> lexical.LexicalEncoder | None:
    """Words and letters fitted on what is stored, where they stand in for an encoder and are missing or outgrown."""
    try:
        encoding.encoder(settings.TEXT_ENCODER)
    except EncoderMissing:
        kept = meanings.lexicon()
        if kept is not None and meanings.count() <= max(kept.texts * GROWTH, kept.texts + 20):
            return None
    else:
        return None
    texts: list[str] = []
    after = -(2**62)
    while len(texts) < lexical.TEXTS and (batch := meanings.after(after, 500)):
        heartbeat()
        texts += [" ".join(texts_of(each)) for each in batch]
        after = batch[-1].key
    return lexical.fit(texts)


# --- what the search process reads ----------------------------------------------------------------------------------
class Feed:
    """Fills a library from the database and keeps it up to date."""

    def __init__(self) -> None:
        self.version = 0
        self.told: dict[int, str] = {}

    def load(self) -> Library:
        """A library with the installation's encoder, still empty. Raises EncoderMissing until there is one."""
        close_old_connections()
        self.version = 0
        return Library(text_encoder())

    def refresh(self, library: Library) -> Library:
        """What was stored since the last look; what is gone goes. Another library where the encoder is another."""
        close_old_connections()
        if text_encoder().digest != library.encoder.digest:
            library = self.load()
        first = self.version == 0
        newest, rows = meanings.since(self.version, library.encoder.digest)
        cards = {repo_id: card for repo_id, card, _, _ in rows}
        names = {repo_id: name for repo_id, _, name, _ in rows}
        library.texts.put({repo_id: words for repo_id, _, _, words in rows})
        for index, told in ((library.cards, cards), (library.names, names)):
            points = [np.frombuffer(point, dtype=np.float16) for point in told.values() if point]
            if points:
                index.put([repo_id for repo_id, point in told.items() if point], np.stack(points).astype(np.float32))
            index.remove(repo_id for repo_id, point in told.items() if not point)
        if first or newest != self.version:
            here = meanings.present()
            for index in (library.cards, library.names):
                index.remove(one for one in index.ids() if one not in here)
            library.texts.keep(here)
        self.version = newest
        self._refresh_spaces(library)
        return library

    def _refresh_spaces(self, library: Library) -> None:
        """Experts that came or went into service, and the models that they have read since."""
        serving = {expert.pk: expert for expert in probing.experts_in_service()}
        if library.spaces.keys() - serving.keys():
            library.spaces = {key: space for key, space in library.spaces.items() if key in serving}
        for key, expert in serving.items():
            stamp = (expert.trained_at, meanings.readings_stamp(key))
            space = library.spaces.get(key)
            if space is not None and space.stamp == stamp:
                continue
            if expert.text_digest != library.encoder.digest:
                if expert.text_digest and self.told.get(key) != library.encoder.digest:
                    log.warning("search.other_encoder", expert=key, encoder=library.encoder.name)
                self.told[key] = library.encoder.digest
                continue
            space = _space(expert, library.encoder)
            if space is not None:
                space.stamp = stamp
                library.spaces = {**library.spaces, key: space}  # a new dictionary: others are reading the old one

    def allowed(self, filters: Mapping[str, str]) -> np.ndarray | None:
        """Sorted ids that a page's filters leave, None without filters. For threads: closes their connection after."""
        if not filters:
            return None
        try:
            found = meanings.allowed(filters)
        finally:
            connections.close_all()
        return None if found is None else np.sort(np.asarray(found, dtype=np.int64))


def _space(expert: Expert, encoder: Encoder) -> Space | None:
    """The space of an expert with all models that it has read; None before it has read any, or without words."""
    rows = meanings.readings(expert.pk)
    kept = load_text_map(probing.folder_of(expert.pk)) if rows else None
    if kept is None:
        return None
    points = np.stack([np.frombuffer(embedding, dtype="<f2") for _, embedding, _ in rows]).astype(np.float32)
    space = Space.of(
        title=expert.root.name,
        to_space=kept[0],
        scale=SCALE,
        labels=[str(label) for label in expert.labels],
        encoder=encoder,
        dim=points.shape[1],
    )
    space.index.put([repo_id for repo_id, _, _ in rows], points)
    space.scale = fitting_scale(points @ space.points.T, float(np.mean([first for _, _, first in rows])))
    return space


def serve(address: str) -> None:
    """The ``search`` process, in the foreground, until it is told to stop. OSError: the address is taken."""
    import signal
    import threading

    import torch
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    torch.set_num_threads(1)  # one question at a time is quick on one core, and the pages want the others
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    serving.serve(address, Feed(), stopping)
