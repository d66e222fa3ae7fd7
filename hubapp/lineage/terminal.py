"""A family in a terminal: the line to the root, and what descends, with the symbols and colours of relations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hubapp.lineage.shapes import Brief, Group, Line, Link, Neighbourhood, Remark
from workers.lineage.records import Relation

SYMBOLS = {
    Relation.FINETUNE: "●",
    Relation.ADAPTER: "◆",
    Relation.QUANTIZED: "■",
    Relation.MERGE: "▲",
    Relation.UNKNOWN: "◌",
}
ROOT = "★"
_HOLLOW = {"●": "○", "◆": "◇", "■": "□", "▲": "△", "◌": "◌", "★": "☆"}
_ASCII = {"●": "*", "◆": "+", "■": "#", "▲": "^", "◌": "?", "★": "@", "○": "o", "◇": "%", "□": "=", "△": "A", "☆": "O"}
_LINES = ("├─", "└─", "│ ", "  ")
_ASCII_LINES = ("|-", "`-", "| ", "  ")
_COLOURS = {  # 256-colour neighbours of Okabe and Ito's
    Relation.FINETUNE: "38;5;32",
    Relation.ADAPTER: "38;5;36",
    Relation.QUANTIZED: "38;5;178",
    Relation.MERGE: "38;5;175",
    Relation.UNKNOWN: "38;5;245",
}
_WORDS = {  # one, many
    Relation.FINETUNE: ("finetune", "finetunes"),
    Relation.ADAPTER: ("adapter", "adapters"),
    Relation.QUANTIZED: ("quantized", "quantized"),
    Relation.MERGE: ("merge", "merges"),
    Relation.UNKNOWN: ("of unknown relation", "of unknown relation"),
}
_BOLD, _DIM, _VERMILION = "1", "2", "38;5;166"


def short(number: int) -> str:
    """A number as a person says it: 1.2 M."""
    for limit, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= limit:
            value = number / limit
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return str(number)


@dataclass(frozen=True, slots=True)
class Style:
    """How to write: in colour or not, with the full character set or ASCII alone."""

    colour: bool = False
    ascii_only: bool = False

    def paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text

    def symbol(self, relation: Relation | None, *, known: bool = True) -> str:
        mark = ROOT if relation is None else SYMBOLS[relation]
        if not known:
            mark = _HOLLOW[mark]
        if self.ascii_only:
            mark = _ASCII.get(mark, mark)
        return self.paint(mark, _COLOURS[relation] if relation else _BOLD)

    def clean(self, text: str) -> str:
        """A name can't move the cursor or change the colours of a terminal."""
        text = "".join(c if c.isprintable() else "\ufffd" for c in text)
        return text.encode("ascii", "replace").decode() if self.ascii_only else text


@dataclass(slots=True)
class Drawing:
    """Everything that is drawn, by parent: made once, read top-down."""

    line: Line
    around: Neighbourhood
    remarks: Mapping[int, tuple[Remark, ...]]
    style: Style
    down: bool = True
    below: dict[int, list[Link]] = field(default_factory=dict)
    groups: dict[int, list[Group]] = field(default_factory=dict)
    known: dict[int, Brief] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.known = {b.id: b for b in (*self.line.members, *self.around.nodes)}
        for link in self.around.links:
            self.below.setdefault(link.parent_id, []).append(link)
        for group in self.around.groups:
            self.groups.setdefault(group.parent_id, []).append(group)


def lines(drawing: Drawing) -> Iterator[str]:
    """The drawing, line by line."""
    style = drawing.style
    members = drawing.line.members
    if drawing.line.truncated:
        yield style.paint("…" if not style.ascii_only else "...", _DIM)
    indent = ""
    for at, brief in enumerate(members):
        link = drawing.line.links[at - 1] if at else None
        focus = at == len(members) - 1
        lead = indent + (_turn(style, last=True) if at else "")
        relation = link.relation if link else None
        yield lead + _entry(drawing, brief, relation, link, focus=focus)
        if at:
            indent += "  "
    yield from _parents(drawing, members[-1], indent)
    if drawing.down:
        yield from _below(drawing, members[-1].id, indent, {b.id for b in members})


