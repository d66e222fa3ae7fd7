"""Words and letters in place of a sentence encoder: TF-IDF of words and of letters within them, reduced by SVD.

The fallback where no encoder can be had: it is fitted on the cards and names that are stored, so it knows which words
go together there (latent semantic analysis: Deerwester et al., 1990), and no word that is not there. Deterministic:
fitted on the same texts it is the same, and ``digest`` says which texts these were.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from math import log

import numpy as np

from workers.errors import EncoderRefused

DIM = 384
FEATURES = 12_000  # the commonest; 12,000 x 384 half floats are 9 MB
TEXTS = 20_000  # that it is fitted on
NAME = "words and letters (TF-IDF, SVD)"
_WORD = re.compile(r"[^\W_]{2,40}")
# fmt: off
_STOP = frozenset({
    "the", "and", "for", "with", "that", "this", "from", "are", "was", "were", "have", "has", "its", "our", "your",
    "you", "they", "into", "than", "then", "not", "but", "all", "any", "can", "will", "use", "used", "using", "model",
    "models", "fine", "tuned", "finetuned", "trained", "training",
})
# fmt: on


class LexicalEncoder:
    """Texts to unit rows [n, 384] by the words and letters they share. See ``fit``, ``from_bytes``."""

    name = NAME
    dim = DIM

    def __init__(self, features: Sequence[str], weights: np.ndarray, directions: np.ndarray) -> None:
        self._place = {feature: at for at, feature in enumerate(features)}
        self._weights = weights.astype(np.float32)
        self._directions = directions.astype(np.float32)  # [features, dim]
        sha = hashlib.sha256("\n".join(features).encode())
        sha.update(np.ascontiguousarray(directions, dtype=np.float16).tobytes())
        self.digest = sha.hexdigest()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit rows, float32 [len(texts), 384]; zeros for a text without any known word or letters."""
        found = np.zeros((len(texts), DIM), dtype=np.float32)
        for at, text in enumerate(texts):
            places, values = self.weigh(text)
            if places:
                found[at] = np.asarray(values, dtype=np.float32) @ self._directions[places]
        norms = np.linalg.norm(found, axis=1, keepdims=True)
        return found / np.where(norms > 1e-8, norms, 1.0)

    def weigh(self, text: str) -> tuple[list[int], list[float]]:
        """The places of a text's known words and letters, and their weights: a unit row, but for what is zero."""
        counts = Counter(feature for feature in features_of(text) if feature in self._place)
        places = [self._place[feature] for feature in counts]
        values = [
            (1.0 + log(count)) * float(self._weights[place])
            for place, count in zip(places, counts.values(), strict=True)
        ]
        length = sum(value * value for value in values) ** 0.5 or 1.0
        return places, [value / length for value in values]

    def to_bytes(self) -> bytes:
        """For the database: JSON of the words, then the arrays in half precision."""
        out = io.BytesIO()
        words = json.dumps(list(self._place)).encode()
        np.savez_compressed(
            out,
            words=np.frombuffer(words, dtype=np.uint8),
            weights=self._weights,
            directions=self._directions.astype(np.float16),
        )
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> LexicalEncoder:
        """The inverse. Raises EncoderRefused for what is none of ours; reads no pickles."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as kept:
                words = json.loads(kept["words"].tobytes())
                return cls(words, kept["weights"], kept["directions"])
        except (ValueError, KeyError, OSError) as error:
            raise EncoderRefused(
                f"The stored word statistics can't be read ({error}): run the job meanings."
            ) from error


def features_of(text: str) -> Iterator[str]:
    """Words, and runs of four letters within longer ones: these bring "circle" near "circles" and "circular"."""
    for word in _WORD.findall(text.lower()[:20_000]):
        if word in _STOP:
            continue
        yield word
        if len(word) > 4:
            padded = f"^{word}$"
            for at in range(len(padded) - 3):
                yield f"#{padded[at : at + 4]}"


def fit(texts: Sequence[str]) -> LexicalEncoder:
    """An encoder of what ``texts`` say; of more than TEXTS the first. Of none it encodes all to zero."""
    from scipy.sparse import csr_matrix
    from sklearn.utils.extmath import randomized_svd

    rows = [Counter(features_of(text)) for text in texts[:TEXTS]]
    spread = Counter(feature for row in rows for feature in row)
    chosen = sorted(sorted(spread), key=lambda feature: -spread[feature])[:FEATURES]
    weights = np.array([log((1 + len(rows)) / (1 + spread[f])) + 1 for f in chosen], dtype=np.float32)
    # What nearly all texts hold (a template's words) says little, but is not dropped: the collection may be tiny.
    encoder = LexicalEncoder(chosen, weights, np.zeros((len(chosen), DIM), dtype=np.float16))
    if not chosen:
        return encoder
    lines = [encoder.weigh(text) for text in texts[:TEXTS]]
    pointers = np.cumsum([0, *(len(places) for places, _ in lines)])
    matrix = csr_matrix(
        (
            np.array([value for _, values in lines for value in values], dtype=np.float32),
            np.array([place for places, _ in lines for place in places], dtype=np.int64),
            pointers,
        ),
        shape=(len(lines), len(chosen)),
    )
    rank = min(DIM, len(chosen), len(lines))
    _, _, found = randomized_svd(matrix, n_components=rank, random_state=0)
    directions = np.zeros((len(chosen), DIM), dtype=np.float16)
    directions[:, :rank] = found.T
    return LexicalEncoder(chosen, weights, directions)
