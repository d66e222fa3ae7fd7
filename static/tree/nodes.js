// One view node as SVG elements: shape, name, pills. Text enters as text alone, whatever a model calls itself.

import { outline } from "./relations.js";
import { FONT } from "./labels.js";

const SVG = "http://www.w3.org/2000/svg";
export const LABEL = 13; // from the middle of the shape to where the name begins

/** An SVG element with attributes. */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== undefined) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function text(content, attributes) {
  const element = svg("text", { dy: "0.34em", ...attributes });
  element.textContent = content;
  return element;
}

/** The classes that a node's look depends on. */
function classes(node) {
  const list = ["node", node.kind, `r-${node.relation ?? "unknown"}`];
  const model = node.model;
  if (model && ["stub", "renamed"].includes(model.state)) list.push("hollow");
  if (model && ["gone", "private", "disabled"].includes(model.state)) list.push("dead");
  if (node.kind === "ghost") list.push("hollow", "nowhere");
  if (node.edge?.k === "contradicted") list.push("contradicted");
  for (const flag of ["focus", "context", "chosen", "loading", "open"]) if (node[flag]) list.push(flag);
  if (node.failed) list.push("failed");
  return list;
}

/** What stands for more than one model is drawn as a stack of its shape. */
function mark(node) {
  const shape = outline(node.relation ?? "unknown");
  const group = svg("g", { class: "mark" });
  if (node.kind === "none") return group;
  if (node.kind === "more" || node.kind === "moreguests" || node.kind === "elided") {
    for (const x of [-4, 0, 4]) group.append(svg("circle", { cx: x, cy: 0, r: 1.5, class: "dot" }));
    return group;
  }
  const scale = node.kind === "group" || node.kind === "author" ? 0.8 : node.focus ? 1.1 : node.kind === "model" ? 1 : 0.85;
  if (node.focus) group.append(svg("circle", { r: 10, class: "halo" }));
  if (node.kind === "group" || node.kind === "author") {
    group.append(svg("path", { d: shape, class: "shape behind", transform: `translate(-3 -7.5) scale(${scale})` }));
  }
  group.append(svg("path", { d: shape, class: "shape", transform: `scale(${scale}) translate(-6 -6)` }));
  if (node.model?.state === "gated") group.append(svg("circle", { r: 1.6, class: "gated" }));
  return group;
}

function pillElement(pill) {
  const group = svg("g", { class: `pill ${pill.does}`, "data-does": pill.does, "aria-hidden": "true", transform: `translate(${LABEL + pill.x} 0)` });
  const label = text(pill.text, { x: pill.width / 2, "text-anchor": "middle", "font-size": FONT.small });
  const title = svg("title");
  title.textContent = pill.title;
  group.append(title, svg("rect", { x: -2, y: -13, width: pill.width + 4, height: 26, class: "reach" }),
    svg("rect", { x: 0, y: -9, width: pill.width, height: 18, rx: 9 }), label);
  return group;
}

function fill(group, node) {
  group.replaceChildren();
  const reach = node.labelled ? node.width + LABEL : 8;
  group.append(svg("rect", { class: "hit", x: -11, y: -12, width: reach + 15, height: 24, rx: 4 }), mark(node));
  // The name of the item for screen readers, and what the mouse is told.
  const title = svg("title");
  title.textContent = node.words;
  group.prepend(title);
  if (!node.labelled) return;
  const label = text("", { class: "label", x: LABEL, "font-size": FONT.name });
  if (node.owner_) {
    const owner = svg("tspan", { class: "owner" });
    owner.textContent = node.owner_;
    label.append(owner);
  }
  const name = svg("tspan");
  name.textContent = node.text;
  label.append(name);
  group.append(label);
  if (node.note) group.append(text(node.note, { class: "note", x: LABEL + node.noteX, "font-size": FONT.small }));
  if (node.mark !== null && node.mark !== undefined) {
    const finding = svg("g", { class: "finding", transform: `translate(${LABEL + node.mark + 6} 0)` });
    finding.append(svg("circle", { r: 6 }), text("!", { "text-anchor": "middle", "font-size": 9 }));
    group.append(finding);
  }
  for (const pill of node.pills) group.append(pillElement(pill));
}

/** A name once more, on ground of its own: drawn over what would cross it where rows are close together. */
export function banner(node) {
  const group = svg("g", { class: `node ${node.kind}${node.focus ? " focus" : ""}` });
  group.append(svg("rect", { class: "paper", x: LABEL - 2, y: -8, width: (node.pills[0]?.x ?? node.width + 6) - 2, height: 16 }));
  const label = text("", { class: "label", x: LABEL, "font-size": FONT.name });
  for (const [part, name] of [[node.owner_, "owner"], [node.text, null]]) {
    const span = svg("tspan", { class: name });
    span.textContent = part;
    label.append(span);
  }
  group.append(label);
  if (node.note) group.append(text(node.note, { class: "note", x: LABEL + node.noteX, "font-size": FONT.small }));
  return group;
}

/** Whether Enter opens or shuts something here. */
export function expandable(node) {
  if (node.kind === "model") return node.total > 0;
  return node.kind === "group" || node.kind === "author";
}

/** Make a `<g>` show a node; what has not changed since the last time is not touched. */
export function paint(group, node, known) {
  const names = classes(node).join(" ");
  const signature = JSON.stringify([names, node.labelled, node.owner_, node.text, node.note, node.mark, node.pills, node.words]);
  if (known === signature) return signature;
  fill(group, node);
  group.setAttribute("class", names);
  group.setAttribute("data-key", node.key);
  if (expandable(node)) group.setAttribute("aria-expanded", String(Boolean(node.open)));
  else group.removeAttribute("aria-expanded");
  group.setAttribute("aria-selected", String(Boolean(node.chosen)));
  return signature;
}
