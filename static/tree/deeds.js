// What a visitor can do to the tree: each deed changes the state, and says which node is to stay where it is (`keep`).

import { say } from "../js/site.js";
import { next } from "./forest.js";
import { MAX_NAMES, PLAIN } from "./state.js";
import { clean, plural } from "./text.js";

const AUTHOR_FIRST = 10; // of an author's models at first
const PARENTS_FIRST = 12;
const PARENTS_MORE = 60;

export class Deeds {
  /** `page` has store, data, forest, interaction, view; `keep` and `path` are set on it. */
  constructor(page) {
    this.page = page;
  }

  get store() {
    return this.page.store;
  }

  get state() {
    return this.page.store.state;
  }

  #placed(name) {
    return this.page.forest?.placed.get(this.page.data.ids.get(name));
  }

  /** Enter, double click, or a click on what is not a model. */
  act(node) {
    this.page.keep = node.key;
    switch (node.kind) {
      case "model": return node.open ? this.shut(node) : this.open(node);
      case "group": return this.pill(node, node.open ? "fold" : "unfold");
      case "author": return this.pill(node, node.open ? "foldauthor" : "unfoldauthor");
      case "more": return this.more(node);
      case "moreguests": return this.parents(node.host, node.shown + PARENTS_MORE);
      case "elided": return this.store.set({ line: "full" });
      case "guest": return this.reveal(node.model.name);
      default: return this.choose(node);
    }
  }

  /** A click on one of the pills after a name. */
  pill(node, does) {
    this.page.keep = node.key;
    const owner = node.owner?.model.name;
    const { store } = this;
    switch (does) {
      case "open": return this.open(node);
      case "shut": return this.shut(node);
      case "parents": return this.parents(node);
      case "fold": return store.adjust(owner, (how) => ({ shut: [...how.shut, node.letter] }));
      case "unfold": return store.adjust(owner, (how) => ({ shut: how.shut.filter((letter) => letter !== node.letter) }));
      case "unfoldauthor": return this.#author(node, AUTHOR_FIRST);
      case "foldauthor":
        return store.adjust(owner, (how) => {
          const { [node.author]: _, ...others } = how.authors[node.letter] ?? {};
          return { authors: { ...how.authors, [node.letter]: others } };
        });
      default: return undefined;
    }
  }

  #author(node, shown) {
    this.store.adjust(node.owner.model.name, (how) => ({
      authors: { ...how.authors, [node.letter]: { ...how.authors[node.letter], [node.author]: shown } },
    }));
  }

  /** More of a shelf. The row that was clicked moves on: the last model before it stays. */
  more(node) {
    this.page.keep = node.parent.children.at(-2)?.key ?? node.parent.key;
    if (node.author) this.#author(node, next(node.shown));
    else this.store.adjust(node.owner.model.name, (how) => ({ shown: { ...how.shown, [node.letter]: next(node.shown) } }));
  }

  /** Show a model's children. */
  open(node) {
    if (node.kind === "guest") return this.reveal(node.model.name);
    if (node.kind !== "model") return this.act(node);
    if (node.open || !node.total) return undefined;
    this.page.keep = node.key;
    const open = new Map(this.state.open).set(node.model.name, PLAIN);
    if (open.size > MAX_NAMES) open.delete(open.keys().next().value);
    return this.store.set({ open });
  }

  /** Hide a model's children, and forget what was opened or sought below it; the focus keeps its line to the root. */
  shut(node) {
    this.page.keep = node.key;
    const below = new Set();
    const collect = (each) => {
      if (each !== node && each.kind === "model") below.add(each.model.name);
      each.children.forEach(collect);
    };
    collect(node);
    const line = new Set();
    for (let up = this.#placed(this.state.focus); up; up = up.parent) if (up.model) line.add(up.model.name);
    const stays = (name) => !below.has(name) || line.has(name);
    this.store.set({
      open: new Map([...this.state.open].filter(([name]) => name !== node.model.name && stays(name))),
      show: this.state.show.filter(stays),
      guests: new Map([...this.state.guests].filter(([name]) => stays(name))),
    });
  }

  /** Show a model's other parents. */
  parents(node, number = PARENTS_FIRST) {
    this.page.keep = node.key;
    this.store.set({ guests: new Map(this.state.guests).set(node.model.name, number) });
  }

  /** Select a node (null: none); what is known of it shows beside the picture. */
  choose(node) {
    this.page.chosenKey = node && node.kind !== "model" ? node.key : "";
    this.store.set({ at: node?.kind === "model" ? node.model.name : "" });
    this.page.mark();
    if (node) this.page.interaction.reveal(node);
  }

  filter(filters) {
    this.page.live = null;
    this.page.keep = this.page.view.centre();
    this.store.set({ filters });
  }

  /** The slider: what is loaded follows at once; what is not, when it comes to rest. */
  until(date, settled) {
    if (settled) {
      this.filter({ ...this.state.filters, until: date });
      return;
    }
    this.page.live = date;
    this.page.keep = this.page.view.centre();
    this.page.later();
  }

  /** Bring a model into view, with its line, wherever it is. */
  async reveal(name) {
    const { page, state } = this;
    try {
      if (!this.#placed(name)) await page.data.open(state.focus, [name]);
    } catch (error) {
      say(`${clean(name)} could not be loaded: ${error.message}.`);
      return;
    }
    const model = page.data.named(name);
    if (!model) {
      say(`No model called ${clean(name)} is stored.`);
      return;
    }
    if (!page.forest.placed.has(model.id)) {
      page.keep = page.view.centre();
      this.store.set({ show: [...state.show.filter((other) => other !== model.name), model.name].slice(-MAX_NAMES) });
    }
    const node = page.forest.placed.get(model.id);
    if (!node) return;
    this.choose(node);
    page.interaction.walkTo(node);
  }

  /** Show the way between two models; with one of them "", remember the other, or forget the way. */
  async path(from, to) {
    const { page } = this;
    page.path = null;
    page.way = "";
    if (from && to) {
      try {
        await this.findPath(from, to);
      } catch (error) {
        page.way = `No path: ${error.message}.`;
        say(page.way);
      }
    }
    page.keep = page.view.centre();
    this.store.set({ from, to });
    const nodes = (page.path?.steps ?? []).map((id) => page.forest.placed.get(id)).filter(Boolean);
    if (nodes.length) {
      page.view.frame(nodes);
      page.interaction.walkTo(nodes.at(-1), { focus: false, scroll: false });
    } else if (from && !to) say(`Path from ${clean(from)}: now choose where to.`);
  }

  /** Ask for the way, and put it into words. */
  async findPath(from, to) {
    const { page } = this;
    const path = await page.data.path(from, to);
    page.path = path;
    page.way = path.steps.length
      ? `${plural(path.steps.length - 1, "step", "steps")}, through ${page.data.nodes.get(path.apex).label}.`
      : "They have no ancestor in common.";
    if (!path.steps.length) say(page.way);
  }
}
