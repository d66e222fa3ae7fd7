// What the server has told so far: models, edges, shelves of children. Fetches each thing once.
//
// A shelf is one parent's children of one relation (and author), in order of popularity, as far as they were fetched,
// under one set of filters.

import { NO_FILTERS, writeFilters } from "./state.js";
import { RELATIONS, byCode, byLetter } from "./relations.js";
import { clean } from "./text.js";

const MOST_AT_ONCE = 500; // as hubapp/web/tree_data.py has it

const SIZE_BOUNDS = {
  "under-1b": [0, 1e9], "1b-4b": [1e9, 4e9], "4b-9b": [4e9, 9e9], "9b-20b": [9e9, 20e9], "20b-80b": [20e9, 80e9],
  "over-80b": [80e9, Infinity],
};

/** Whether a model and the edge it hangs on pass the filters: the same rules as the server's. */
export function passes(node, relation, filters) {
  if (filters.relation.length && !filters.relation.includes(byCode(relation).letter)) return false;
  if (filters.author && node.author.toLowerCase() !== filters.author.toLowerCase()) return false;
  if (filters.task && node.task !== filters.task) return false;
  if (filters.licence && node.licence !== filters.licence) return false;
  if (filters.findings && !node.findings) return false;
  if (filters.size === "unknown" && node.parameters !== null) return false;
  if (filters.size && filters.size !== "unknown") {
    const [least, below] = SIZE_BOUNDS[filters.size];
    if (node.parameters === null || node.parameters < least || node.parameters >= below) return false;
  }
  // A model whose date is not known is not hidden by a date.
  if (filters.until && node.created !== null && node.created >= endOf(filters.until)) return false;
  return true;
}

let ends = ["", 0]; // the same day is asked for thousands of times in a row

/** The end of a day, in milliseconds. */
export function endOf(date) {
  if (ends[0] !== date) ends = [date, Date.parse(`${date}T00:00:00Z`) + 86_400_000];
  return ends[1];
}

/** The key of a shelf. */
export const shelfKey = (parent, letter, author, filters) => `${parent}|${letter}|${author}|${filters}`;

export class Data {
  nodes = new Map(); // id → model
  ids = new Map(); // name → id
  parents = new Map(); // child's id → its edges, primary first
  ghosts = new Map(); // child's id → parents that were named but name no repo
  shelves = new Map();
  authors = new Map(); // `${parent}|${letter}` → { list: [[author, count]], sampled }
  whole = new Set(); // ids of models whose parents are all loaded
  missing = new Set(); // names that the server does not know
  #waiting = new Map(); // URL → promise
  #failed = new Map(); // URL → error, so that a redraw does not ask for ever

  /** `urls`: open, children, parents, find, path; each ends where a name or an id is to be added. */
  constructor(urls) {
    this.urls = urls;
  }

  /** The stored model of that name, or undefined. */
  named(name) {
    return this.nodes.get(this.ids.get(name));
  }

  /** The edge from `parent` to `child`, or undefined. */
  edge(parent, child) {
    return this.parents.get(child)?.find((edge) => edge.p === parent);
  }

  /** All that `model` has as children, by relation's letter. */
  counts(model) {
    return Object.fromEntries(RELATIONS.map((relation, at) => [relation.letter, model.counts[at]]));
  }

  /** Take in what any answer may hold. */
  take(answer) {
    for (const node of answer.nodes ?? []) {
      node.label = clean(node.name);
      this.nodes.set(node.id, node);
      this.ids.set(node.name, node.id);
    }
    for (const edge of answer.edges ?? []) {
      const known = this.parents.get(edge.c) ?? [];
      const others = known.filter((old) => old.p !== edge.p);
      others.push(edge);
      others.sort((a, b) => Number(b.primary) - Number(a.primary) || a.at - b.at);
      this.parents.set(edge.c, others);
    }
    for (const ghost of answer.ghosts ?? []) {
      ghost.label = clean(ghost.text);
      const known = (this.ghosts.get(ghost.child) ?? []).filter((old) => old.text !== ghost.text);
      this.ghosts.set(ghost.child, [...known, ghost]);
    }
    for (const id of answer.whole ?? []) this.whole.add(id);
    for (const name of answer.missing ?? []) this.missing.add(name);
    for (const [old, name] of Object.entries(answer.renamed ?? {})) this.ids.set(old, this.ids.get(name));
    return answer;
  }

