// The same as a table: every model that is drawn, in reading order or sorted by a column.

import { STATUS_WORDS, byCode, byName, sources } from "./relations.js";
import { html, shape } from "./panel.js";
import { clean, day, exact, parameters } from "./text.js";

const PAGE = 150; // rows at first, and more on each demand: a table of thousands takes seconds to lay out

const COLUMNS = [
  { key: "name", title: "Model", text: true, sort: (row) => row.label.toLowerCase() },
  { key: "relation", title: "Relation", text: true, sort: (row) => row.relation },
  { key: "parent", title: "Parent", text: true, sort: (row) => row.parentLabel.toLowerCase() },
  { key: "known", title: "How it is known", text: true, sort: (row) => row.known },
  { key: "depth", title: "Generation", sort: (row) => row.model?.depth ?? -1 },
  { key: "created", title: "Created", sort: (row) => row.model?.created ?? -1 },
  { key: "parameters", title: "Parameters", sort: (row) => row.model?.parameters ?? -1 },
  { key: "licence", title: "Licence", text: true, sort: (row) => row.model?.licence ?? "" },
  { key: "task", title: "Task", text: true, sort: (row) => row.model?.task ?? "" },
  { key: "downloads", title: "Downloads", sort: (row) => row.model?.downloads ?? -1 },
  { key: "children", title: "Children", sort: (row) => row.total },
  { key: "findings", title: "Findings", sort: (row) => row.model?.findings ?? 0 },
];

/** One row for each edge that is drawn, and one for each root. */
function rows(forest, data) {
  const found = [];
  const row = (node, edge, parentLabel) => {
    const unresolved = edge && ["stub", "renamed"].includes(data.nodes.get(edge.p)?.state);
    found.push({
      node, model: node.model, label: node.label, parentLabel, edge,
      relation: edge ? byCode(edge.r).name : "root",
      known: edge ? `${unresolved ? "parent not resolved" : STATUS_WORDS[edge.k]}${edge.w === "cannot_tell" ? ", weights can't tell" : ""}${edge.m ? `: ${sources(edge.m)}` : ""}` : "",
      total: node.total ?? node.model?.counts.reduce((a, b) => a + b, 0) ?? 0,
    });
  };
  for (const node of forest.order) {
    if (node.kind === "model") {
      row(node, node.edge, node.edge ? data.nodes.get(node.edge.p)?.label ?? "" : "");
      for (const guest of node.guests) {
        if (guest.kind === "guest") row(node, guest.edge, guest.label);
        if (guest.kind === "ghost") {
          found.push({ node, model: node.model, label: node.label, parentLabel: guest.label, edge: null, relation: "unknown", known: `leads to no model: ${sources(guest.ghost.m)}`, total: node.total });
        }
      }
    }
  }
  for (const { from, to, edge } of forest.curves) if (from !== to) row(to, edge, from.label);
  return found;
}

export class Table {
  /** `on.show(name)` shows a model in the tree, `on.sort(column)` is told what is sorted by. */
  constructor(table, urls, on) {
    this.table = table;
    this.urls = urls;
    this.on = on;
    table.tHead.addEventListener("click", (event) => {
      const column = event.target.closest("button[data-column]")?.dataset.column;
      if (column) this.on.sort(column);
    });
    table.addEventListener("click", (event) => {
      const key = event.target.closest("button[data-key]")?.dataset.key;
      if (key) this.on.show(key);
    });
  }

  #head(sort) {
    const held = this.table.tHead.contains(document.activeElement) ? document.activeElement.dataset.column : null;
    const line = html("tr");
    for (const column of COLUMNS) {
      const down = sort === `-${column.key}`;
      const head = html("th", { scope: "col", class: column.text ? null : "num", "aria-sort": down ? "descending" : sort === column.key ? "ascending" : null });
      head.append(html("button", { type: "button", class: "sort", "data-column": column.key }, column.title));
      line.append(head);
    }
    line.append(html("th", { scope: "col" }, html("span", { class: "visually-hidden" }, "In the tree")));
    this.table.tHead.replaceChildren(line);
    if (held) this.table.tHead.querySelector(`[data-column="${held}"]`)?.focus();
  }

  /** Fill the table. */
  show(forest, data, state) {
    const all = rows(forest, data);
    const column = COLUMNS.find(({ key }) => key === state.sort.replace("-", ""));
    if (column) {
      const sign = state.sort.startsWith("-") ? -1 : 1;
      const keyed = all.map((row) => [column.sort(row), row]);
      keyed.sort(([a], [b]) => sign * (typeof a === "string" ? a.localeCompare(b) : a - b));
      all.splice(0, all.length, ...keyed.map(([, row]) => row));
    }
    this.#head(state.sort);
    const models = new Set(all.map((row) => row.node.id)).size;
    const root = forest.roots[0]?.model;
    const of = root && root.descendants + 1 > models ? ` of ${exact(root.descendants + 1)} in the family` : "";
    this.table.caption.textContent = `${exact(models)} models${of} are shown in the tree; here is one row for each of their parents.`;
    this.#fill(all, PAGE);
  }

  #fill(all, number) {
    const body = document.createDocumentFragment();
    for (const row of all.slice(0, number)) body.append(this.#row(row));
    if (all.length > number) {
      const more = html("button", { type: "button", class: "button" }, `Show ${exact(Math.min(PAGE, all.length - number))} more of ${exact(all.length)} rows`);
      more.addEventListener("click", () => {
        this.#fill(all, number + PAGE);
        this.table.tBodies[0].rows[number]?.querySelector("a")?.focus();
      });
      body.append(html("tr", {}, html("td", { colspan: String(COLUMNS.length + 1) }, more)));
    }
    this.table.tBodies[0].replaceChildren(body);
  }

  #row(row) {
    const model = row.model;
    const name = html("a", { class: "repo", href: this.urls.model + model.name.split("/").map(encodeURIComponent).join("/") }, row.label);
    const cells = [
      html("th", { scope: "row" }, name),
      html("td", {}, html("span", { class: "relation" }, shape(row.relation, ["stub", "renamed"].includes(model.state)), byName(row.relation)?.one ?? row.relation)),
      html("td", { class: "repo" }, row.parentLabel),
      html("td", { class: row.edge?.k === "contradicted" ? "doubted" : null }, row.known),
      html("td", { class: "num" }, exact(model.depth)),
      html("td", { class: "num nowrap" }, day(model.created)),
      html("td", { class: "num nowrap" }, parameters(model.parameters)),
      html("td", { class: "nowrap" }, clean(model.licence)),
      html("td", { class: "nowrap" }, clean(model.task)),
      html("td", { class: "num" }, model.state === "stub" ? "" : exact(model.downloads)),
      html("td", { class: "num" }, row.total ? exact(row.total) : ""),
      html("td", { class: "num" }, model.findings ? exact(model.findings) : ""),
      html("td", {}, html("button", { type: "button", class: "button quiet", "data-key": row.node.key, "aria-label": `Show ${row.label} in the tree` }, "Show")),
    ];
    return html("tr", { class: row.node.context ? "context" : null }, ...cells);
  }
}
