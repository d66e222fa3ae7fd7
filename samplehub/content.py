"""What a hub can hold: its own collection, the collection and a zoo, a replay of rows, generated rows."""

from __future__ import annotations

from pathlib import Path

from samplehub.listing import Shelf


class ContentError(ValueError):
    """A content that cannot be loaded: unknown name, unreadable file, or a row that is wrong, with its place."""


def load(text: str) -> Shelf:
    """``collection``, ``zoo[:FOLDER]``, ``replay:FILE[,FILE…]`` or ``generated:N[:SEED]``. Raises ContentError."""
    kind, _, rest = text.partition(":")
    if kind == "collection" and not rest:
        from samplehub import collection

        return collection.load()
    if kind == "zoo":
        from samplehub.zoo import pack

        try:
            return pack.load(Path(rest).expanduser() if rest else pack.FOLDER)
        except pack.PackError as error:
            raise ContentError(str(error)) from None
    if kind == "replay" and rest:
        from samplehub import replay

        return replay.load([name for name in rest.split(",") if name])
    if kind == "generated" and rest:
        from samplehub.generator import shelf

        count, _, seed = rest.partition(":")
        if not count.isdecimal() or int(count) < 1 or (seed and not seed.isdecimal()):
            raise ContentError(f"content {text!r}: expected generated:N or generated:N:SEED, whole numbers, N above 0")
        return shelf.load(int(count), int(seed or 0))
    known = "collection, zoo[:FOLDER], replay:FILE[,FILE…] or generated:N[:SEED]"
    raise ContentError(f"unknown content {text!r}: expected {known}")
