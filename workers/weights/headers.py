"""The header of a safetensors file, read by a parser that takes this one shape and nothing else.

safetensors: eight bytes (the header's length, little-endian), a JSON object ``{name: {dtype, shape, data_offsets}}``
with perhaps ``__metadata__`` (text → text), then the tensors without holes. A general JSON parser builds whatever a
hostile header asks for before anything can be checked (93 MB cost 4.4 s and 1.33 GB); this one keeps one tensor at a
time, and stops at the first thing that does not belong.
"""

from __future__ import annotations

import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from math import prod
from typing import Any

from workers.errors import BadWeights
from workers.weights.dtypes import BITS, nbytes
from workers.weights.records import Tensor

PREFIX = 8  # bytes that tell the header's length
HEADER_BYTES = 16 * 1024 * 1024  # 97% of all headers are under 100 kB; 100,000 tensors take some 12 MB
TENSORS = 200_000  # of one file
MODEL_TENSORS = 400_000  # of all files of a model; the largest mixtures of experts have some 140,000
RANK = 16
SIDE = 2**40
NAME = 512  # characters
METADATA_BYTES = 4 * 1024 * 1024  # training tools write their tag statistics there
METADATA_KEPT = 2_000  # characters of a value that are kept
METADATA_KEYS = 2_000
FILE_BYTES = 2**47

_SPACE = re.compile(r"[ \t\n\r]*+")
# Nearly every writer puts the three fields in this order.
_USUAL = re.compile(
    r'\{"dtype":"([A-Z0-9_]{1,16})","shape":\[((?:\d{1,15}(?:,\d{1,15}){0,15}+)?+)\],'
    r'"data_offsets":\[(\d{1,16}),(\d{1,16})\]\}',
    re.ASCII,
)
_FIELD = re.compile(r'"(dtype|shape|data_offsets)"[ \t\n\r]*+:[ \t\n\r]*+', re.ASCII)
_KIND = re.compile(r'"([A-Za-z0-9_]{1,16})"', re.ASCII)
_LIST = re.compile(r"\[[ \t\n\r]*+((?:\d{1,16}[ \t\n\r]*+(?:,[ \t\n\r]*+\d{1,16}[ \t\n\r]*+){0,63}+)?+)\]", re.ASCII)
_STEPS_OUT = re.compile(r"(?:^|[/\\])\.\.?(?:[/\\]|$)")


def header_length(prefix: bytes, *, file: str, size: int) -> int:
    """The header's length from a file's first eight bytes. Raises BadWeights where it can't be so."""
    if len(prefix) < PREFIX or size < PREFIX + 2:
        raise BadWeights(f"{file} has {min(len(prefix), size)} bytes: too short to be safetensors.")
    length = int.from_bytes(prefix[:PREFIX], "little")
    if length > HEADER_BYTES:
        raise BadWeights(
            f"The header of {file} is said to be {length:,} bytes long; at most {HEADER_BYTES:,} are read."
        )
    if length < 2 or PREFIX + length > size:
        raise BadWeights(f"The header of {file} is said to be {length:,} bytes long, in a file of {size:,}.")
    return length


def parse(header: bytes, *, file: str, size: int) -> tuple[list[Tensor], dict[str, str]]:
    """(tensors in the order of their bytes, metadata) of a whole header.

    ``size`` is that of the file: the tensors must fill it exactly. Raises BadWeights naming the file, and the tensor
    where it is one. Time and memory are linear in the header's length, which ``header_length`` bounds.
    """
    start = PREFIX + len(header)
    try:
        text = header.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadWeights(f"The header of {file} is no UTF-8 (byte {error.start:,}).") from None
    tensors, metadata = _Parser(text, file, start).run()
    tensors.sort(key=lambda tensor: (tensor.start, tensor.end))
    at = start
    for tensor in tensors:
        if tensor.start != at:
            what = (
                "overlaps the one before it" if tensor.start < at else f"leaves a hole of {tensor.start - at:,} bytes"
            )
            raise BadWeights(f"{file}: the tensor {_shown(tensor.name)} {what}.")
        at = tensor.end
    if at != size:
        what = f"{at - size:,} bytes are missing" if at > size else f"{size - at:,} bytes belong to no tensor"
        raise BadWeights(f"{file} is {size:,} bytes long: {what}.")
    return tensors, metadata


def check_name(name: str, file: str) -> None:
    """Refuse names that no training code writes and that could do harm where a name is shown or becomes a path."""
    if not name or len(name) > NAME:
        raise BadWeights(f"{file}: the name of a tensor has {len(name):,} characters; 1 to {NAME} are taken.")
    if not name.isprintable():
        raise BadWeights(f"{file}: the tensor name {_shown(name)} holds characters that can't be printed.")
    if name[0] in "/\\~" or _STEPS_OUT.search(name):
        raise BadWeights(f"{file}: the tensor name {_shown(name)} is a path.")


def check_shape(name: str, shape: tuple[int, ...], file: str) -> None:
    """Refuse ranks and sides beyond all that exists; a side of 0 is one of an empty tensor, and no wild one then."""
    if len(shape) > RANK:
        raise BadWeights(f"{file}: the tensor {_shown(name)} has rank {len(shape)}; at most {RANK} is taken.")
    if any(side > SIDE for side in shape) or prod(side or 1 for side in shape) > FILE_BYTES:
        raise BadWeights(f"{file}: the tensor {_shown(name)} has a shape beyond all bounds.")


def _shown(name: str) -> str:
    return ascii(name[:80])


