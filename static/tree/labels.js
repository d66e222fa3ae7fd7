// What stands beside each shape: the name, the pills that open and shut, the words for a screen reader, and how wide
// all of it is.

import { STATUS_WORDS, byCode, byLetter, sources } from "./relations.js";
import { exact, plural, rounded, shorten } from "./text.js";

export const FONT = { name: 12.5, small: 11.5 };
const PILL_PADDING = 7;
const SPACE = 6;

const STATES = {
  stub: "named as a parent, not crawled",
  renamed: "an old name",
  gated: "gated",
  disabled: "disabled by the Hub",
  private: "no longer public",
  gone: "deleted",
};

/** Measures text in the page's own fonts, remembering what it measured. */
export class Ruler {
  #context = document.createElement("canvas").getContext("2d");
  #known = new Map();

  constructor(element) {
    const style = getComputedStyle(element);
    this.mono = style.getPropertyValue("--mono") || "monospace";
    this.sans = style.getPropertyValue("--sans") || "sans-serif";
  }

  /** Pixels that `text` takes. `style`: "mono", "sans" or "bold" (sans). */
  width(text, style, size) {
    const key = `${style}${size}${text}`;
    if (!this.#known.has(key)) {
      if (this.#known.size > 50_000) this.#known.clear();
      this.#context.font = `${style === "bold" ? "600 " : ""}${size}px ${style === "mono" ? this.mono : this.sans}`;
      this.#known.set(key, this.#context.measureText(text).width);
    }
    return this.#known.get(key);
  }
}

/** "org/name" → ["org/", "name"], at most `most` characters in all; without its owner where room is short. */
function nameParts(label, most, short) {
  const slash = label.indexOf("/");
  if (slash < 0) return ["", shorten(label, most)];
  const owner = label.slice(0, slash + 1);
  const name = label.slice(slash + 1);
  if (short) return ["", shorten(name, most)];
  if (label.length <= most) return [owner, name];
  const forOwner = Math.min(owner.length, Math.max(8, most - name.length));
  return [forOwner < owner.length ? `${shorten(owner.slice(0, -1), forOwner - 1)}/` : owner, shorten(name, most - forOwner)];
}

const pill = (does, text, title) => ({ does, text, title });

function modelPills(node) {
  const pills = [];
  const hidden = Math.max(0, node.total - node.shown);
  if (node.open && node.total) pills.push(pill("shut", "−", `Hide what descends from ${node.label}`));
  else if (hidden) {
    const title = node.shown
      ? `${exact(node.shown)} of ${exact(node.total)} children shown: show more`
      : `Show ${plural(node.total, "child", "children")}`;
    pills.push(pill("open", `+ ${rounded(hidden)}`, title));
  }
  if (node.absent && !node.guests.length) {
    const other = node.parent ? "more " : "";
    pills.push(pill("parents", `${exact(node.absent)} ${other}${node.absent === 1 ? "parent" : "parents"}`, "Show its other parents"));
  }
  return pills;
}

function modelWords(node) {
  const { model, edge } = node;
  const words = [node.label];
  if (edge) {
    words.push(byCode(edge.r).one, STATUS_WORDS[edge.k] ?? "parent not resolved");
    if (edge.m) words.push(`by ${sources(edge.m)}`);
  } else words.push(model.parent === null ? "root" : "");
  if (STATES[model.state]) words.push(STATES[model.state]);
  if (node.total) words.push(node.shown ? `${exact(node.shown)} of ${plural(node.total, "child", "children")} shown` : plural(node.total, "child", "children"));
  if (node.absent && !node.guests.length) words.push(plural(node.absent, "other parent", "other parents"));
  if (model.findings) words.push(plural(model.findings, "finding", "findings"));
  if (node.context) words.push("does not pass the filters");
  return words.filter(Boolean).join(", ");
}

/** Text of the rows that are not models: `{ text, words, pills }`. */
function pseudo(node) {
  const word = node.letter ? byLetter(node.letter).word : "";
  switch (node.kind) {
    case "group": {
      const text = node.open ? `${rounded(node.total)} ${word}` : `+ ${rounded(node.total)} ${word}`;
      const note = node.open && node.shown < node.total ? `${exact(node.shown)} shown` : "";
      const words = `${plural(node.total, byLetter(node.letter).one, word)}${node.open ? `, ${exact(node.shown)} shown` : ""}`;
      return { text, note, words, pills: [pill(node.open ? "fold" : "unfold", node.open ? "−" : "+", node.open ? "Hide this group" : "Show this group")] };
    }
    case "author": {
      const number = node.total ? `${exact(node.total)}${node.sampled ? "+" : ""}` : "";
      return {
        text: node.name, note: number ? `${number} ${word}` : "", words: `${number} ${word} by ${node.name}`,
        pills: [pill(node.open ? "foldauthor" : "unfoldauthor", node.open ? "−" : "+", node.open ? "Hide this author's" : "Show this author's")],
      };
    }
    case "more": {
      if (node.rest !== null) {
        const text = `+ ${rounded(node.rest)} ${node.author ? "" : node.parent.kind === "group" ? "more" : `more ${word}`}`.trim();
        return { text, note: node.note, words: `${exact(node.rest)} more ${word}${node.note ? `, ${node.note}` : ""}`, pills: [] };
      }
      const looked = node.looked && node.looked < node.total ? `${rounded(node.looked)} of ${rounded(node.total)} ${word} looked through` : "";
      return { text: node.author || !looked ? "+ more" : "look further", note: looked, words: `more ${word}, ${looked}`, pills: [] };
    }
    case "none": {
      const words = `none of ${rounded(node.total)} ${word} passes the filters`;
      return { text: words, note: "", words, pills: [] };
    }
    case "elided":
      return { text: `${exact(node.total)} generations between`, note: "", words: `${exact(node.total)} generations between: show them`, pills: [] };
    case "moreguests":
      return { text: node.label, note: "", words: node.label, pills: [] };
    default:
      return { text: node.label, note: "", words: node.label, pills: [] };
  }
}

/**
 * Give every view node its `owner`, `text`, `note`, `pills` (with `x` and `width`), `words` and `width` (from the
 * shape's right side to the end of all). `short`: names without owners; `most`: characters of a name.
 */
export function dress(forest, ruler, { short, most }) {
  for (const node of forest.order) {
    const named = node.kind === "model" || node.kind === "guest" || node.kind === "ghost";
    if (named) {
      [node.owner_, node.text] = nameParts(node.label, most, short);
      node.note = "";
      node.pills = node.kind === "model" ? modelPills(node) : [];
      node.words = node.kind === "model" ? modelWords(node)
        : node.kind === "guest" ? `${node.label}, another parent of ${node.host.label}, ${STATUS_WORDS[node.edge.k] ?? "not resolved"}`
          : `${node.label}, named as a parent of ${node.host.label}, leads to no model`;
    } else {
      const { text, note, words, pills } = pseudo(node);
      Object.assign(node, { owner_: "", text, note, words, pills });
    }
    let x = ruler.width(node.owner_ + node.text, named || node.kind === "author" ? "mono" : node.kind === "group" ? "bold" : "sans", FONT.name);
    if (node.note) {
      node.noteX = x + SPACE;
      x = node.noteX + ruler.width(node.note, "sans", FONT.small);
    }
    node.mark = node.kind === "model" && node.model.findings ? x + SPACE : null;
    if (node.mark !== null) x += SPACE + 12;
    for (const each of node.pills) {
      each.x = x + SPACE;
      each.width = Math.max(20, ruler.width(each.text, "sans", FONT.small) + 2 * PILL_PADDING);
      x = each.x + each.width;
    }
    node.width = x;
  }
}

/** How telling a node is when there is not room for every label. */
export function importance(node) {
  if (node.focus) return 1e12;
  if (node.chosen) return 1e11;
  if (node.kind === "group") return 1e10 + node.total;
  if (node.kind !== "model") return node.kind === "more" ? 1 : 2;
  return (node.children.length ? 1e9 : 0) + 1000 * Math.min(1e5, node.total) + Math.min(999, Math.log2(1 + node.model.downloads));
}
