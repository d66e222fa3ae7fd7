"""What the ``search`` process knows, in memory, and how it answers: words against cards, names and weights."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from workers.searching.encoding import Encoder
from workers.searching.fusing import best, fuse, share_of_text
from workers.searching.index import ExactIndex
from workers.searching.phrases import phrasings
from workers.searching.records import RESULTS_MAX, Answer, Found, Question, Reason, Why
from workers.searching.rewording import Vocabulary
from workers.searching.rules import subject
from workers.searching.thesaurus import thesaurus
from workers.searching.wording import Texts

REMEMBERED = 256  # questions whose points are kept
# Where a cosine of two texts begins to speak for a likeness, and how sharply; read off MiniLM on card texts: unrelated
# cards stay below .25, cards on the subject of a question are above .45.
SPEAKS = {Why.CARD: (0.42, 0.06), Why.NAME: (0.55, 0.06)}
# A question belongs to a tree if one of the tree's labels is about like it; otherwise its weights have no say.
SCOPE_MIDDLE, SCOPE_WIDTH = 0.33, 0.04
SCALE = 20.0  # where nothing tells a better one
SAME = 0.97  # cosine in a space from which a label says the same as the question
NEAREST = 40  # models that are looked at for each way a question can be meant
SOFTENS = 0.5  # power of shares when results are spread: experts err, above all on what they never met
SPREAD = 25  # results, a page, in which each way has its place
SIBLING = 0.6  # what a sibling's card is worth of the model's own


@dataclass(frozen=True, slots=True)
class Read:
    """What a tree's weights say of a question.

    ``ids`` [n] models; ``shares`` [n, ways] how surely each is about each way the question can be meant; ``parts``
    [ways] how likely each way is; ``words`` the ways.
    """

    ids: np.ndarray
    shares: np.ndarray
    parts: np.ndarray
    words: tuple[str, ...]

    def reasons(self) -> dict[int, Reason]:
        """For each model the chance that it is about what was meant, and in which way most likely."""
        if not len(self.ids):
            return {}
        each = self.shares * self.parts
        best = each.argmax(axis=1)
        return {
            int(one): Reason(Why.WEIGHTS, float(share), self.words[int(at)])
            for one, share, at in zip(self.ids, each.sum(axis=1), best, strict=True)
        }


NOTHING = Read(np.empty(0, dtype=np.int64), np.empty((0, 0)), np.empty(0), ())


@dataclass(slots=True)
class Space:
    """A tree's learned space of weights and words.

    ``to_space``: text rows float32 [n, text dim] to unit rows [n, dim]; ``scale`` turns cosines into logits;
    ``labels``: what the expert was trained to tell apart, ``texts`` [labels, text dim] their rows as words and
    ``points`` [labels, dim] in the space; ``index`` holds the models' rows; ``vocabulary`` the labels' words.
    """

    title: str
    to_space: Callable[[np.ndarray], np.ndarray]
    scale: float
    labels: tuple[str, ...]
    texts: np.ndarray
    points: np.ndarray
    index: ExactIndex
    vocabulary: Vocabulary
    stamp: object = None
    remembered: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        *,
        title: str,
        to_space: Callable[[np.ndarray], np.ndarray],
        scale: float,
        labels: Sequence[str],
        encoder: Encoder,
        dim: int,
        stamp: object = None,
    ) -> Space:
        """A space without models yet: what can be known of its labels is computed here."""
        texts = encoder.encode(list(labels))
        points = _points(to_space, encoder, labels)
        vocabulary = Vocabulary(labels, encoder, thesaurus())
        return cls(title, to_space, scale, tuple(labels), texts, points, ExactIndex(dim), vocabulary, stamp)

    def read(self, text: str, row: np.ndarray, limit: int, allowed: np.ndarray | None) -> Read:
        """What the weights say of a question, for up to ``limit`` models for each way it can be meant.

        ``text``: what was asked for, ``row`` [text dim] as a row. A share is that of a way among all labels (a softmax
        of scaled cosines, as in zero-shot classification with CLIP: Radford et al., 2021). A question that has nothing
        to do with any label is none for this tree.
        """
        if not len(self.index) or not self.labels:
            return NOTHING
        ways = self.vocabulary.reword(text)
        scope = share_of_text(float((self.texts @ row).max()), SCOPE_MIDDLE, SCOPE_WIDTH)
        scope = max(scope, sum(way.part for way in ways if way.text != text))  # in the tree's own words it is one
        if scope < 0.02:
            return NOTHING
        points = self._points_of([way.text for way in ways])
        found = [self.index.search(point, limit, allowed)[0] for point in points]
        ids = np.unique(np.concatenate(found))
        rows = self.index.rows([int(one) for one in ids])
        mine = self.scale * (rows @ points.T)
        logits = self.scale * (rows @ self.points.T)
        same = points @ self.points.T >= SAME  # a label that says the same is no other
        shares = np.empty_like(mine)
        for at in range(len(ways)):
            rival = logits[:, ~same[at]]
            other = np.logaddexp.reduce(rival, axis=1) if rival.shape[1] else np.full(len(ids), -np.inf)
            shares[:, at] = 1.0 / (1.0 + np.exp(np.clip(other - mine[:, at], -60, 60)))
        parts = scope * np.array([way.part for way in ways])
        return Read(ids, shares, parts, tuple(way.text for way in ways))

    def _points_of(self, texts: Sequence[str]) -> np.ndarray:
        """Their points [texts, dim]; the tree's own words come again and again."""
        known = dict(self.remembered)
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known |= zip(new, _points(self.to_space, self.vocabulary.encoder, new), strict=True)
            self.remembered = dict(list(known.items())[-REMEMBERED:])
        return np.stack([known[text] for text in texts])


