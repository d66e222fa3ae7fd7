"""A piece of the graph in the formats of other tools, each escaped by its own format's rules, as a stream of text.

Names are untrusted: they may hold markup, quotes, formulas and control characters.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from hubapp.lineage.shapes import Brief, Graph, Link, Neighbourhood
from workers.errors import BadRequest
from workers.lineage.records import Relation

Piece = Graph | Neighbourhood

RELATION_WORDS = {relation: relation.name.lower() for relation in Relation}
_SHAPES = {  # LOOK's symbols, in Mermaid's and Graphviz' words
    Relation.FINETUNE: ("([", "])", "ellipse"),
    Relation.ADAPTER: ("{", "}", "diamond"),
    Relation.QUANTIZED: ("[", "]", "box"),
    Relation.MERGE: ("[/", "\\]", "triangle"),
    Relation.UNKNOWN: ("(", ")", "oval"),
}
_COLOURS = {  # of Okabe and Ito
    Relation.FINETUNE: "#0072B2",
    Relation.ADAPTER: "#009E73",
    Relation.QUANTIZED: "#E69F00",
    Relation.MERGE: "#CC79A7",
    Relation.UNKNOWN: "#767676",
}


def export(piece: Piece, format: str) -> Iterator[str]:  # noqa: A002 - the API's own word
    """``piece`` in one of ``FORMATS``, piece by piece. Raises BadRequest for another."""
    try:
        writer = _WRITERS[format]
    except KeyError:
        raise BadRequest(f"There is no export as {format[:40]!r}: choose one of {', '.join(FORMATS)}.") from None
    return writer(piece)


def attributes(brief: Brief) -> dict[str, str | int]:
    """What an export says of a model: flat, the same in every format. Unknown things are left out."""
    values: dict[str, str | int | None] = {
        "name": brief.name,
        "state": brief.state,
        "author": brief.author,
        "created": brief.created_at.date().isoformat() if brief.created_at else "",
        "task": brief.task,
        "library": brief.library,
        "licence": brief.licence,
        "parameters": brief.parameters,
        "downloads": brief.downloads if brief.known else None,
        "likes": brief.likes if brief.known else None,
        "depth": brief.depth,
        "descendants": brief.descendants,
        "findings": brief.findings,
    }
    return {key: value for key, value in values.items() if value not in (None, "")}


def edge_attributes(link: Link) -> dict[str, str | bool]:
    """What an export says of an edge."""
    values: dict[str, str | bool] = {
        "relation": RELATION_WORDS[link.relation],
        "sources": " ".join(source.name.lower() for source in link.sources),
        "primary": link.primary,
        "standing": link.standing,
    }
    if link.verdict:
        values["weights"] = link.verdict
    if link.repaired:
        values["repaired"] = link.repaired
    return values


def _ends(piece: Piece) -> dict[int, Brief]:
    return {brief.id: brief for brief in piece.nodes}


def _truncated(piece: Piece) -> bool:
    return piece.truncated


# --- GraphML --------------------------------------------------------------------------------------------------------
# XML 1.0 can't hold these, not even as references.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TYPES: dict[type, str] = {str: "string", int: "long", bool: "boolean"}


def _xml(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text)).replace("\r", "&#13;")


def _xml_attribute(text: str) -> str:
    return quoteattr(_NOT_XML.sub("\ufffd", text), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _graphml(piece: Piece) -> Iterator[str]:
    """GraphML 1.0; nodes are called by their names, which are unique."""
    node_keys = {
        "name": str,
        "state": str,
        "author": str,
        "created": str,
        "task": str,
        "library": str,
        "licence": str,
        "parameters": int,
        "downloads": int,
        "likes": int,
        "depth": int,
        "descendants": int,
        "findings": int,
    }
    edge_keys = {
        "relation": str,
        "sources": str,
        "primary": bool,
        "standing": str,
        "weights": str,
        "repaired": str,
    }
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
    for kind, keys in (("node", node_keys), ("edge", edge_keys)):
        for key, type_ in keys.items():
            yield f'  <key id="{kind}_{key}" for="{kind}" attr.name="{key}" attr.type="{_TYPES[type_]}"/>\n'
    yield '  <key id="graph_truncated" for="graph" attr.name="truncated" attr.type="boolean"/>\n'
    yield '  <graph edgedefault="directed">\n'
    yield f'    <data key="graph_truncated">{str(_truncated(piece)).lower()}</data>\n'
    ends = _ends(piece)
    for brief in piece.nodes:
        yield f"    <node id={_xml_attribute(brief.name)}>"
        for key, value in attributes(brief).items():
            yield f'<data key="node_{key}">{_xml(str(value))}</data>'
        yield "</node>\n"
    for link in piece.links:
        source, target = ends[link.parent_id].name, ends[link.child_id].name
        yield f"    <edge source={_xml_attribute(source)} target={_xml_attribute(target)}>"
        for key, flag in edge_attributes(link).items():
            text = str(flag).lower() if isinstance(flag, bool) else _xml(flag)
            yield f'<data key="edge_{key}">{text}</data>'
        yield "</edge>\n"
    yield "  </graph>\n</graphml>\n"


# --- JSON -----------------------------------------------------------------------------------------------------------
def _json(piece: Piece) -> Iterator[str]:
    """Node-link JSON, as ``networkx.node_link_graph(data, edges="edges")`` reads it."""
    ends = _ends(piece)
    head = {"directed": True, "multigraph": False, "graph": {"truncated": _truncated(piece)}}
    yield json.dumps(head)[:-1] + ', "nodes": [\n'
    for at, brief in enumerate(piece.nodes):
        yield (",\n" if at else "") + json.dumps({"id": brief.name, **attributes(brief)})
    yield '\n], "edges": [\n'
    for at, link in enumerate(piece.links):
        both: dict[str, Any] = {"source": ends[link.parent_id].name, "target": ends[link.child_id].name}
        yield (",\n" if at else "") + json.dumps({**both, **edge_attributes(link)})
    yield "\n]}\n"


# --- Mermaid --------------------------------------------------------------------------------------------------------
_PLAIN = re.compile(r"[A-Za-z0-9 /._-]")


def _mermaid_text(text: str) -> str:
    """Mermaid's own escapes: #code; for all that could end a label or begin markup."""
    return "".join(c if _PLAIN.match(c) else f"#{ord(c)};" for c in text if c.isprintable())


