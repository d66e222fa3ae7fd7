"""The tree's page as it is without scripts, and its exports."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree as ET

from django.conf import settings
from django.test import Client

from hubapp.web import tree, tree_data
from tests.tree.families import HOSTILE

STAR = "meta-llama/Giant-8B"


class Table(HTMLParser):
    """The texts of a page's table cells, row by row, its links, and all attributes that the policy forbids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.links: list[str] = []
        self.forbidden: list[str] = []
        self._cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.forbidden += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        if tag == "script" and not dict(attrs).get("src"):
            self.forbidden.append("inline script")
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self._cell = True
            self.rows[-1].append("")
        if tag == "a" and self._cell:
            self.links.append(dict(attrs).get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"}:
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1][-1] += data.strip()


def page_of(client: Client, address: str) -> Table:
    response = client.get(address)
    assert response.status_code == 200
    table = Table(response.content.decode())
    assert table.forbidden == []
    return table


def test_without_scripts_the_page_is_a_table(client: Client, grove: dict[str, int]) -> None:
    rows = page_of(client, "/tree/odd/first-13B").rows
    names = [row[0] for row in rows]
    assert names[0] == "Model"
    assert names[1:3] == ["lost/never-crawled-13B", "odd/first-13B"]
    assert {"odd/left-13B", "odd/right-13B", "odd/deleted-13B"} <= set(names)
    assert rows[2][2] == "lost/never-crawled-13B"
    assert "parent not resolved" in rows[2][3]


def test_every_parent_has_its_row(client: Client, grove: dict[str, int]) -> None:
    rows = page_of(client, "/tree/merger/Everything-Everywhere-8B").rows
    own = [row for row in rows if row[0] == "merger/Everything-Everywhere-8B"]
    assert len(own) == 66
    assert "leads to no model" in own[-1][3]


def test_pages_without_scripts_reach_every_child(client: Client, grove: dict[str, int]) -> None:
    names: set[str] = set()
    address = f"/tree/{STAR}?relation=merge"
    for _ in range(10):
        table = page_of(client, address)
        names |= {row[0] for row in table.rows if "blend" in row[0]}
        more = [link for link in table.links if "after=" in link]
        if not more:
            break
        address = f"/tree/{STAR}{more[0]}"
    assert len(names) == 60


def test_filters_work_without_scripts(client: Client, grove: dict[str, int]) -> None:
    rows = page_of(client, f"/tree/{STAR}?relation=quantized&author=mradermacher&licence=mit").rows
    children = [row for row in rows[2:] if len(row) > 8]
    assert children
    assert {row[7] for row in children} == {"mit"}
    assert all(row[0].startswith("mradermacher/") for row in children)


def test_hostile_names_stay_text(client: Client, grove: dict[str, int]) -> None:
    for name in ("plain/root-1B", *HOSTILE):
        response = client.get("/tree/" + quote(name))
        text = response.content.decode()
        assert response.status_code in {200, 301, 404}
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert Table(text).forbidden == []


def test_another_case_leads_to_the_name(client: Client, grove: dict[str, int]) -> None:
    response = client.get("/tree/ODD/first-13b?axis=time")
    assert response.status_code == 301
    assert response["Location"] == "/tree/odd/first-13B?axis=time"


def test_unknown_models_have_their_page(client: Client, grove: dict[str, int]) -> None:
    assert client.get("/tree/no/such").status_code == 404
    assert client.get("/tree-export/json/no/such").status_code == 404
    assert client.get("/tree-export/exe/odd/first-13B").status_code == 404
    assert client.get("/tree/odd/first-13B?shelf=cousin").status_code == 400
    assert client.get("/tree-export/json/odd/first-13B?depth=many").status_code == 400


def test_no_answer_allows_scripts_of_others(client: Client, grove: dict[str, int]) -> None:
    policy = client.get("/tree/odd/first-13B")["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_every_module_is_named_in_the_page(client: Client, grove: dict[str, int]) -> None:
    folder = Path(settings.BASE_DIR) / "static" / "tree"
    assert {path.stem for path in folder.glob("*.js")} == {*tree.MODULES, "main"}
    page = client.get("/tree/odd/first-13B").content.decode()
    for name in re.findall(r'rel="modulepreload" href="/static/([^"]+)"', page):
        assert (folder.parent / name).is_file()


def test_sizes_are_the_same_in_both_languages() -> None:
    script = (Path(settings.BASE_DIR) / "static" / "tree" / "state.js").read_text()
    assert re.findall(r'\["([a-z0-9-]+)", "([^"]+)"\]', script) == [(k, w) for k, (w, _, _) in tree_data.SIZES.items()]


# --- exports --------------------------------------------------------------------------------------------------------
def exported(client: Client, kind: str, name: str = "odd/first-13B", query: str = "") -> str:
    response = client.get(f"/tree-export/{kind}/{name}{query}")
    assert response.status_code == 200
    assert re.fullmatch(
        r"attachment; filename=\"[A-Za-z0-9._-]+\"; filename\*=UTF-8''\S+", response["Content-Disposition"]
    )
    return response.getvalue().decode()


def test_exports_hold_ancestors_and_descendants(client: Client, grove: dict[str, int]) -> None:
    graph = json.loads(exported(client, "json", query="?depth=3"))
    names = {node.get("name") or node.get("label") or node["id"] for node in graph["nodes"]}
    assert {"lost/never-crawled-13B", "odd/first-13B", "odd/left-13B", "odd/myself-13B"} <= names
    shallow = json.loads(exported(client, "json", query="?depth=1"))
    assert len(shallow["nodes"]) < len(graph["nodes"])


def test_every_format_survives_hostile_names(client: Client, grove: dict[str, int]) -> None:
    ET.fromstring(exported(client, "graphml", "plain/root-1B"))
    json.loads(exported(client, "json", "plain/root-1B"))
    rows = list(csv.reader(io.StringIO(exported(client, "csv", "plain/root-1B"))))
    assert len(rows) >= 7
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row)
    assert "digraph" in exported(client, "dot", "plain/root-1B")
    assert "flowchart" in exported(client, "mermaid", "plain/root-1B") or "graph" in exported(
        client, "mermaid", "plain/root-1B"
    )
