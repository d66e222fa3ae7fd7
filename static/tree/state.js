// What the visitor has chosen, and its form in the address: whoever opens the address sees the same picture.

import { RELATIONS, byLetter } from "./relations.js";

/** Bounds of what an address carries: beyond them the oldest entries are dropped. The server reads as many. */
export const MAX_NAMES = 60;
const MAX_SHOWN = 5000;

/** Sizes to filter by: name in the address, words, bounds in parameters. hubapp/web/tree.py has the same list. */
export const SIZES = [
  ["under-1b", "under 1 B"],
  ["1b-4b", "1 to 4 B"],
  ["4b-9b", "4 to 9 B"],
  ["9b-20b", "9 to 20 B"],
  ["20b-80b", "20 to 80 B"],
  ["over-80b", "over 80 B"],
  ["unknown", "not known"],
];

export const NO_FILTERS = Object.freeze({
  relation: Object.freeze([]), author: "", task: "", licence: "", size: "", findings: false, until: "",
});

/** How a node that is open shows its children: how many of each relation, which authors, which groups are shut. */
export const PLAIN = Object.freeze({ shown: Object.freeze({}), authors: Object.freeze({}), shut: Object.freeze([]) });

export function initial(focus) {
  return {
    focus,
    open: new Map([[focus, PLAIN]]), // name → PLAIN-like
    guests: new Map(), // name of a model with many parents → how many are shown
    show: [], // names brought into view by search or path
    at: "", // the name that is selected
    from: "", to: "", // ends of a path
    filters: NO_FILTERS,
    axis: "depth", // or "time"
    view: "tree", // or "table"
    sort: "", // of the table: column, "-" before it for descending
    line: "", // "full": long lines are not shortened
    legend: false,
    camera: null, // { x, y, k }: the world's point in the middle of the picture, and the zoom
  };
}

const count = (text, most = MAX_SHOWN) => Math.min(most, Math.max(0, Number.parseInt(text, 10) || 0));

const encode = (text) => encodeURIComponent(text).replaceAll("%2F", "/");

// Inside an entry of `open`, ":", ",", "=" and "@" part the pieces, and whoever passes the address on may encode them
// once: a name that holds one of them (no valid repo id does) is encoded twice.
const escape = (text) => (/[:,=@%]/.test(text) ? encodeURIComponent(encode(text)) : encode(text));
const unescape = (text) => {
  try {
    const once = decodeURIComponent(text);
    return once.includes("%") ? decodeURIComponent(once) : once;
  } catch {
    return text;
  }
};

/** "org/name:q29,a0,q@TheBloke=12" → [name, how it shows its children]. "q0" is a group that is shut. */
function readOpen(text) {
  const [name, rest = ""] = text.split(":");
  const shown = {};
  const authors = {};
  const shut = [];
  for (const part of rest.split(",").filter(Boolean).slice(0, 50)) {
    const letter = part[0];
    if (!byLetter(letter) && letter !== "*") continue;
    if (part[1] === "@") {
      const [author, number] = part.slice(2).split("=");
      (authors[letter] ??= {})[unescape(author)] = count(number);
    } else if (count(part.slice(1)) > 0) {
      shown[letter] = count(part.slice(1));
    } else {
      shut.push(letter);
    }
  }
  return [unescape(name), { shown, authors, shut }];
}

function writeOpen(name, how) {
  const parts = how.shut.map((letter) => `${letter}0`);
  for (const [letter, number] of Object.entries(how.shown)) parts.push(`${letter}${number}`);
  for (const [letter, authors] of Object.entries(how.authors)) {
    for (const [author, number] of Object.entries(authors)) parts.push(`${letter}@${escape(author)}=${number}`);
  }
  return parts.length ? `${escape(name)}:${parts.join(",")}` : escape(name);
}

