"""Folding, phrases and distances: what a typed query means, before any database is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.searching.rules import TEXT, deletions, distance, fold, matches, phrases

NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,20}(/[A-Za-z0-9._-]{1,40})?", fullmatch=True)


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", " meta llama llama 3 1 8 b instruct "),
        ("gpt2", " gpt 2 "),
        ("Qwen/Qwen2.5_7B", " qwen qwen 2 5 7 b "),
        ("--", ""),
        ("", ""),
        ("café/Señor", " cafe senor "),
        ("\uff26\uff35\uff2c\uff2cwidth", " fullwidth "),
        ("用户/模型7b", " 用户 模型 7 b "),
        ('"; DROP TABLE--%_\0', " drop table "),
        ("\ud800x", " x "),
    ],
)
def test_fold(name: str, folded: str) -> None:
    assert fold(name) == folded


@given(st.text(max_size=400))
def test_folding_twice_changes_nothing_and_leaves_only_words_and_blanks(text: str) -> None:
    folded = fold(text)
    assert fold(folded) == folded
    assert len(folded) <= TEXT
    assert "  " not in folded
    assert not set(folded) & set("%_\\'\"*()\0\n\t")
    folded.encode()


@given(NAMES)
def test_every_name_is_found_by_itself_in_any_case_and_by_each_of_its_words(name: str) -> None:
    text = fold(name)
    for query in (name, name.upper(), name.replace("/", " "), text):
        assert matches(text, phrases(query)), query


@pytest.mark.parametrize(
    ("query", "name", "found"),
    [
        ("llama3", "meta-llama/Llama-3.1-8B", True),
        ("llama 3.1", "meta-llama/Llama-3.1-8B", True),
        ("8b", "meta-llama/Llama-3.1-8B", True),
        ("8b", "org/model-18b", False),
        ("8b", "org/model-8bit", False),
        ("8b instruct", "org/x-8B-instruct", True),
        ("qw", "Qwen/Qwen2", True),
        ("we", "Qwen/Qwen2", False),
        ("wen", "Qwen/Qwen2", True),
        ("coder", "bigcode/starcoder2", True),
        ("3 llama", "org/llama-30b", False),
        ("llama 3", "org/llama-30b", True),  # perhaps still being typed
        ("instruct llama", "org/Llama-Instruct", True),
        ("llama instruct x", "org/Llama-Instruct", False),
        ("distil bert", "distilbert-base", True),
    ],
)
def test_what_a_query_finds(query: str, name: str, found: bool) -> None:
    assert matches(fold(name), phrases(query)) is found


def test_a_query_without_letters_or_digits_asks_for_nothing() -> None:
    assert phrases(' % _ "" * -- ') == ()
    assert len(phrases(" ".join(f"word{'abcdefghijklmnopqrstuvwxyz'[i]}{i}" for i in range(26)))) <= 12


@pytest.mark.parametrize(
    ("one", "other", "edits"),
    [
        ("mistral", "mistral", 0),
        ("mistrl", "mistral", 1),
        ("misrtal", "mistral", 1),
        ("mistrall", "mistral", 1),
        ("mixtral", "mistral", 1),
        ("lamma", "llama", 2),
        ("gemma", "llama", 3),
        ("a", "abcdef", 3),
        ("", "ab", 2),
    ],
)
def test_distance(one: str, other: str, edits: int) -> None:
    assert distance(one, other) == distance(other, one) == edits


@given(st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_words_one_edit_apart_share_a_deletion(one: str, other: str) -> None:
    if distance(one, other) <= 1:
        assert deletions(one) & deletions(other)
