// What is known of the model that is selected, and what can be done from it.

import { STATUS_WORDS, byCode, sources } from "./relations.js";
import { svg } from "./nodes.js";
import { outline } from "./relations.js";
import { clean, day, exact, parameters, plural, rounded } from "./text.js";

const WHY = {
  cycle: "a cycle: the parent descends from this model",
  parent_younger: "the parent was created after this model",
  relation_disagrees: "its sources disagree on the relation",
  weights_contradict: "its weights show another descent",
};
const REPAIRED = { case: "written in another case", text: "read from a longer text", renamed: "declared by an old name", relation: "declared as another relation" };

const STATES = {
  stub: "named as a parent, never seen in a listing", renamed: "an old name", gated: "gated on the Hub", disabled: "disabled by the Hub",
  private: "no longer public", gone: "deleted from the Hub",
};

/** An HTML element with attributes; children are elements or text. */
export function html(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** A relation's shape, for beside words. */
export function shape(name, hollow = false) {
  const drawn = svg("svg", { class: `shape r-${name}${hollow ? " hollow" : ""}`, viewBox: "0 0 12 12", "aria-hidden": "true" });
  drawn.append(svg("path", { d: outline(name) }));
  return drawn;
}

const address = (base, name) => base + name.split("/").map(encodeURIComponent).join("/");

function edgeLine(node, data) {
  const { edge } = node;
  const parent = data.nodes.get(edge.p);
  const line = html("div", { class: "stack-tight" });
  const unresolved = parent && ["stub", "renamed"].includes(parent.state);
  line.append(html("span", { class: "relation" }, shape(byCode(edge.r).name), `${byCode(edge.r).one} of`),
    html("span", { class: "repo" }, parent ? parent.label : "?"),
    html("span", { class: edge.k === "contradicted" ? "small doubted" : "small muted" },
      [unresolved ? "parent not resolved" : STATUS_WORDS[edge.k], edge.m ? `by ${sources(edge.m)}` : ""].filter(Boolean).join(", ")));
  if (edge.w) {
    const word = { confirmed: "The weights confirm it", contradicted: "The weights contradict it", cannot_tell: "The weights cannot tell" }[edge.w];
    line.append(html("span", { class: edge.w === "contradicted" ? "small doubted" : "small" }, edge.figure ? `${word}: ${edge.figure}` : word));
    if (edge.likelier) line.append(html("span", { class: "small" }, edge.k === "contradicted" ? "Likelier parent: " : "Nearer to it: ", html("span", { class: "repo" }, edge.likelier)));
  }
  for (const why of edge.why ?? []) line.append(html("span", { class: "small doubted" }, WHY[why] ?? why));
  if (edge.repaired) line.append(html("span", { class: "small inferred" }, REPAIRED[edge.repaired] ?? edge.repaired));
  return line;
}

export class Panel {
  /** `on`: what the buttons do: open, shut, parents, focus, from, to, close. `urls`: model, hub. */
  constructor(element, urls, on) {
    this.element = element;
    this.urls = urls;
    this.on = on;
    this.shown = "";
    element.addEventListener("click", (event) => {
      const does = event.target.closest("button[data-does]")?.dataset.does;
      if (does && this.node) this.on[does](this.node);
    });
    element.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.node) this.on.close(this.node);
    });
  }

  /** Show a view node (a model, a guest, or a parent that was named in vain); null hides the panel. */
  show(node, data, state) {
    this.node = node;
    this.element.hidden = !node;
    if (!node) {
      this.shown = "";
      return;
    }
    const signature = JSON.stringify([node.key, node.open, node.shown, node.absent, node.guests.length, state.from, state.to]);
    if (signature === this.shown) return;
    const held = this.element.contains(document.activeElement) ? document.activeElement.dataset.does : null;
    this.shown = signature;
    const title = html("h2", { class: "repo", id: "tree-panel-title" }, clean(node.label));
    const close = html("button", { type: "button", class: "icon-button", "data-does": "close", "aria-label": "Close" }, "×");
    this.element.replaceChildren(html("div", { class: "panel-head" }, title, close), ...(node.kind === "ghost" ? this.#ghost(node) : this.#model(node, data, state)));
    if (held) this.element.querySelector(`[data-does="${held}"]`)?.focus();
  }

  #ghost(node) {
    return [
      html("p", {}, "Named as a parent, but it leads to no model: a path on somebody's disk, an address elsewhere, or nothing that can be read."),
      html("p", { class: "small muted" }, `Said by ${sources(node.ghost.m)}.`),
    ];
  }

  #model(node, data, state) {
    const { model } = node;
    const parts = [];
    if (STATES[model.state]) parts.push(html("p", { class: "small muted" }, STATES[model.state]));
    if (node.edge) parts.push(edgeLine(node, data));
    else if (model.parent === null) parts.push(html("p", {}, html("span", { class: "relation" }, shape("root"), "root of its family")));
    if (node.context) parts.push(html("p", { class: "small muted" }, "Does not pass the filters; shown because something below it does, or it lies on a line."));
    const facts = html("dl", { class: "facts" });
    const fact = (term, value) => value && facts.append(html("dt", {}, term), html("dd", {}, value));
    fact("Created", day(model.created));
    fact("Parameters", parameters(model.parameters));
    fact("Task", clean(model.task));
    fact("Licence", clean(model.licence));
    fact("Downloads", model.state === "stub" ? "" : rounded(model.downloads));
    fact("Generation", model.depth ? exact(model.depth) : "");
    const total = model.counts.reduce((a, b) => a + b, 0);
    if (total) fact("Children", `${exact(total)}${model.descendants > total ? `, ${exact(model.descendants)} descendants` : ""}`);
    if (model.findings) fact("Findings", plural(model.findings, "finding", "findings"));
    if (facts.children.length) parts.push(facts);
    const does = (what, words, primary = false) => html("button", { type: "button", class: `button${primary ? " primary" : ""}`, "data-does": what }, words);
    const buttons = html("div", { class: "row" });
    if (node.kind === "model" && node.total) buttons.append(node.open ? does("shut", "Hide children") : does("open", "Show children", true));
    if (node.kind === "model" && node.absent && !node.guests.length) buttons.append(does("parents", "Show its parents"));
    if (model.name !== state.focus) buttons.append(does("focus", "Start from here"));
    buttons.append(does("from", "Path from here"));
    if (state.from && state.from !== model.name) buttons.append(does("to", `Path from ${clean(state.from).split("/").at(-1)}`, true));
    parts.push(buttons);
    parts.push(html("p", {}, html("a", { href: address(this.urls.model, model.name) }, "Open its page")));
    return parts;
  }
}