def _turn(style: Style, *, last: bool) -> str:
    return (_ASCII_LINES if style.ascii_only else _LINES)[1 if last else 0]


def _rail(style: Style, *, last: bool) -> str:
    return (_ASCII_LINES if style.ascii_only else _LINES)[3 if last else 2]


def _entry(
    drawing: Drawing, brief: Brief, relation: Relation | None, link: Link | None = None, *, focus: bool = False
) -> str:
    style = drawing.style
    name = style.clean(brief.name)
    parts = [style.symbol(relation, known=brief.known), style.paint(name, _BOLD) if focus else name]
    facts = []
    if link is not None and not link.primary:
        facts.append("guest")
    if link is not None and link.repaired:
        facts.append(
            {"case": "case repaired", "text": "read from other text", "renamed": "renamed"}.get(
                link.repaired, f"{link.repaired} repaired"
            )
        )
    if not brief.known:
        facts.append("never read")
    else:
        facts += [style.clean(brief.licence_name or brief.licence)] if brief.licence or brief.licence_name else []
        facts += [f"{brief.created_at:%Y-%m-%d}"] if brief.created_at else []
        facts += [f"{short(brief.downloads)} downloads"] if brief.downloads else []
    if brief.descendants and (focus or relation is None):
        facts.append(f"{short(brief.descendants)} {'descend' if brief.descendants > 1 else 'descends'} from it")
    parts.append(style.paint("  " + ", ".join(facts), _DIM) if facts else "")
    remarks = [r for r in drawing.remarks.get(brief.id, ()) if r.severity != "info" or focus]
    if remarks:
        titles = "; ".join(dict.fromkeys(r.title for r in remarks))
        parts.append(style.paint(f"  ! {titles}", _VERMILION))
    return " ".join(parts[:2]) + "".join(parts[2:])


def _parents(drawing: Drawing, focus: Brief, indent: str) -> Iterator[str]:
    """The other parents of the focus: those that its line doesn't run along."""
    others = [link for link in drawing.around.links if link.child_id == focus.id and not link.primary]
    style = drawing.style
    for link in others:
        parent = drawing.known.get(link.parent_id)
        if parent is not None:
            word = "also from" if link.standing != "contradicted" else "contradicts itself: from"
            text = f"{indent}{_rail(style, last=not drawing.down)}{style.paint(word, _DIM)} "
            yield text + _entry(drawing, parent, link.relation)


def _below(drawing: Drawing, node: int, indent: str, drawn: set[int]) -> Iterator[str]:
    style = drawing.style
    rows: list[tuple[Link | None, Group | None]] = []
    links = [each for each in drawing.below.get(node, ()) if each.child_id not in drawn]
    shown = {relation: [each for each in links if each.relation == relation] for relation in Relation}
    groups = {group.relation: group for group in drawing.groups.get(node, ())}
    for relation in Relation:
        rows += [(each, None) for each in shown[relation]]
        group = groups.get(relation)
        hidden = group.total - len(shown[relation]) if group else 0
        if group and hidden > 0 and (shown[relation] or not _is_drawn_above(drawing, node, relation, drawn, group)):
            rows.append((None, group))
    for at, (link, group) in enumerate(rows):
        last = at == len(rows) - 1
        lead = indent + _turn(style, last=last)
        if link is not None:
            child = drawing.known[link.child_id]
            drawn.add(child.id)
            yield lead + _entry(drawing, child, link.relation, link)
            yield from _below(drawing, child.id, indent + _rail(style, last=last), drawn)
        elif group is not None:
            hidden = group.total - len(shown[group.relation])
            more = "more " if shown[group.relation] else ""
            authors = ", ".join(style.clean(author or "?") for author, _ in group.authors)
            text = f"+ {short(hidden)} {more}{_WORDS[group.relation][hidden > 1]}" + (
                f", most from {authors}" if authors else ""
            )
            yield lead + style.symbol(group.relation) + " " + style.paint(text, _DIM)


def _is_drawn_above(drawing: Drawing, node: int, relation: Relation, drawn: set[int], group: Group) -> bool:
    """Whether all children of a group stand in the drawing already (on the line to the root)."""
    here = [e for e in drawing.below.get(node, ()) if e.relation == relation and e.child_id in drawn]
    return len(here) >= group.total
