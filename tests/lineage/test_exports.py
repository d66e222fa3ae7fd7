"""Exports read back by other tools' readers, with names that hold what each format could trip over."""

from __future__ import annotations

import csv
import io
import json
import re

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubapp.lineage.exports import CSV_COLUMNS, FORMATS, export, neutral
from hubapp.lineage.shapes import Brief, Graph, Link
from workers.errors import BadRequest
from workers.lineage.records import Relation, Source

NASTY = [
    "<script>alert(1)</script>",
    "a\"b'c&d;]]>--%%{",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(A1)",
    "-2",
    "\t=1",
    "line\nbreak\r\nend",
    "nul\x00bell\x07esc\x1b[31m\x7f",
    'back\\slash\\n\\"',
    "graph TD; end",
    "ünïcode→✓\u202e\u2028",
    "#quot; #35; %% comment",
    "]) --> x",
]


def piece(names: list[str]) -> Graph:
    """A star: the first is the parent of all others."""
    briefs = tuple(
        Brief(
            id=at,
            name=name,
            state="listed" if at % 2 else "stub",
            author=name[:100],
            licence=name[:20],
            parameters=at * 10**9,
            downloads=at,
        )
        for at, name in enumerate(names)
    )
    links = tuple(
        Link(0, at, Relation(at % 5 + 1), (Source.HUB, Source.CARD), "case", primary=bool(at % 2), standing="declared")
        for at in range(1, len(names))
    )
    return Graph(briefs, links, dict.fromkeys(range(len(names)), 0), truncated=True)


def text_of(format_: str, names: list[str]) -> str:
    return "".join(export(piece(names), format_))


_names = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6, unique=True)


def storable(name: str) -> str:
    """A name as XML can hold it at all."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", name)


@given(_names | st.just(NASTY))
@settings(deadline=None)
def test_graphml_is_read_by_networkx(names: list[str]) -> None:
    names = list(dict.fromkeys(map(storable, names)))
    graph = nx.parse_graphml(text_of("graphml", names))
    assert set(graph) == set(names)
    for name in names:
        assert graph.nodes[name]["name"] == name
    for at, name in enumerate(names[1:], 1):
        edge = graph.edges[names[0], name]
        assert edge["relation"] == Relation(at % 5 + 1).name.lower()
        assert edge["primary"] is bool(at % 2)
    assert graph.graph["truncated"] is True


@given(_names | st.just(NASTY))
@settings(deadline=None)
def test_json_is_read_by_networkx(names: list[str]) -> None:
    data = json.loads(text_of("json", names))
    graph = nx.node_link_graph(data, edges="edges")
    assert graph.is_directed()
    assert set(graph) == set(names)
    assert len(graph.edges) == len(names) - 1
    assert all(graph.edges[names[0], name]["sources"] == "hub card" for name in names[1:])


@given(_names | st.just(NASTY))
@settings(deadline=None)
def test_csv_is_read_back_and_starts_no_formula(names: list[str]) -> None:
    rows = list(csv.reader(io.StringIO(text_of("csv", names), newline="")))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert len(rows) == len(names) + 1
    for row in rows[1:]:
        assert len(row) == len(CSV_COLUMNS)
        for cell in row:
            assert not cell.lstrip().startswith(tuple("=+-@"))
            assert "\x00" not in cell
    assert [row[0].removeprefix("'") for row in rows[2:]] == [neutral(name).removeprefix("'") for name in names[1:]]


@given(_names | st.just(NASTY))
@settings(deadline=None)
def test_mermaid_has_one_statement_a_line(names: list[str]) -> None:
    lines = text_of("mermaid", names).splitlines()
    assert lines[0] == "flowchart LR"
    nodes = [re.fullmatch(r'  (n\d+)\W{1,3}"([A-Za-z0-9 /._#;-]*)"\W{1,3}', line) for line in lines[1 : len(names) + 1]]
    assert all(nodes)
    for name, match in zip(names, nodes, strict=True):
        assert match is not None
        shown = re.sub(r"#(\d+);", lambda m: chr(int(m.group(1))), match.group(2))
        assert shown == "".join(c for c in name if c.isprintable())
    for line in lines[len(names) + 1 : -1]:
        assert re.fullmatch(r"  n\d+ -\.?->\|[a-z]+\| n\d+", line) or re.fullmatch(r"  n\d+ -->\|[a-z]+\| n\d+", line)


def test_dot_is_quoted() -> None:
    text = text_of("dot", NASTY)
    for line in text.splitlines()[3:-1]:
        outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", line)
        assert re.fullmatch(r"\s*(//[\w .,:]*)?[\s\w\[\]=,;>-]*", outside), line


def test_formats() -> None:
    assert set(FORMATS) == {"graphml", "json", "mermaid", "dot", "csv"}
    with pytest.raises(BadRequest, match="svg"):
        export(piece(["a/b"]), "svg")


def test_an_empty_piece_is_a_valid_file() -> None:
    assert len(nx.parse_graphml("".join(export(Graph((), ()), "graphml")))) == 0
    assert json.loads("".join(export(Graph((), ()), "json")))["nodes"] == []
    assert "".join(export(Graph((), ()), "csv")).strip() == ",".join(CSV_COLUMNS)


def test_it_comes_in_pieces() -> None:
    assert len(list(export(piece([f"a/{i}" for i in range(500)]), "json"))) > 900
