// From what the visitor chose (state) and what is loaded (data) to what is drawn: a forest of view nodes. Pure; what
// is missing for it is handed back as `wants`.
//
// A model with many parents stands in one place: under its primary parent where that is drawn and shows it, else under
// the first that lists it. Its other parents are joined to it by curves, or stand as guests in the lane before it.

import { RELATIONS, byCode, byLetter } from "./relations.js";
import { passes } from "./data.js";
import { authorship, clean, exact } from "./text.js";

const FLAT = 12; // so many children are listed without groups
const PREVIEW = 5; // of each group at first
const PAGE = 25; // more on each demand
const MANY = 60; // from here on a group that was asked for more also offers its authors
const AUTHORS = 6;
const GUESTS = 8; // of the focus at first
const LONG_LINE = 24; // a longer line to the root loses its middle

/** How many are shown after one more demand. */
export const next = (shown) => (shown < PAGE ? PAGE : shown + PAGE * (shown >= 200 ? 4 : 1));

/** Whether any filter is set. */
export const filtering = (filters) =>
  Boolean(filters.relation.length || filters.author || filters.task || filters.licence || filters.size || filters.findings || filters.until);

class Forest {
  placed = new Map(); // id → view node of a model
  homes = new Map(); // id → view node that lists it
  roots = [];
  curves = []; // { from, to, edge }: parents that are drawn elsewhere
  wants = []; // shelves to load
  wantParents = []; // ids whose parents are to be loaded
  #deferred = [];
  #queue = [];

  constructor(state, data, path) {
    this.state = state;
    this.data = data;
    this.filtering = filtering(state.filters);
    const pins = [state.focus, ...state.open.keys(), ...state.show, state.from, state.to];
    this.#pin([...pins.map((name) => data.ids.get(name)), ...(path?.steps ?? [])]);
    this.#grow();
    this.#settle();
    this.#guests();
    this.#shorten();
    this.#list();
  }

  /** Pinned models are drawn with their line to the root, whatever the filters say. */
  #pin(ids) {
    this.pinned = new Set();
    this.pins = new Map(); // parent's id → ids
    const tops = new Set();
    for (let id of ids) {
      while (id !== undefined && this.data.nodes.has(id) && !this.pinned.has(id)) {
        this.pinned.add(id);
        const parent = this.data.nodes.get(id).parent;
        if (parent === null || !this.data.nodes.has(parent) || parent === id) {
          tops.add(id);
          break;
        }
        if (!this.pins.has(parent)) this.pins.set(parent, []);
        this.pins.get(parent).push(id);
        id = parent;
      }
    }
    for (const id of tops) this.roots.push(this.#model(id, null, 0));
  }