class _Parser:
    """One pass over the text of a header."""

    def __init__(self, text: str, file: str, start: int) -> None:
        self.text, self.file, self.start = text, file, start
        self.at = 0
        self.tensors: list[Tensor] = []
        self.metadata: dict[str, str] | None = None

    def run(self) -> tuple[list[Tensor], dict[str, str]]:
        if not self.text.startswith("{"):
            raise self._wrong("does not begin with '{'")
        self.at = 1
        names: set[str] = set()
        if not self._closes():
            while True:
                name = self._string("a name")
                self._colon()
                if name == "__metadata__":
                    if self.metadata is not None:
                        raise self._wrong("has __metadata__ twice")
                    self.metadata = self._texts()
                else:
                    if name in names:
                        raise self._wrong(f"names the tensor {_shown(name)} twice")
                    names.add(name)
                    check_name(name, self.file)
                    self._tensor(name)
                    if len(self.tensors) > TENSORS:
                        raise self._wrong(f"names over {TENSORS:,} tensors, the most that are taken of one file")
                if self._closes():
                    break
                self._comma()
        if self.text[self.at :].strip(" \t\n\r"):
            raise self._wrong("goes on after its end")
        return self.tensors, self.metadata or {}

    # --- parts ------------------------------------------------------------------------------------------------------
    def _tensor(self, name: str) -> None:
        found = _USUAL.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
            dtype, sides, begin, end = found.groups()
            self._keep(name, dtype, tuple(map(int, sides.split(","))) if sides else (), int(begin), int(end))
            return
        told = self._fields(name)
        if len(told) != 3:
            missing = sorted({"dtype", "shape", "data_offsets"} - set(told))
            raise self._wrong(f"gives no {missing[0]} for {_shown(name)}")
        if len(told["data_offsets"]) != 2:
            raise self._wrong(f"gives {len(told['data_offsets'])} data_offsets for {_shown(name)}")
        self._keep(name, told["dtype"], told["shape"], *told["data_offsets"])

    def _fields(self, name: str) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if self._next() != "{":
            raise self._wrong(f"says something else than {{dtype, shape, data_offsets}} of {_shown(name)}")
        self.at += 1
        while True:
            self._skip()
            field = _FIELD.match(self.text, self.at)
            if field is None:
                raise self._wrong(f"says something else than dtype, shape and data_offsets of {_shown(name)}")
            key = field[1]
            if key in told:
                raise self._wrong(f"gives {key} of {_shown(name)} twice")
            value = (_KIND if key == "dtype" else _LIST).match(self.text, field.end())
            if value is None:
                raise self._wrong(f"gives a {key} of {_shown(name)} that can't be read")
            self.at = value.end()
            numbers = value[1].split(",") if key != "dtype" and value[1].strip() else []
            told[key] = value[1] if key == "dtype" else tuple(map(int, numbers))
            if self._closes():
                return told
            self._comma()

    def _keep(self, name: str, dtype: str, shape: tuple[int, ...], begin: int, end: int) -> None:
        if dtype not in BITS:
            raise self._wrong(f"gives the tensor {_shown(name)} the unknown dtype {_shown(dtype)}")
        check_shape(name, shape, self.file)
        if end > FILE_BYTES or begin > end:
            raise self._wrong(f"has the tensor {_shown(name)} end before it begins, or beyond all bounds")
        wanted = nbytes(dtype, prod(shape))
        if end - begin != wanted:
            raise self._wrong(
                f"gives {end - begin:,} bytes to {_shown(name)}, whose {dtype} {list(shape)} takes {wanted:,}"
            )
        self.tensors.append(Tensor(name, dtype, shape, self.file, self.start + begin, self.start + end))

    def _texts(self) -> dict[str, str]:
        """``__metadata__``: text → text, long values cut."""
        if self._next() != "{":
            raise self._wrong("has __metadata__ that is no object")
        self.at += 1
        began = self.at
        found: dict[str, str] = {}
        if self._closes():
            return found
        while True:
            key = self._string("a key of __metadata__")
            self._colon()
            value = self._string("a value of __metadata__")
            if key in found:
                raise self._wrong(f"has the key {_shown(key)} of __metadata__ twice")
            if self.at - began > METADATA_BYTES or len(found) >= METADATA_KEYS:
                raise self._wrong(f"has __metadata__ over {METADATA_BYTES:,} characters or {METADATA_KEYS:,} keys")
            found[_clean(key)[:NAME]] = _clean(value[:METADATA_KEPT])
            if self._closes():
                return found
            self._comma()

    # --- letters ----------------------------------------------------------------------------------------------------
    def _skip(self) -> None:
        self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]

    def _next(self) -> str:
        self._skip()
        return self.text[self.at : self.at + 1]

    def _closes(self) -> bool:
        if self._next() != "}":
            return False
        self.at += 1
        return True

    def _comma(self) -> None:
        if self._next() != ",":
            raise self._wrong("is broken: a ',' or '}' is missing")
        self.at += 1

    def _colon(self) -> None:
        if self._next() != ":":
            raise self._wrong("is broken: a ':' is missing")
        self.at += 1

    def _string(self, what: str) -> str:
        if self._next() != '"':
            raise self._wrong(f"is broken: {what} is missing")
        try:
            found, self.at = scanstring(self.text, self.at + 1, True)
        except ValueError as error:
            raise self._wrong(f"is broken: {what} can't be read ({str(error)[:80]})") from None
        return str(found)

    def _wrong(self, what: str) -> BadWeights:
        return BadWeights(f"The header of {self.file} {what} (character {self.at:,}).")


def _clean(text: str) -> str:
    """Without what no database takes."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