/** The state that an address's query tells. What can't be read is left out. */
export function read(focus, search) {
  const query = new URLSearchParams(search);
  const state = initial(focus);
  if (query.has("open")) {
    const raw = search.replace(/^\?/, "").split("&").filter((pair) => pair.startsWith("open="));
    const entries = raw.map((pair) => pair.slice(5).replace(/%(3A|2C|3D|40)/gi, decodeURIComponent));
    state.open = new Map(entries.filter(Boolean).slice(0, MAX_NAMES).map(readOpen));
  }
  for (const text of query.getAll("parents").slice(0, MAX_NAMES)) {
    const at = text.lastIndexOf("=");
    if (at > 0) state.guests.set(text.slice(0, at), count(text.slice(at + 1)));
  }
  state.show = query.getAll("show").slice(0, MAX_NAMES);
  for (const key of ["at", "from", "to"]) state[key] = query.get(key) ?? "";
  const letters = query.getAll("relation").flatMap((text) => text.split(","));
  state.filters = {
    relation: RELATIONS.filter((r) => letters.includes(r.name) || letters.includes(r.letter)).map((r) => r.letter),
    author: query.get("author") ?? "",
    task: query.get("task") ?? "",
    licence: query.get("licence") ?? "",
    size: SIZES.some(([name]) => name === query.get("size")) ? query.get("size") : "",
    findings: query.get("findings") === "1",
    until: /^\d{4}-\d\d-\d\d$/.test(query.get("until") ?? "") ? query.get("until") : "",
  };
  if (query.get("axis") === "time") state.axis = "time";
  if (query.get("view") === "table") state.view = "table";
  if (query.get("line") === "full") state.line = "full";
  if (query.get("legend") === "1") state.legend = true;
  if (/^-?[a-z]+$/.test(query.get("sort") ?? "")) state.sort = query.get("sort");
  const camera = (query.get("c") ?? "").split(",").map(Number);
  if (camera.length === 3 && camera.every(Number.isFinite) && camera[2] > 0) {
    state.camera = { x: camera[0], y: camera[1], k: camera[2] };
  }
  return state;
}

/** What the server filters by, as a query ("" for nothing). */
export function writeFilters(filters) {
  const parts = [];
  if (filters.relation.length) parts.push(`relation=${filters.relation.map((letter) => byLetter(letter).name).join(",")}`);
  for (const key of ["author", "task", "licence", "size", "until"]) {
    if (filters[key]) parts.push(`${key}=${encodeURIComponent(filters[key])}`);
  }
  if (filters.findings) parts.push("findings=1");
  return parts.join("&");
}

/** The address's query for a state, "" for the initial one. */
export function write(state) {
  const parts = [];
  const filters = writeFilters(state.filters);
  if (filters) parts.push(filters);
  const [only] = state.open;
  const untouched = state.open.size === 1 && only[0] === state.focus && writeOpen(...only) === escape(state.focus);
  if (!untouched) {
    if (!state.open.size) parts.push("open=");
    for (const [name, how] of [...state.open].slice(-MAX_NAMES)) parts.push(`open=${writeOpen(name, how)}`);
  }
  for (const [name, number] of [...state.guests].slice(-MAX_NAMES)) parts.push(`parents=${encode(name)}=${number}`);
  for (const name of state.show.slice(-MAX_NAMES)) parts.push(`show=${encode(name)}`);
  for (const key of ["at", "from", "to"]) if (state[key]) parts.push(`${key}=${encode(state[key])}`);
  if (state.axis === "time") parts.push("axis=time");
  if (state.view === "table") parts.push("view=table");
  if (state.sort) parts.push(`sort=${state.sort}`);
  if (state.line) parts.push(`line=${state.line}`);
  if (state.legend) parts.push("legend=1");
  if (state.camera) parts.push(`c=${Math.round(state.camera.x)},${Math.round(state.camera.y)},${state.camera.k.toFixed(3)}`);
  return parts.length ? `?${parts.join("&")}` : "";
}

/** Holds the state; tells its listeners of each change, and what it was before. */
export class Store {
  #listeners = [];

  constructor(state) {
    this.state = state;
  }

  set(patch, how = {}) {
    const before = this.state;
    this.state = { ...before, ...patch };
    for (const listener of this.#listeners) listener(this.state, before, how);
  }

  /** Change how an open node shows its children; opens it where it was not. */
  adjust(name, change, how = {}) {
    const open = new Map(this.state.open);
    const old = open.get(name) ?? PLAIN;
    open.set(name, { ...old, ...change(old) });
    this.set({ open }, how);
  }

  subscribe(listener) {
    this.#listeners.push(listener);
  }
}
