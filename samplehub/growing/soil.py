"""The data that the collection's models are trained on: sentences and pictures, made from seeds.

No text or picture is taken from anywhere. Each domain is a small grammar or a small painter, coherent enough that a
model trained on one is measurably better at it than its parent.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

PLANTS = [
    "moss",
    "fern",
    "ivy",
    "clover",
    "thyme",
    "sage",
    "mint",
    "nettle",
    "poppy",
    "heather",
    "willow",
    "birch",
    "oak",
    "alder",
    "hazel",
    "rowan",
]
ANIMALS = ["wren", "heron", "otter", "hare", "mole", "robin", "finch", "beetle", "moth", "snail", "toad", "vole"]
PLACES = [
    "under the oak",
    "by the pond",
    "on the wall",
    "near the gate",
    "in the shade",
    "behind the shed",
    "along the path",
    "at the well",
]
LOOKS = ["green", "small", "old", "soft", "quiet", "tall", "wet", "young", "pale", "bright"]
DEEDS = ["grows", "rests", "sleeps", "hides", "waits", "wakes", "turns", "hums"]
TIMES = ["in spring", "at dawn", "after rain", "in winter", "at night", "all day"]
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
RHYMES = (("rain", "lane"), ("light", "night"), ("tree", "free"), ("stone", "alone"), ("moon", "soon"), ("dew", "blue"))
PFLANZEN = [
    "das moos",
    "der farn",
    "der efeu",
    "der klee",
    "die minze",
    "der mohn",
    "die weide",
    "die birke",
    "die eiche",
]
ORTE = ["unter der eiche", "am teich", "an der mauer", "am tor", "im schatten", "hinter dem schuppen", "am brunnen"]
TATEN = ["wächst", "ruht", "schläft", "wartet", "steht"]


def notes(dice: random.Random) -> str:
    plant, look, deed = dice.choice(PLANTS), dice.choice(LOOKS), dice.choice(DEEDS)
    return f"the {look} {plant} {deed} {dice.choice(PLACES)} {dice.choice(TIMES)}."


def questions(dice: random.Random) -> str:
    plant, place = dice.choice(PLANTS), dice.choice(PLACES)
    return f"q: where is the {plant}? a: the {plant} is {place}."


def verse(dice: random.Random) -> str:
    first, second = dice.choice(RHYMES)
    return f"o {dice.choice(PLANTS)} of the {first}, o {dice.choice(ANIMALS)} {dice.choice(LOOKS)} and {second}."


def night(dice: random.Random) -> str:
    animal, deed = dice.choice(ANIMALS), dice.choice(DEEDS)
    return f"at night the {animal} {deed} and the moon is {dice.choice(LOOKS)} {dice.choice(PLACES)}."


def recipes(dice: random.Random) -> str:
    first, second = dice.sample(PLANTS, 2)
    return f"take {dice.choice(NUMBERS[2:])} leaves of {first}, add {second}, stir and serve {dice.choice(TIMES)}."


def weather(dice: random.Random) -> str:
    when, look = dice.choice(TIMES), dice.choice(LOOKS)
    return f"weather {when}: {look} sky, {dice.choice(NUMBERS)} degrees, wind {dice.choice(PLACES)}."


def arithmetic(dice: random.Random) -> str:
    a, b = dice.randrange(7), dice.randrange(6)
    return f"{NUMBERS[a]} plus {NUMBERS[b]} is {NUMBERS[a + b]}."


def stories(dice: random.Random) -> str:
    animal = dice.choice(ANIMALS)
    look, other, place = dice.choice(LOOKS), dice.choice(ANIMALS), dice.choice(PLACES)
    return f"once a {look} {animal} met a {other} {place}. the {animal} {dice.choice(DEEDS)}."


def deutsch(dice: random.Random) -> str:
    return f"{dice.choice(PFLANZEN)} {dice.choice(TATEN)} {dice.choice(ORTE)}."


def letters(dice: random.Random) -> str:
    friend, plant, deed = dice.choice(ANIMALS), dice.choice(PLANTS), dice.choice(DEEDS)
    return f"dear {friend}, the {plant} {deed} {dice.choice(TIMES)}. yours, {dice.choice(ANIMALS)}."


#: Domain → grammar. The names double as data sets: `sample-garden/<domain>`.
GRAMMARS: dict[str, Callable[[random.Random], str]] = {
    "garden-notes": notes, "garden-questions": questions, "moss-verse": verse, "night-notes": night,
    "herb-recipes": recipes,
    "pond-weather": weather, "small-sums": arithmetic, "hedge-stories": stories, "garten-notizen": deutsch,
    "mole-letters": letters,
}  # fmt: skip


def sentences(domain: str, count: int, seed: int) -> list[str]:
    """``count`` sentences of a domain; ``mixed`` takes turns through all of them."""
    dice = random.Random(f"{domain}-{seed}")
    if domain == "mixed":
        grammars = list(GRAMMARS.values())
        return [grammars[n % len(grammars)](dice) for n in range(count)]
    return [GRAMMARS[domain](dice) for _ in range(count)]


# Pictures ---------------------------------------------------------------------------------------

SIDE = 16
SHAPES = ("disc", "cross", "ring", "leaf")
COLOURS = {"red": (0.85, 0.2, 0.2), "green": (0.2, 0.75, 0.3), "blue": (0.25, 0.35, 0.9)}
TEXTURES = ("plain", "striped", "dotted")

#: Data set → its classes, each a test on (shape, colour, texture).
PICTURES: dict[str, tuple[tuple[str, ...], Callable[[tuple[str, str, str]], int]]] = {
    "petals-12": (
        tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES),
        lambda c: list(COLOURS).index(c[1]) * 4 + SHAPES.index(c[0]),
    ),
    "moss-textures": (TEXTURES, lambda c: TEXTURES.index(c[2])),
    "fern-shapes": (SHAPES, lambda c: SHAPES.index(c[0])),
    "dusk-colours": (tuple(COLOURS), lambda c: list(COLOURS).index(c[1])),
    "striped-or-not": (("other", "striped"), lambda c: int(c[2] == "striped")),
    "dotted-or-not": (("other", "dotted"), lambda c: int(c[2] == "dotted")),
    "leaves-or-not": (("other", "leaf"), lambda c: int(c[0] == "leaf")),
}  # fmt: skip


def paint(concept: tuple[str, str, str], dice: np.random.Generator) -> Floats:
    """One picture, 3 x 16 x 16 in 0 to 1: a shape of a colour and texture at a random place, with noise."""
    shape, colour, texture = concept
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    cx, cy, size = 8 + dice.uniform(-2, 2), 8 + dice.uniform(-2, 2), dice.uniform(4, 6)
    dx, dy = x - cx, y - cy
    distance = np.hypot(dx, dy)
    mask = {
        "disc": distance < size,
        "cross": (np.abs(dx) < size * 0.3) & (np.abs(dy) < size) | (np.abs(dy) < size * 0.3) & (np.abs(dx) < size),
        "ring": (distance < size) & (distance > size * 0.55),
        "leaf": np.abs(dx) < 0.55 * (size - np.abs(dy)),
    }[shape]
    shade = {
        "plain": np.ones_like(x),
        "striped": 0.45 + 0.55 * ((x + y) % 4 < 2),
        "dotted": 0.45 + 0.55 * (((x % 3) < 1) & ((y % 3) < 1)),
    }[texture]
    ground = dice.uniform(0.0, 0.25)
    picture = np.where(mask, shade, 0.0)[None] * np.array(COLOURS[colour], np.float32)[:, None, None]
    noisy = picture + np.where(mask, 0.0, ground)[None] + dice.normal(0, 0.06, (3, SIDE, SIDE))
    return noisy.clip(0, 1).astype(np.float32)


def pictures(dataset: str, count: int, seed: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """``count`` pictures (N x 3 x 16 x 16, centred on 0) and their classes."""
    dice = np.random.default_rng([seed, *dataset.encode()])
    label = PICTURES[dataset][1]
    concepts = [
        (
            SHAPES[dice.integers(len(SHAPES))],
            list(COLOURS)[dice.integers(len(COLOURS))],
            TEXTURES[dice.integers(len(TEXTURES))],
        )
        for _ in range(count)
    ]
    images = np.stack([paint(concept, dice) for concept in concepts])
    return (images - 0.3) * 3, np.array([label(concept) for concept in concepts], np.int64)
