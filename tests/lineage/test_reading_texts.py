"""What authors write where a parent should be named, and what it is read as."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.lineage.records import Source, TextKind
from workers.lineage.rules import fold, is_repo_id, read, target_of

READ = {
    "gpt2": ("gpt2", TextKind.BARE),
    "meta-llama/Meta-Llama-3-8B": ("meta-llama/Meta-Llama-3-8B", TextKind.ID),
    "LeroyDyer/_Spydaz_Web": ("LeroyDyer/_Spydaz_Web", TextKind.ID),
    "chrisjcundy/insecure.jsonl_": ("chrisjcundy/insecure.jsonl_", TextKind.ID),
    "org/name/": ("org/name", TextKind.ID),
    " org/name\n": ("org/name", TextKind.ID),
    '"org/name"': ("org/name", TextKind.ID),
    "`org/name`": ("org/name", TextKind.ID),
    "https://huggingface.co/org/name": ("org/name", TextKind.ID),
    "http://www.huggingface.co/org/name/": ("org/name", TextKind.ID),
    "https://huggingface.co/org/name/blob/main/README.md": ("org/name", TextKind.ID),
    "https://huggingface.co/org/name/tree/main?x=1#top": ("org/name", TextKind.ID),
    "https://hf.co/gpt2": ("gpt2", TextKind.BARE),
    "huggingface.co/org/name": ("org/name", TextKind.ID),
    "hf://org/name": ("org/name", TextKind.ID),
    "https://huggingface.co/models/org/name": ("org/name", TextKind.ID),
    "org/name@main": ("org/name", TextKind.ID),
    "org/name:latest": ("org/name", TextKind.ID),
    "org/name/blob/main/config.json": ("org/name", TextKind.ID),
    '<a href="https://huggingface.co/org/name">name</a>': ("org/name", TextKind.ID),
    "[name](https://huggingface.co/org/name)": ("org/name", TextKind.ID),
    "<b>org/name</b>": ("org/name", TextKind.ID),
    "\u201corg/name\u201d": ("org/name", TextKind.ID),
    "org/na\x00me": ("org/name", TextKind.ID),
    "datasets/squad": ("", TextKind.NOT_MODEL),
    "https://huggingface.co/datasets/org/data": ("", TextKind.NOT_MODEL),
    "https://huggingface.co/spaces/org/app": ("", TextKind.NOT_MODEL),
    "https://github.com/org/name": ("", TextKind.URL),
    "https://huggingface.co.evil.example/org/name": ("", TextKind.URL),
    "s3://bucket/model": ("", TextKind.URL),
    "./results": ("", TextKind.LOCAL),
    "../model": ("", TextKind.LOCAL),
    "/home/me/llama": ("", TextKind.LOCAL),
    "~/models/llama": ("", TextKind.LOCAL),
    "C:\\models\\llama": ("", TextKind.LOCAL),
    "D:/models/llama": ("", TextKind.LOCAL),
    "out\\model": ("", TextKind.LOCAL),
    "results/run1/checkpoint-500": ("", TextKind.LOCAL),
    "models/llama/7b": ("", TextKind.LOCAL),
    "checkpoint-500": ("", TextKind.LOCAL),
    "org/model-checkpoint-500": ("org/model-checkpoint-500", TextKind.ID),
    "org/checkpoint-500": ("", TextKind.LOCAL),
    "/content/drive/MyDrive/model": ("", TextKind.LOCAL),
    "llama-7b.safetensors": ("", TextKind.LOCAL),
    "a/b/c/d": ("", TextKind.LOCAL),
    "[More Information Needed]": ("", TextKind.PLACEHOLDER),
    "None": ("", TextKind.PLACEHOLDER),
    "N/A": ("", TextKind.PLACEHOLDER),
    "custom": ("", TextKind.PLACEHOLDER),
    "mergekit": ("", TextKind.PLACEHOLDER),
    "": ("", TextKind.PLACEHOLDER),
    "Llama 3 8B": ("", TextKind.JUNK),
    "anthracite-org/magnum-": ("", TextKind.JUNK),
    "org/na--me": ("", TextKind.JUNK),
    "-org/name": ("", TextKind.JUNK),
    "org/.name": ("", TextKind.JUNK),
    "42": ("", TextKind.JUNK),
    "a" * 97 + "/name": ("", TextKind.JUNK),
    "org/" + "n" * 97: ("", TextKind.JUNK),
}


@pytest.mark.parametrize(("text", "expected"), READ.items())
def test_texts_of_real_cards(text: str, expected: tuple[str, TextKind]) -> None:
    reading = read(text)
    assert (reading.target, reading.kind) == expected
    assert reading.cleaned == bool(reading.target and reading.target != text)


@given(st.text(max_size=80))
def test_anything_is_read_as_a_valid_id_or_as_none(text: str) -> None:
    reading = read(text)
    assert reading.target == "" or is_repo_id(reading.target)
    assert bool(reading.target) == (reading.kind in (TextKind.ID, TextKind.BARE))
    assert target_of(text, Source.CARD) == fold(reading.target)


_part = st.from_regex(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,20}[A-Za-z0-9_])?", fullmatch=True)


@given(
    st.tuples(_part, _part).map("/".join), st.sampled_from(["{}", "https://huggingface.co/{}", " {} ", "{}/", '"{}"'])
)
def test_a_valid_id_survives_its_wrapping(name: str, wrapping: str) -> None:
    plain = read(name)
    if plain.kind == TextKind.ID:
        assert read(wrapping.format(name)).target == name


def test_what_the_hub_itself_calls_a_model_is_one() -> None:
    assert target_of("org/checkpoint-500", Source.HUB) == "org/checkpoint-500"
    assert target_of("org/checkpoint-500", Source.CARD) == ""
    assert target_of("./x", Source.HUB) == ""