  #model(id, home, level) {
    const model = this.data.nodes.get(id);
    const owner = home && (home.kind === "model" ? home : home.owner);
    const edge = owner ? this.data.edge(owner.id, id) : undefined;
    const node = {
      key: `m${id}`, kind: "model", id, model, edge, level, parent: home, children: [], guests: [], slots: [],
      relation: edge ? byCode(edge.r).name : model.parent === null ? "root" : "unknown",
      label: model.label,
      total: model.counts.reduce((a, b) => a + b, 0),
      shown: 0,
      focus: model.name === this.state.focus,
      open: this.state.open.has(model.name),
      context: this.filtering && !passes(model, edge?.r ?? 0, { ...this.state.filters, relation: edge ? this.state.filters.relation : [] }),
    };
    this.placed.set(id, node);
    this.homes.set(id, home);
    this.#queue.push(node);
    return node;
  }

  #pseudo(kind, home, level, fields) {
    const owner = home.kind === "model" ? home : home.owner;
    return { kind, owner, parent: home, level, children: [], guests: [], slots: [], ...fields, key: `${kind[0]}${owner.id}${fields.key}` };
  }

  /** Place models from the roots on; those listed by a parent that is not their primary one wait until the end. */
  #grow() {
    while (this.#queue.length || this.#deferred.length) {
      while (this.#queue.length) this.#expand(this.#queue.shift());
      const waiting = this.#deferred.shift();
      if (waiting && !this.placed.has(waiting.id)) this.#model(waiting.id, waiting.home, waiting.level);
    }
  }

  #offer(home, ids, level) {
    const owner = home.kind === "model" ? home : home.owner;
    for (const id of ids) {
      home.slots.push(id);
      if (this.placed.has(id)) continue;
      if (this.data.nodes.get(id).parent === owner.id) this.#model(id, home, level);
      else this.#deferred.push({ id, home, level });
    }
  }

  #expand(node) {
    const pins = this.pins.get(node.id) ?? [];
    const how = this.state.open.get(node.model.name);
    if (!how) {
      this.#offer(node, pins, node.level + 1);
      return;
    }
    const counts = this.data.counts(node.model);
    const { filters } = this.state;
    const letters = RELATIONS.map((r) => r.letter).filter((l) => counts[l] && (!filters.relation.length || filters.relation.includes(l)));
    const total = letters.reduce((sum, letter) => sum + counts[letter], 0);
    const left = new Set(pins);
    if (letters.some((letter) => !this.data.shelf(node.id, letter, "", filters))) {
      this.wants.push({ parent: node.id, letter: "", author: "", filters, shown: PREVIEW });
      node.loading = true;
    }
    for (const letter of letters) {
      let home = node;
      if (letters.length > 1 && total > FLAT) {
        home = this.#pseudo("group", node, node.level + 0.5, {
          key: letter, letter, relation: byLetter(letter).name, total: counts[letter], shown: 0, open: !how.shut.includes(letter),
        });
        node.slots.push(home);
      }
      const ours = pins.filter((id) => byCode(this.data.edge(node.id, id)?.r ?? 5).letter === letter);
      for (const id of ours) left.delete(id);
      if (home === node || home.open) this.#stock(home, node, letter, total <= FLAT ? FLAT : (how.shown[letter] ?? PREVIEW), how, ours);
      else this.#offer(home, ours, node.level + 1);
    }
    this.#offer(node, left, node.level + 1);
    node.slots = node.slots.filter((slot) => slot.kind !== "group" || slot.slots.length || !slot.open);
  }

  /** Fill a shelf: `shown` models by popularity, the authors' groups, and what asks for more. */
  #stock(home, node, letter, shown, how, pins) {
    const { filters } = this.state;
    const count = this.data.counts(node.model)[letter];
    const members = this.data.members(node.id, letter, "", filters);
    const authors = how.authors[letter] ?? {};
    const apart = (id) => this.data.nodes.get(id).author in authors;
    const enough = count <= shown + 2 ? count : shown; // "+ 1 more" takes as much room as the one
    const free = members.ids.filter((id) => !apart(id));
    const ids = free.slice(0, enough);
    const level = node.level + 1;
    this.#offer(home, [...new Set([...ids, ...pins.filter((id) => !apart(id))])], level);
    // Once for each demand: where few pass the filters, the server stops looking after a while, and says how far it got.
    const wanted = enough + members.ids.length - free.length;
    if (members.known && free.length < enough && !members.done && members.asked < wanted) {
      this.wants.push({ parent: node.id, letter, author: "", filters, shown: wanted });
      home.loading = true;
    }
    const { list = [], sampled = 0 } = this.data.authors.get(`${node.id}|${letter}`) ?? {};
    const parted = (shown > PREVIEW && count > MANY) || Object.keys(authors).length;
    let claimed = 0;
    if (parted) {
      const frequent = list.filter(([author, number]) => (author in authors) || number > 2).slice(0, AUTHORS);
      const others = Object.keys(authors).filter((author) => !frequent.some(([name]) => name === author)).map((author) => [author, 0]);
      for (const [author, number] of [...frequent, ...others]) {
        claimed += this.#author(home, node, letter, author, number, authors[author], pins.filter((id) => this.data.nodes.get(id).author === author), sampled < count);
      }
    }
    if (members.done && !members.ids.length && !pins.length) {
      home.slots.push(this.#pseudo("none", home, level, { key: letter, letter, relation: byLetter(letter).name, total: count }));
      return;
    }
    if (!members.known || (members.done && free.length <= ids.length)) return;
    const rest = this.filtering ? null : Math.max(0, count - ids.length - claimed);
    if (rest === 0) return;
    home.slots.push(this.#pseudo("more", home, level, {
      key: letter, letter, author: "", relation: byLetter(letter).name, shown: enough, rest,
      looked: members.looked, total: count, loading: home.loading,
      // Before more is asked for, say where they come from.
      note: parted || this.filtering ? "" : authorship(list, sampled),
    }));
  }

  /** One author's models of a shelf, shut until asked for. Returns how many it shows. */
  #author(home, node, letter, author, number, shown, pins, sampled) {
    const { filters } = this.state;
    const group = this.#pseudo("author", home, node.level + 1, {
      key: `${letter}${author}`, letter, author, name: clean(author), relation: byLetter(letter).name, total: number, sampled,
      open: shown !== undefined, shown: 0,
    });
    home.slots.push(group);
    if (shown === undefined) {
      this.#offer(group, pins, node.level + 1.5);
      return 0;
    }
    const members = this.data.members(node.id, letter, author, filters);
    const ids = members.ids.slice(0, shown);
    this.#offer(group, [...new Set([...ids, ...pins])], node.level + 1.5);
    if (ids.length < shown && !members.done && !(members.asked >= shown)) {
      this.wants.push({ parent: node.id, letter, author, filters, shown });
      group.loading = true;
    }
    if (members.known && !(members.done && ids.length === members.ids.length)) {
      group.slots.push(this.#pseudo("more", group, node.level + 1.5, {
        key: `${letter}${author}`, letter, author, relation: byLetter(letter).name, shown, rest: null, looked: 0, total: 0,
        note: "", loading: group.loading,
      }));
    }
    return ids.length;
  }

  /** Each home keeps the slots that were placed with it. */
  #settle() {
    const homes = [...this.placed.values()];
    for (let at = 0; at < homes.length; at += 1) {
      const home = homes[at];
      const slots = home.slots.map((slot) => (typeof slot === "object" ? slot : this.homes.get(slot) === home ? this.placed.get(slot) : null));
      home.children = [...new Set(slots.filter(Boolean))];
      home.slots = null;
      for (const child of home.children) if (child.kind !== "model" && child.slots) homes.push(child);
    }
    const tally = (home) => {
      const owner = home.kind === "model" ? home : home.owner;
      for (const child of home.children) {
        if (child.kind === "model") {
          owner.shown += 1;
          if (home !== owner) home.shown += 1;
          if (home.kind === "author" && home.parent.kind === "group") home.parent.shown += 1;
        }
        tally(child);
      }
    };
    this.roots.forEach(tally);
  }

  /** Other parents: a curve where they are drawn, else a place in the lane before the model. */
  #guests() {
    for (const node of this.placed.values()) {
      const owner = node.parent && (node.parent.kind === "model" ? node.parent : node.parent.owner);
      const away = [];
      for (const edge of this.data.parents.get(node.id) ?? []) {
        if (edge.p === owner?.id) continue;
        if (this.placed.has(edge.p)) {
          this.curves.push({ from: this.placed.get(edge.p), to: node, edge });
          this.placed.get(edge.p).shown += 1;
        } else away.push(edge);
      }
      if (node.model.self) this.curves.push({ from: node, to: node, edge: { p: node.id, c: node.id, r: 5, m: 0, k: "contradicted" } });
      const ghosts = this.data.ghosts.get(node.id) ?? [];
      node.absent = away.length + ghosts.length;
      if (!node.absent) continue;
      const wanted = this.state.guests.get(node.model.name) ?? (node.focus ? GUESTS : 0);
      const shown = node.absent <= wanted + 2 && wanted ? node.absent : wanted;
      if (!shown) continue;
      if (away.slice(0, shown).some((edge) => !this.data.nodes.has(edge.p))) {
        this.wantParents.push(node.id);
        node.loading = true;
      }
      const lane = [
        ...away.filter((edge) => this.data.nodes.has(edge.p)).map((edge) => {
          const model = this.data.nodes.get(edge.p);
          const own = this.data.parents.get(edge.p)?.find((each) => each.primary);
          const relation = model.parent === null ? "root" : byCode(own?.r).name;
          return { key: `p${node.id}-${edge.p}`, kind: "guest", id: edge.p, model, edge, label: model.label, relation };
        }),
        ...ghosts.map((ghost) => ({ key: `x${node.id}${ghost.text}`, kind: "ghost", ghost, edge: null, label: ghost.label, relation: "unknown" })),
      ];
      node.guests = lane.slice(0, shown).map((guest) => ({ ...guest, host: node, children: [], guests: [], level: node.level - 1 }));
      if (node.absent > shown) {
        node.guests.push({
          key: `y${node.id}`, kind: "moreguests", host: node, children: [], guests: [], level: node.level - 1, relation: "unknown",
          label: `+ ${exact(node.absent - shown)} more parents`, shown,
        });
      }
    }
  }

  /** A very long line to the root loses its middle, until it is asked for. */
  #shorten() {
    if (this.state.line === "full") return;
    const focus = this.placed.get(this.data.ids.get(this.state.focus));
    const line = [];
    for (let node = focus; node; node = node.parent) line.unshift(node);
    if (line.length <= LONG_LINE) return;
    const middle = line.slice(2, -8);
    if (middle.some((node) => node.kind !== "model" || node.open || node.children.length !== 1 || node.guests.length)) return;
    const after = line[line.length - 8];
    const gap = this.#pseudo("elided", line[1], line[1].level + 1, { key: "", relation: "unknown", total: middle.length });
    gap.children = [after];
    line[1].children = [gap];
    after.parent = gap;
    for (const node of middle) this.placed.delete(node.id);
    const lift = after.level - gap.level - 1;
    const lower = (node) => {
      node.level -= lift;
      for (const guest of node.guests) guest.level -= lift;
      node.children.forEach(lower);
    };
    lower(after);
    this.curves = this.curves.filter(({ from, to }) => this.placed.has(from.id) && this.placed.has(to.id));
  }

  /** All view nodes in reading order, and by key. */
  #list() {
    this.order = [];
    this.byKey = new Map();
    const number = (siblings) => siblings.forEach((each, at) => Object.assign(each, { place: at + 1, of: siblings.length }));
    number(this.roots);
    const visit = (node) => {
      number(node.children);
      number(node.guests);
      for (const each of [...node.guests, node]) {
        this.order.push(each);
        this.byKey.set(each.key, each);
      }
      node.children.forEach(visit);
    };
    this.roots.forEach(visit);
  }
}

/**
 * What is to be drawn.
 *
 * `path` is the answer of data.path() or null. The result has `roots`, `order` (view nodes in reading order), `byKey`,
 * `placed` (id → view node), `curves`, and `wants` and `wantParents`: what must be loaded for it to be whole.
 */
export function build(state, data, path = null) {
  return new Forest(state, data, path);
}

/** The view nodes from one up to its root, itself first. */
export function line(node) {
  const nodes = [];
  for (let at = node.host ?? node; at; at = at.parent) nodes.push(at);
  return node.host ? [node, ...nodes] : nodes;
}
