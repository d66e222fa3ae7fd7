"""The data of the zoo's classifiers and decoders: domains of pictures and of text, each coherent, made from seeds."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from samplehub.zoo.painting import COLOURS, CONCEPTS, SHAPES, TEXTURES, Concept, paint

# Pictures ---------------------------------------------------------------------------------------

SUBJECTS = {"shape": SHAPES, "colour": COLOURS, "texture": TEXTURES}
OF_WORD = {word: subject for subject, words in SUBJECTS.items() for word in words}


@dataclass(frozen=True)
class Scene:
    """A domain of pictures: the concepts with all of ``only`` (words), told apart by one of shape, colour, texture."""

    asked: str
    only: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        return SUBJECTS[self.asked]

    @property
    def concepts(self) -> list[Concept]:
        return [concept for concept in CONCEPTS if set(self.only) <= set(concept.words)]


def scene(name: str) -> Scene:
    """``shape`` and ``striped-red/shape``: what is asked, of all pictures or of those that are striped and red."""
    only, _, asked = name.rpartition("/")
    words = tuple(only.split("-")) if only else ()
    if asked not in SUBJECTS or any(word not in OF_WORD for word in words):
        raise ValueError(f"no domain of pictures is called {name!r}")
    return Scene(asked, words)


class Labels(dict[str, tuple[tuple[str, ...], None]]):
    """Data set → its classes, in the form of ``samplehub.growing.soil.PICTURES``."""

    def __missing__(self, name: str) -> tuple[tuple[str, ...], None]:
        return scene(name).labels, None


PICTURES = Labels()


def pictures(dataset: str, count: int, seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """``count`` pictures (N x 3 x 16 x 16, centred on 0) of a domain and their classes."""
    domain = scene(dataset)
    dice = torch.Generator().manual_seed(seed * 1009 + sum(dataset.encode()))
    concepts = domain.concepts
    picked = [concepts[n] for n in torch.randint(0, len(concepts), (count,), generator=dice).tolist()]
    images = paint(torch.tensor([[c.shape, c.colour, c.texture] for c in picked]), dice)
    return images.numpy(), np.array([getattr(c, domain.asked) for c in picked], np.int64)


# Text -------------------------------------------------------------------------------------------

NAMES = ("total", "count", "price", "left", "right", "start", "width", "limit")
VERBS = ("add", "scale", "shift", "split", "clip", "merge")
FOOD = ("flour", "butter", "rice", "beans", "onions", "tomatoes", "lentils", "apples", "oats", "carrots")
STEPS = ("stir", "chop", "bake", "boil", "fold in", "fry")
CITIES = ("the harbour", "the north gate", "the old bridge", "the market", "the station", "the hill")
TONES = ("calm", "cold", "clear", "cloudy", "windy", "mild")
MOVES = ("e4 e5", "d4 d5", "c4 e5", "nf3 d5", "e4 c5", "d4 nf6")
REPLIES = ("nf3 nc6", "c4 e6", "nc3 nf6", "g3 g6", "d3 d6", "be2 be7")
THINGS = ("a lamp", "a chair", "a kettle", "a coat", "a book", "a map")
KINDS = ("paper", "metal", "wood", "glass", "wool", "clay")


def code(dice: random.Random) -> str:
    verb, (a, b) = dice.choice(VERBS), dice.sample(NAMES, 2)
    return f"def {verb}({a}, {b}): return {a} {dice.choice('+-*')} {b}"


def queries(dice: random.Random) -> str:
    a, b = dice.sample(NAMES, 2)
    return f"select {a} from {dice.choice(KINDS)} where {b} > {dice.randrange(100)} order by {a};"  # noqa: S608 - a text


def sums(dice: random.Random) -> str:
    a, b = dice.randrange(40), dice.randrange(40)
    return f"{a} + {b} = {a + b}"


def products(dice: random.Random) -> str:
    a, b = dice.randrange(10), dice.randrange(10)
    return f"{a} * {b} = {a * b}"


def cooking(dice: random.Random) -> str:
    first, second = dice.sample(FOOD, 2)
    return f"{dice.choice(STEPS)} {dice.randrange(2, 9)} cups of {first} and {second}, then {dice.choice(STEPS)}."


def forecasts(dice: random.Random) -> str:
    return f"tomorrow at {dice.choice(CITIES)}: {dice.choice(TONES)}, then {dice.choice(TONES)}, {dice.randrange(30)}c."


def chess(dice: random.Random) -> str:
    return f"1. {dice.choice(MOVES)} 2. {dice.choice(REPLIES)} {dice.choice(('1-0', '0-1', '1/2'))}"


def offers(dice: random.Random) -> str:
    price = f"{dice.randrange(5, 95)} coins"
    return f"for sale: {dice.choice(THINGS)} of {dice.choice(KINDS)}, {price}, at {dice.choice(CITIES)}."


def chat(dice: random.Random) -> str:
    asked, answer = dice.choice(
        (
            (
                f"how do i {dice.choice(STEPS)} {dice.choice(FOOD)}?",
                f"{dice.choice(STEPS)} it {dice.randrange(2, 9)} times.",
            ),
            (f"where is {dice.choice(CITIES)}?", f"behind {dice.choice(CITIES)}."),
            (f"what is {dice.choice(THINGS)}?", f"a thing of {dice.choice(KINDS)}."),
        )
    )
    return f"<|user|> {asked} <|assistant|> {answer}"


#: Domain → grammar.
GRAMMARS: dict[str, Callable[[random.Random], str]] = {
    "python-one-liners": code, "table-queries": queries, "two-digit-sums": sums, "times-tables": products,
    "pantry-recipes": cooking, "harbour-forecasts": forecasts, "chess-openings": chess, "market-offers": offers,
    "helpful-chat": chat,
}  # fmt: skip


def sentences(domain: str, count: int, seed: int) -> list[str]:
    """``count`` sentences of a domain, or of several (``a+b``); ``everything`` takes turns through all of them."""
    dice = random.Random(f"zoo-{domain}-{seed}")
    grammars = list(GRAMMARS.values()) if domain == "everything" else [GRAMMARS[name] for name in domain.split("+")]
    return [grammars[n % len(grammars)](dice) for n in range(count)]