def fitting_scale(cosines: np.ndarray, right: float) -> float:
    """The scale at which shares are as sure as they should be: the mean share of the best label is ``right``.

    ``cosines`` [n, labels] of models with all labels; ``right``: how often the best one is, or the mean calibrated
    probability of the expert's first guesses. A logit of scale times cosine is one parameter, as in temperature scaling
    (Guo et al., 2017).
    """
    if not cosines.size or cosines.shape[1] < 2:
        return SCALE
    low, high = 1.0, 200.0
    for _ in range(40):
        middle = (low + high) / 2
        logits = middle * (cosines - cosines.max(axis=1, keepdims=True))
        sure = float(np.mean(1.0 / np.exp(logits).sum(axis=1)))
        low, high = (middle, high) if sure < right else (low, middle)
    return (low + high) / 2


def _points(to_space: Callable[[np.ndarray], np.ndarray], encoder: Encoder, texts: Sequence[str]) -> np.ndarray:
    """Unit rows [texts, dim]: the mean over phrasings, which depends less on the wording than each of them."""
    said = [phrase for text in texts for phrase in phrasings(text)]
    rows = to_space(encoder.encode(said)).reshape(len(texts), -1, to_space(encoder.encode(said[:1])).shape[1])
    mean = rows.mean(axis=1)
    return np.asarray(mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def spread(found: Sequence[Found], reads: Sequence[Read], depth: int = SPREAD) -> tuple[Found, ...]:
    """The first ``depth`` results so ordered that each way a question can be meant has its models near the top.

    Greedy: next comes the model that most likely is what was meant, given that those before it were not (the idea of
    xQuAD: Santos, Macdonald and Ounis, 2010). Reasons other than the weights count as they are.
    """
    shares = {
        int(one): (at, row**SOFTENS)
        for at, read in enumerate(reads)
        for one, row in zip(read.ids, read.shares, strict=True)
    }
    left = [read.parts.copy() for read in reads]
    rest = list(found[: 4 * depth])
    ordered: list[Found] = []
    beside = {
        one.repo_id: prod(1.0 - min(reason.share, 0.999) for reason in one.reasons if reason.why != Why.WEIGHTS)
        for one in rest
    }
    while rest and len(ordered) < depth:

        def worth(one: Found) -> float:
            if one.repo_id not in shares:
                return one.score
            at, row = shares[one.repo_id]
            return 1.0 - beside[one.repo_id] * (1.0 - float(row @ left[at]))

        best = max(range(len(rest)), key=lambda place: (worth(rest[place]), -place))
        chosen = rest.pop(best)
        ordered.append(chosen)
        if chosen.repo_id in shares:
            at, row = shares[chosen.repo_id]
            left[at] = left[at] * (1.0 - np.minimum(row, 0.999))
    return (*ordered, *rest, *found[4 * depth :])


def in_turn(found: Sequence[Found], by_weights: Sequence[Found], depth: int = SPREAD) -> tuple[Found, ...]:
    """The first ``depth`` results, of which the weights alone choose three in five.

    A model without a card has one reason where a documented near miss ("purple striped circle" for red) has three: put
    together, words would never let it come to the top. Drawn in turn (team-draft interleaving: Radlinski, Kurup and
    Joachims, 2008) each side has its say, and each result still tells its reasons.
    """
    if not by_weights:
        return tuple(found)
    whole = {one.repo_id: one for one in found}
    lists = (iter(found), iter([whole.get(one.repo_id, one) for one in by_weights]))
    chosen: dict[int, Found] = {}
    turns = (0, 1, 1, 0, 1)
    while len(chosen) < depth:
        side = turns[len(chosen) % len(turns)]
        one = next((one for one in lists[side] if one.repo_id not in chosen), None)
        if one is None:
            one = next((one for one in lists[1 - side] if one.repo_id not in chosen), None)
        if one is None:
            break
        chosen[one.repo_id] = one
    return (*chosen.values(), *(one for one in found if one.repo_id not in chosen))


@dataclass
class Library:
    """The encoder, cards, names and spaces. Written by one thread, read by many."""

    encoder: Encoder
    cards: ExactIndex = field(init=False)
    names: ExactIndex = field(init=False)
    texts: Texts = field(init=False)
    spaces: dict[int, Space] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cards = ExactIndex(self.encoder.dim)
        self.names = ExactIndex(self.encoder.dim)
        self.texts = Texts(thesaurus())
        self._points: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, question: Question, allowed: np.ndarray | None = None) -> Answer:
        """The models that are about what was asked, best first. ``allowed``: sorted ids; only these may be found."""
        words = subject(question.text)
        row = self._row(words)
        asked = self.texts.asked(words)
        cards = self._by_texts(self.cards, row, asked, allowed, Why.CARD)
        named = {one: Reason(Why.NAME, fit) for one, fit in question.named.items()}
        names = best(named, self._by_texts(self.names, row, asked, allowed, Why.NAME))
        spaces = list(self.spaces.values())
        reads = [space.read(words, row, NEAREST, allowed) for space in spaces]
        weights = best(*(read.reasons() for read in reads))
        siblings = best(*(_by_siblings(space, cards, allowed) for space in spaces))
        found = spread(fuse((weights, best(cards, siblings), names), RESULTS_MAX), reads)
        alone = spread(fuse((weights,), RESULTS_MAX), reads)
        return Answer(
            found=in_turn(found, alone),
            encoder=self.encoder.name,
            weights=sum(len(space.index) for space in self.spaces.values()),
            cards=len(self.cards),
        )

    def alike(self, repo_id: int, limit: int, allowed: np.ndarray | None = None) -> Answer:
        """Models like a given one: by weights within its tree where these were read, else by what their cards say."""
        for why, index in [
            *((Why.WEIGHTS, space.index) for space in list(self.spaces.values())),
            (Why.CARD, self.cards),
        ]:
            row = index.row(repo_id)
            if row is None or not row.any():
                continue
            ids, cosines = index.search(row, limit + 1, allowed)
            found = tuple(
                Found(int(one), share, (Reason(why, share),))
                for one, cosine in zip(ids, cosines, strict=True)
                if int(one) != repo_id and (share := max(0.0, float(cosine))) > (0.0 if why == Why.WEIGHTS else 0.4)
            )
            return Answer(found=found[:limit], encoder=self.encoder.name, weights=0, cards=len(self.cards))
        return Answer(found=(), encoder=self.encoder.name)

    def _by_texts(
        self,
        index: ExactIndex,
        row: np.ndarray,
        asked: list[dict[str, float]],
        allowed: np.ndarray | None,
        why: Why,
    ) -> dict[int, Reason]:
        ids, cosines = index.search(row, RESULTS_MAX, allowed)
        found = {}
        for one, near in zip(ids, cosines, strict=True):
            share = share_of_text(float(near), *SPEAKS[why]) * self.texts.factor(int(one), asked)
            found[int(one)] = Reason(why, share)
        return found

    def _row(self, text: str) -> np.ndarray:
        """A text as a row [dim]; the last ones are remembered."""
        with self._lock:
            if text in self._points:
                self._points.move_to_end(text)
                return self._points[text]
        row = self.encoder.encode([text])[0]
        with self._lock:
            self._points[text] = row
            while len(self._points) > REMEMBERED:
                self._points.popitem(last=False)
        return row


def _by_siblings(space: Space, cards: dict[int, Reason], allowed: np.ndarray | None) -> dict[int, Reason]:
    """Models without such a card whose weights are like those of models whose cards speak for them."""
    told = sorted(((reason.share, one) for one, reason in cards.items() if reason.share >= 0.5), reverse=True)
    kin: dict[int, Reason] = {}
    for share, one in told[:20]:
        row = space.index.row(one)
        if row is None:
            continue
        ids, cosines = space.index.search(row, 12, allowed)
        for other, near in zip(ids, cosines, strict=True):
            worth = SIBLING * share * max(0.0, float(near)) ** 4
            if int(other) != one and (int(other) not in kin or kin[int(other)].share < worth):
                kin[int(other)] = Reason(Why.SIBLINGS, worth)
    return kin
