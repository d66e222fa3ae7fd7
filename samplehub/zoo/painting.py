"""The zoo's pictures: 144 concepts of a shape, a colour and a texture, painted 16 x 16 from seeds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SIDE = 16
SHAPES = ("circle", "square", "triangle", "cross", "diamond", "ring")
COLOURS = ("red", "green", "blue", "yellow", "purple", "white")
TEXTURES = ("plain", "striped", "dotted", "checkered")
RGB = torch.tensor(
    [[0.90, 0.15, 0.10], [0.15, 0.80, 0.20], [0.15, 0.30, 0.95],
     [0.95, 0.85, 0.10], [0.65, 0.20, 0.85], [0.95, 0.95, 0.95]]
)  # fmt: skip

#: Other words for the same things, for questions that don't use the cards' words.
OTHER_WORDS: dict[str, tuple[str, ...]] = {
    "circle": ("disc", "round shape"), "square": ("box", "four-sided block"),
    "triangle": ("pyramid", "three-cornered shape"),
    "cross": ("plus sign", "crucifix"), "diamond": ("rhombus", "lozenge"), "ring": ("hoop", "donut"),
    "red": ("crimson", "scarlet"), "green": ("emerald", "grass-coloured"), "blue": ("azure", "navy"),
    "yellow": ("golden", "lemon-coloured"), "purple": ("violet", "lilac"), "white": ("snow-white", "ivory"),
    "plain": ("solid", "single-coloured"), "striped": ("with stripes", "banded"), "dotted": ("with dots", "spotted"),
    "checkered": ("with a checkerboard pattern", "chequered"),
}  # fmt: skip


@dataclass(frozen=True)
class Concept:
    """One of the 144: indices into SHAPES, COLOURS and TEXTURES."""

    shape: int
    colour: int
    texture: int

    @property
    def words(self) -> tuple[str, str, str]:
        """Colour, texture, shape."""
        return COLOURS[self.colour], TEXTURES[self.texture], SHAPES[self.shape]

    @property
    def name(self) -> str:
        return " ".join(self.words)

    @property
    def text(self) -> str:
        """The prompt that a text encoder is given (that of the ProbeX paper)."""
        return f"a photo of a {self.name}"

    @property
    def paraphrases(self) -> tuple[str, ...]:
        """The same in other words; none of its three words is kept."""
        found = []
        for number in range(2):
            colour, texture, shape = (OTHER_WORDS[word][number] for word in self.words)
            phrase = f"{colour} {shape} {texture}" if texture.startswith("with ") else f"{colour} {texture} {shape}"
            found.append(phrase)
        return tuple(found)


CONCEPTS: tuple[Concept, ...] = tuple(
    Concept(shape, colour, texture)
    for shape in range(len(SHAPES))
    for colour in range(len(COLOURS))
    for texture in range(len(TEXTURES))
)


def held_out(seed: int, count: int) -> frozenset[int]:
    """Indices of ``count`` concepts that no expert is trained on, drawn so that every word stays among the others."""
    dice = torch.Generator().manual_seed(7_000_003 + seed)
    while True:
        chosen = frozenset(torch.randperm(len(CONCEPTS), generator=dice)[:count].tolist())
        rest = {word for number, concept in enumerate(CONCEPTS) if number not in chosen for word in concept.words}
        if len(rest) == len(SHAPES) + len(COLOURS) + len(TEXTURES):
            return chosen


_Y, _X = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="ij")


def paint(kinds: Tensor, dice: torch.Generator) -> Tensor:
    """Pictures N x 3 x 16 x 16 in -1 to 1 of ``kinds`` (N x 3, int64: shape, colour, texture).

    Place, size, shade, ground and the texture's phase differ from picture to picture.
    """
    count = len(kinds)
    shape, colour, texture = kinds.unbind(1)
    every = torch.arange(count)

    def between(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(count, generator=dice))[:, None, None]

    centre_x, centre_y, size = between(6.5, 9.5), between(6.5, 9.5), between(4.5, 6.5)
    dx, dy = (_X - centre_x) / size, (_Y - centre_y) / size
    radius = (dx.square() + dy.square()).sqrt()
    inside = torch.stack(
        [
            radius < 1,
            (dx.abs() < 0.85) & (dy.abs() < 0.85),
            (dy.abs() < 0.9) & (dx.abs() < (dy + 1) * 0.6),
            ((dx.abs() < 0.33) | (dy.abs() < 0.33)) & (dx.abs() < 1) & (dy.abs() < 1),
            dx.abs() + dy.abs() < 1.05,
            (radius < 1.05) & (radius > 0.5),
        ],
        1,
    )[every, shape].float()[:, None]
    shift = torch.randint(0, 4, (count, 2), generator=dice).float()[..., None, None]
    x, y = (_X + shift[:, 0]).floor(), (_Y + shift[:, 1]).floor()
    lit = torch.stack(
        [torch.ones_like(x), (y % 4 < 2).float(), 1 - ((x % 3 == 0) & (y % 3 == 0)).float(), (x // 2 + y // 2) % 2], 1
    )[every, texture][:, None]
    paint_rgb = (RGB[colour] * (0.85 + 0.3 * torch.rand(count, 1, generator=dice)))[..., None, None]
    ground = 0.25 + 0.2 * torch.rand(count, 3, 1, 1, generator=dice)
    picture = inside * paint_rgb * (0.15 + 0.85 * lit) + (1 - inside) * ground
    noisy = picture + 0.02 * torch.randn(picture.shape, generator=dice)
    return noisy.clamp(0, 1) * 2 - 1
