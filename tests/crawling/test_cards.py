"""Cards: what is kept of them is plain text, and what they say of descent is found."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from workers.crawling import cards
from workers.lineage.records import Declared, Relation, Source

CARD = """---
license: mit
base_model: someone/else
---

<!-- made by a machine -->
# My **merge**

![badge](https://example.org/x.png) A [merge](https://example.org) of `two` models.

<script>alert(1)</script>

| a | b |
|---|---|
| 1 | 2 |

```yaml
models:
  - model: org/first
  - model: org/second+org/lora
merge_method: slerp
base_model: org/base
```
"""


def test_a_card_gives_prose_and_descent() -> None:
    found = cards.card_of(1, "abc", CARD.encode(), b'{"base_model_name_or_path": "./local/path"}')
    assert found.excerpt == "My merge A merge of two models."
    assert found.length == len(CARD)
    names = {(d.source, d.text) for d in found.declared}
    assert {(Source.MERGEKIT, "org/base"), (Source.MERGEKIT, "org/first"), (Source.MERGEKIT, "org/lora")} <= names
    assert Declared(Source.ADAPTER_CONFIG, "./local/path", Relation.ADAPTER) in found.declared
    assert Source.CARD not in {d.source for d in found.declared}


def test_no_card_and_an_unreadable_configuration() -> None:
    found = cards.card_of(1, "abc", None, b"[not json")
    assert (found.length, found.excerpt, found.declared) == (None, "", ())
    assert [code for code, _ in found.oddities] == ["file.adapter_config"]


def test_aliases_and_endless_yaml_are_not_read() -> None:
    bomb = "---\na: &a [x, x]\nb: [*a, *a]\n---\ntext"
    assert cards.card_of(1, "", bomb.encode(), None).excerpt == "text"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400), st.none() | st.binary(max_size=100))
def test_no_file_raises(card: bytes, config: bytes | None) -> None:
    found = cards.card_of(1, "", card, config)
    assert len(found.excerpt) <= cards.EXCERPT
    assert "\x00" not in found.excerpt