  /** Ask once: who asks for what is under way waits for the same answer. */
  #get(url) {
    if (!this.#waiting.has(url)) {
      const request = fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin" })
        .then(async (response) => {
          if (!response.ok) {
            const problem = await response.json().catch(() => null);
            throw new Error(problem?.error?.message ?? `the server answered ${response.status}`);
          }
          return response.json();
        })
        .then((answer) => this.take(answer))
        .catch((error) => {
          this.#failed.set(url, error);
          throw error;
        })
        .finally(() => this.#waiting.delete(url));
      this.#waiting.set(url, request);
    }
    return this.#waiting.get(url);
  }

  /** The focus with its line to the root and its parents, and the lines of other names. */
  open(focus, names) {
    const query = names.map((name) => `also=${encodeURIComponent(name)}`).join("&");
    return this.#get(`${this.urls.open}${encodeURI(focus).replace(/[?#]/g, encodeURIComponent)}${query ? `?${query}` : ""}`);
  }

  /** Every parent of a model, and what it named in vain. */
  async loadParents(id) {
    await this.#get(`${this.urls.parents}${id}`);
    this.whole.add(id);
  }

  /** Models of a family whose names hold `text`. */
  find(root, text) {
    return this.#get(`${this.urls.find}${root}?q=${encodeURIComponent(text)}`);
  }

  /** The shortest way of descent between two models: `{ steps: [id], apex, edges }`. */
  path(from, to) {
    return this.#get(`${this.urls.path}?from=${encodeURIComponent(from)}&to=${encodeURIComponent(to)}`);
  }

  /** The shelf as far as it is known; undefined where nothing was asked yet. */
  shelf(parent, letter, author, filters) {
    return this.shelves.get(shelfKey(parent, letter, author, writeFilters(filters)));
  }

  /**
   * What can be shown of a shelf now: fetched under these filters, or else, until that has come, what was fetched
   * without filters and passes them. `known` says which.
   */
  members(parent, letter, author, filters) {
    const shelf = this.shelf(parent, letter, author, filters);
    if (shelf) return { ...shelf, known: true };
    const plain = this.shelf(parent, letter, author, NO_FILTERS);
    const ids = (plain?.ids ?? []).filter((id) => {
      const node = this.nodes.get(id);
      return passes(node, this.edge(parent, id)?.r ?? 5, filters);
    });
    return { ids, done: false, looked: 0, asked: 0, after: null, known: false };
  }

  /** Fetch what is wanted: `{ parent, letter, author, filters, shown }`. Letter "" asks for a first look at all. */
  async load({ parent, letter, author, filters, shown }) {
    const asked = writeFilters(filters);
    const shelf = letter ? this.shelves.get(shelfKey(parent, letter, author, asked)) : undefined;
    const query = [asked];
    const limit = Math.max(12, Math.min(MOST_AT_ONCE, shown - (shelf?.ids.length ?? 0)));
    if (letter) {
      query.push(`shelf=${byLetter(letter).name}`, `limit=${limit}`);
      if (shelf?.after) query.push(`after=${shelf.after}`);
      if (author) query.push(`of=${encodeURIComponent(author)}`);
    }
    const url = `${this.urls.children}${parent}?${query.filter(Boolean).join("&")}`;
    if (this.#failed.has(url)) throw this.#failed.get(url);
    const before = shelf?.ids.length ?? 0;
    const answer = await this.#get(url);
    for (const [name, page] of Object.entries(answer.shelves)) {
      const key = shelfKey(parent, name, author, asked);
      const old = letter ? this.shelves.get(key) : undefined;
      if (!letter && this.shelves.has(key)) continue;
      if ((old?.ids.length ?? 0) !== before) continue; // somebody else's answer to the same question was taken in
      this.shelves.set(key, {
        ids: [...(old?.ids ?? []), ...page.ids],
        after: page.after,
        done: page.done,
        looked: (old?.looked ?? 0) + page.looked,
        // A page that came back full says nothing of what follows; one that did not was looked for in vain.
        asked: letter && page.ids.length < limit ? shown : before + page.ids.length,
      });
      if (page.authors) this.authors.set(`${parent}|${name}`, { list: page.authors, sampled: page.sampled });
    }
  }

  /** Forget failures: the visitor asks again. */
  retry() {
    this.#failed.clear();
  }
}
