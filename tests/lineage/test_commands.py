"""manage.py lineage and rebuildlineage."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from hubapp.lineage import queries, terminal
from hubapp.lineage.models import Node
from hubapp.lineage.remarks import WORDS, remark
from tests.factories import family_rows, row
from tests.lineage.trees import grow, learned, put, repo
from workers.lineage.records import Code, Relation

pytestmark = pytest.mark.django_db


def printed(*args: str) -> str:
    out = io.StringIO()
    call_command("lineage", *args, stdout=out)
    return out.getvalue()


@pytest.fixture
def family() -> None:
    grow(family_rows())


@pytest.mark.usefixtures("family")
class TestTree:
    def test_the_line_and_what_descends(self) -> None:
        lines = printed("acme/gpt2-chat", "--children", "3").splitlines()
        assert lines[0].startswith("★ gpt2  mit, 2022-03-02, 9.0 M downloads")
        assert lines[1].startswith("└─● acme/gpt2-chat  apache-2.0")
        assert any(line.startswith("  ├─◆ acme/gpt2-chat-lora") for line in lines)
        assert any("+ 12 more adapters, most from many" in line for line in lines)
        assert any("▲ mixer/gpt2-chat-medical" in line for line in lines)
        assert any("dirty/wrong-case  case repaired" in line and "! Wrong case" in line for line in lines)

    def test_findings_in_words(self) -> None:
        text = printed("dirty/orphan")
        assert text.startswith("☆ lost/base-of-old  never read")
        assert "Parent not known: Its declared parent lost/base-of-old is not among the models" in text

    def test_another_parent_is_shown(self) -> None:
        assert "also from ▲ acme/gpt2-medical" in printed("mixer/gpt2-chat-medical")

    def test_up_and_down(self) -> None:
        assert "many/child" not in printed("acme/gpt2-chat", "--up")
        assert "★ gpt2" not in printed("acme/gpt2-chat", "--down")

    def test_old_spellings_and_addresses_are_understood(self) -> None:
        for name in ("ACME/gpt2-CHAT", "https://huggingface.co/acme/gpt2-chat"):
            assert "acme/gpt2-chat" in printed(name)

    def test_unknown_models_with_near_names(self) -> None:
        with pytest.raises(CommandError, match=r"Did you mean acme/gpt2-chat"):
            printed("acme/gpt2-chta")
        with pytest.raises(CommandError, match="crawl model"):
            printed("quite/different")

    @pytest.mark.parametrize("format_", ["graphml", "json", "mermaid", "dot", "csv"])
    def test_formats(self, format_: str) -> None:
        text = printed("acme/gpt2-chat", "--format", format_, "--depth", "1")
        assert "acme/gpt2-chat-lora" in text
        assert "gpt2" in text

    def test_json_holds_both_directions(self) -> None:
        data = json.loads(printed("acme/gpt2-chat", "--format", "json"))
        names = {node["id"] for node in data["nodes"]}
        assert {"gpt2", "acme/gpt2-chat", "acme/gpt2-chat-lora"} <= names

    def test_in_colours_and_in_ascii(self) -> None:
        key = repo("acme/gpt2-chat").pk
        drawing = terminal.Drawing(
            queries.line(key), queries.neighbourhood(key), {}, terminal.Style(colour=True, ascii_only=True)
        )
        text = "\n".join(terminal.lines(drawing))
        assert text.isascii()
        assert "\x1b[38;5;32m*\x1b[0m" in text

    def test_rebuilding_repairs_and_otherwise_changes_nothing(self) -> None:
        before = learned()
        out = io.StringIO()
        call_command("rebuildlineage", stdout=out, stderr=io.StringIO())
        assert learned() == before
        assert "families" in out.getvalue()
        Node.objects.filter(repo=repo("gpt2")).update(descendants=7, adapters=3)
        Node.objects.filter(repo=repo("chain/step-4")).delete()
        assert learned() != before
        call_command("rebuildlineage", places_only=True, stdout=out, stderr=io.StringIO())
        assert learned() == before


def test_names_can_not_steer_the_terminal() -> None:
    style = terminal.Style(colour=True)
    assert "\x1b" not in style.clean("a/\x1b[2Jb\r\n")


@pytest.mark.parametrize(
    ("number", "said"), [(7, "7"), (999, "999"), (1_204, "1.2 k"), (52_000, "52 k"), (9_000_000, "9.0 M")]
)
def test_numbers_as_people_say_them(number: int, said: str) -> None:
    assert terminal.short(number) == said


def test_every_code_has_words_that_can_be_filled() -> None:
    assert set(WORDS) == set(Code)
    for code in Code:
        words = remark(code=code.value, name="a/b", subject="x/y", detail={})
        assert words.title
        assert "{" not in words.sentence
    assert remark(code="of_tomorrow", name="a/b", subject="s", detail={}).title == "Of tomorrow"


def test_a_merge_of_many_and_a_parent_of_thousands() -> None:
    parents = [f"p/m{i}" for i in range(65)]
    put([row(name, created="2023-01-01T00:00:00.000Z") for name in parents])
    grow(
        [
            row("m/erge", *parents, relation="merge"),
            *(row(f"c/c{i}", "p/m0", relation="quantized") for i in range(1200)),
        ]
    )
    text = printed("m/erge")
    assert text.count("also from") == 64
    assert "+ 1.2 k more quantized" in printed("p/m0")
    counts = queries.relation_counts(repo("p/m0"))
    assert counts.by_relation()[Relation.QUANTIZED] == 1200