def _mermaid(piece: Piece) -> Iterator[str]:
    """A Mermaid flow chart, from left to right; the shapes are those of the relation to the primary parent."""
    yield "flowchart LR\n"
    relation = _own_relations(piece)
    number = {brief.id: f"n{at}" for at, brief in enumerate(piece.nodes)}
    for brief in piece.nodes:
        own = relation.get(brief.id)
        before, after = _SHAPES[own][:2] if own else ("{{", "}}")
        yield f'  {number[brief.id]}{before}"{_mermaid_text(brief.name)}"{after}\n'
    for link in piece.links:
        sure = link.standing in ("declared", "confirmed")
        arrow = "-.->" if not sure or not link.primary else "==>" if link.standing == "confirmed" else "-->"
        word = RELATION_WORDS[link.relation]
        yield f"  {number[link.parent_id]} {arrow}|{word}| {number[link.child_id]}\n"
    if _truncated(piece):
        yield "  %% There is more than this: the nearest are shown.\n"


def _own_relations(piece: Piece) -> dict[int, Relation]:
    own: dict[int, Relation] = {}
    for link in piece.links:
        if link.primary or link.child_id not in own:
            own[link.child_id] = link.relation
    return own


# --- DOT ------------------------------------------------------------------------------------------------------------
def _dot_text(text: str) -> str:
    """A quoted DOT string: only the quote and the backslash mean something in it; labels take no other escape."""
    clean = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return '"' + clean.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _dot(piece: Piece) -> Iterator[str]:
    """Graphviz DOT, from left to right."""
    yield 'digraph lineage {\n  rankdir=LR;\n  node [fontname="sans-serif"];\n'
    if _truncated(piece):
        yield "  // There is more than this: the nearest are here.\n"
    own = _own_relations(piece)
    ends = _ends(piece)
    for brief in piece.nodes:
        relation = own.get(brief.id)
        shape = _SHAPES[relation][2] if relation else "star"
        style = "" if brief.known else ", style=dashed"
        colour = f', color="{_COLOURS[relation]}"' if relation else ""
        yield f"  {_dot_text(brief.name)} [shape={shape}{colour}{style}];\n"
    for link in piece.links:
        style = "solid" if link.primary else "dashed"
        style = "bold" if link.standing == "confirmed" and link.primary else style
        style = style if link.standing in ("declared", "confirmed") else "dotted"
        yield (
            f"  {_dot_text(ends[link.parent_id].name)} -> {_dot_text(ends[link.child_id].name)} "
            f'[label="{RELATION_WORDS[link.relation]}", color="{_COLOURS[link.relation]}", style={style}];\n'
        )
    yield "}\n"


