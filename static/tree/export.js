// The drawn picture as a file: SVG that stands alone, and PNG painted from it.

import { Camera } from "./camera.js";
import { STATUS_WORDS, RELATIONS } from "./relations.js";
import { Picture } from "./picture.js";
import { svg } from "./nodes.js";
import { outline } from "./relations.js";
import { clean } from "./text.js";

const MARGIN = 28;
const MOST_SIDE = 16_000; // px: browsers refuse larger canvases …
const MOST_AREA = 120_000_000; // … and ones with more pixels

// Everything that the style sheets say of a drawing's elements and that a file must say for itself.
const KEPT = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-opacity", "opacity",
  "font-family", "font-size", "font-style", "font-weight", "text-decoration-line", "paint-order", "visibility"];
const DEFAULTS = { "fill-opacity": "1", "stroke-opacity": "1", opacity: "1", "font-style": "normal", "font-weight": "400",
  "text-decoration-line": "none", "paint-order": "normal", "stroke-dasharray": "none", "stroke-linecap": "butt", visibility: "visible" };
const DROPPED = ["class", "role", "tabindex", "data-key", "data-does", "aria-expanded", "aria-selected", "aria-level",
  "aria-setsize", "aria-posinset", "aria-hidden"];

function legend(width) {
  const group = svg("g", { class: "saved-legend" });
  let x = 0;
  let y = 0;
  const put = (mark, words) => {
    const label = svg("text", { x: x + 26, y: y + 4, "font-size": 12, class: "label" });
    label.textContent = words;
    mark.setAttribute("transform", `translate(${x} ${y})`);
    group.append(mark, label);
    x += 44 + words.length * 7;
    if (x > width - 220) {
      x = 0;
      y += 20;
    }
  };
  for (const [name, words] of [["root", "root"], ...RELATIONS.map((r) => [r.name, r.one])]) {
    put(svg("g", { class: `node r-${name}` }, svg("path", { class: "shape", d: outline(name), transform: "translate(4 -6)" })), words);
  }
  put(svg("g", { class: "node r-root hollow" }, svg("path", { class: "shape", d: outline("root"), transform: "translate(4 -6)" })), "not resolved");
  for (const kind of ["declared", "confirmed", "recovered", "contradicted"]) {
    put(svg("g", {}, svg("path", { class: `link k-${kind} r-unknown`, d: "M0,0H20", fill: "none" })), STATUS_WORDS[kind]);
  }
  return { group, height: y + 24 };
}

/** Write what the style sheets say into the elements themselves, and leave out what only the page needs. */
function inline(root) {
  for (const element of root.querySelectorAll("*")) {
    // A pill that tells how much is hidden stays, as plain text; others are for the page.
    if (element.matches(".hit, .pill rect, .pill title, .pill:not(.open, .parents)")) {
      element.remove();
      continue;
    }
    if (!element.isConnected) continue;
    if (element.tagName === "title") continue;
    const style = getComputedStyle(element);
    if (element.childElementCount === 0 || element.tagName === "text") {
      const isText = element.tagName === "text" || element.tagName === "tspan";
      for (const name of KEPT) {
        if (!isText && (name.startsWith("font") || name.startsWith("text"))) continue;
        const value = style.getPropertyValue(name);
        if (value && value !== DEFAULTS[name]) element.setAttribute(name === "text-decoration-line" ? "text-decoration" : name, value);
      }
    } else if (style.opacity !== "1") element.setAttribute("opacity", style.opacity);
  }
  for (const element of [root, ...root.querySelectorAll("*")]) for (const name of DROPPED) element.removeAttribute(name);
}

/**
 * The whole drawing, in sight or not, as one SVG file's text.
 *
 * `arrange(forest, width)` places the forest and gives its frame; `title` names the picture.
 */
export function saveSvg({ forest, frame, host, title, withLegend }) {
  const bounds = boundsOf(forest);
  const camera = new Camera();
  const top = MARGIN + (frame.axis ? 24 : 0);
  camera.pin(bounds.left, bounds.top, MARGIN, top);
  const width = Math.max(360, Math.ceil(bounds.right - bounds.left) + 2 * MARGIN);
  const key = withLegend ? legend(width) : { group: null, height: 0 };
  const tall = Math.ceil(bounds.bottom - bounds.top) + top + MARGIN;
  const height = tall + key.height;
  const root = svg("svg", { xmlns: "http://www.w3.org/2000/svg", width, height, viewBox: `0 0 ${width} ${height}`, class: "tree-svg saved" });
  host.append(root);
  try {
    const name = svg("title");
    name.textContent = clean(title);
    const ground = svg("rect", { width, height, class: "paper" });
    root.append(name, ground);
    const picture = new Picture(root, camera, { whole: true });
    picture.width = width;
    picture.show(forest, { ...frame, bottom: tall }, { animate: false });
    if (key.group) {
      key.group.setAttribute("transform", `translate(${MARGIN} ${tall})`);
      root.append(key.group);
    }
    inline(root);
    return { text: `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(root)}\n`, width, height };
  } finally {
    root.remove();
  }
}

/** The corners of what is drawn, in world units. */
export function boundsOf(forest) {
  if (forest.bounds) return forest.bounds;
  const bounds = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
  for (const node of forest.order) {
    bounds.left = Math.min(bounds.left, node.x - 12);
    bounds.right = Math.max(bounds.right, node.x + 14 + node.width);
    bounds.top = Math.min(bounds.top, node.y - 10);
    bounds.bottom = Math.max(bounds.bottom, node.y + 10);
  }
  forest.bounds = bounds; // a forest is placed once
  return bounds;
}

/** Paint a saved SVG as PNG, at twice its size where the browser can. */
export async function savePng({ text, width, height }) {
  const scale = Math.min(2, MOST_SIDE / width, MOST_SIDE / height, Math.sqrt(MOST_AREA / (width * height)));
  const url = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    if (!blob) throw new Error("the browser could not paint a picture of this size");
    return blob;
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** Hand a file to the visitor. */
export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