# --- CSV ------------------------------------------------------------------------------------------------------------
_FORMULA = tuple("=+-@\t\r\n|%")


def neutral(value: object) -> str:
    """A cell that no spreadsheet takes for a formula: what could begin one is led by an apostrophe (OWASP)."""
    text = "".join(c if c.isprintable() or c in "\t\n\r" else "\ufffd" for c in str(value)).replace("\x00", "")
    return "'" + text if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


CSV_COLUMNS = (
    "child",
    "parent",
    "relation",
    "primary",
    "standing",
    "weights",
    "sources",
    "repaired",
    "child_state",
    "child_created",
    "child_licence",
    "child_downloads",
    "parent_state",
)


def _csv(piece: Piece) -> Iterator[str]:
    """One line for each edge, and one without a parent for each model that no edge here leads to."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)

    def flush() -> str:
        text = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return text

    writer.writerow(CSV_COLUMNS)
    ends = _ends(piece)
    has_parent = {link.child_id for link in piece.links}
    for brief in piece.nodes:
        if brief.id not in has_parent:
            writer.writerow(map(neutral, _csv_row(brief, None, None)))
            yield flush()
    for link in piece.links:
        writer.writerow(map(neutral, _csv_row(ends[link.child_id], link, ends[link.parent_id])))
        yield flush()
    yield flush()


def _csv_row(child: Brief, link: Link | None, parent: Brief | None) -> list[object]:
    return [
        child.name,
        parent.name if parent else "",
        RELATION_WORDS[link.relation] if link else "",
        ("yes" if link.primary else "no") if link else "",
        link.standing if link else "",
        link.verdict if link else "",
        " ".join(s.name.lower() for s in link.sources) if link else "",
        link.repaired if link else "",
        child.state,
        child.created_at.date().isoformat() if child.created_at else "",
        child.licence,
        child.downloads if child.known else "",
        parent.state if parent else "",
    ]


_WRITERS: dict[str, Callable[[Piece], Iterator[str]]] = {
    "graphml": _graphml,
    "json": _json,
    "mermaid": _mermaid,
    "dot": _dot,
    "csv": _csv,
}
FORMATS: dict[str, tuple[str, str]] = {
    "graphml": ("application/graphml+xml; charset=utf-8", "graphml"),
    "json": ("application/json", "json"),
    "mermaid": ("text/vnd.mermaid; charset=utf-8", "mmd"),
    "dot": ("text/vnd.graphviz; charset=utf-8", "dot"),
    "csv": ("text/csv; charset=utf-8", "csv"),
}
"""Each format's content type and file extension."""
