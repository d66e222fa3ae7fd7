// The tree page: ties state, data, drawing and controls together.

import { say } from "../js/site.js";
import { Camera } from "./camera.js";
import { Controls } from "./controls.js";
import { Data } from "./data.js";
import { Deeds } from "./deeds.js";
import { download, savePng, saveSvg } from "./export.js";
import { build, filtering } from "./forest.js";
import { Interaction, traceOf, traceOfPath } from "./interact.js";
import { Ruler, dress } from "./labels.js";
import { FULL, TOUCH, place } from "./layout.js";
import { Panel } from "./panel.js";
import { Picture } from "./picture.js";
import { MAX_NAMES, Store, read, write } from "./state.js";
import { Table } from "./table.js";
import { clean, exact, rounded } from "./text.js";
import { View } from "./view.js";

class Page {
  path = null; // the way between two models that is shown
  way = ""; // … in words
  keep = ""; // key of the node that is to stay where it is
  live = null; // the date that the slider passes over
  chosenKey = ""; // of what is selected and no model
  forest = null;
  #first = true;
  #failed = new Set(); // what could not be loaded: not asked again until the visitor does something
  #waiting = false; // a drawing is due
  #busy = false; // something is under way from the server

  constructor(root) {
    this.root = root;
    const urls = root.dataset;
    this.store = new Store(read(urls.focus, location.search));
    this.data = new Data(urls);
    this.picture = new Picture(root.querySelector("#tree-picture"), new Camera());
    this.picture.stirred = () => this.told();
    this.ruler = new Ruler(document.documentElement);
    this.note = root.querySelector("#tree-note");
    this.view = new View(this);
    const deeds = new Deeds(this);
    this.deeds = deeds;
    const { store, view } = this;

    this.interaction = new Interaction(this.picture, {
      act: (node) => deeds.act(node), pill: (node, does) => deeds.pill(node, does), choose: (node) => deeds.choose(node),
      open: (node) => deeds.open(node), rest: (node) => this.rest(node), moved: () => view.moved(),
      fit: () => view.zoom("fit"), room: (dx, dy) => view.room(dx, dy),
    });
    this.panel = new Panel(root.querySelector("#tree-panel"), urls, {
      open: (node) => deeds.open(node), shut: (node) => deeds.shut(node), parents: (node) => deeds.parents(node),
      focus: (node) => location.assign(urls.tree + node.model.name.split("/").map(encodeURIComponent).join("/")),
      from: (node) => deeds.path(node.model.name, ""), to: (node) => deeds.path(store.state.from, node.model.name),
      close: (node) => {
        deeds.choose(null);
        const still = this.forest.byKey.get(node.key);
        if (still) this.interaction.walkTo(still, { scroll: false });
      },
    });
    this.table = new Table(root.querySelector("#tree-table"), urls, {
      sort: (column) => store.set({ sort: store.state.sort === column ? `-${column}` : column }),
      show: (key) => {
        store.set({ view: "tree" });
        const node = this.forest.byKey.get(key);
        if (!node) return;
        deeds.choose(node);
        this.interaction.walkTo(node);
      },
    });
    this.controls = new Controls(root, {
      filters: (filters) => deeds.filter(filters),
      until: (date, settled) => deeds.until(date, settled),
      find: (entry) => deeds.reveal(entry.name),
      search: (text) => this.data.find(this.data.named(store.state.focus)?.root ?? 0, text),
      path: (from, to) => deeds.path(from, to),
      axis: (time) => {
        this.keep = view.centre();
        store.set({ axis: time ? "time" : "depth" });
      },
      view: (name) => store.set({ view: name }),
      legend: () => store.set({ legend: !store.state.legend }),
      zoom: (what) => view.zoom(what),
      save: (what, withLegend) => this.save(what, withLegend),
    });
    store.subscribe((state, before) => this.changed(state, before));
    new ResizeObserver(() => this.resized()).observe(this.picture.root);
  }

  // --- from state and data to the picture ---------------------------------------------------------------------------
  async start() {
    const { state } = this.store;
    const names = [...state.open.keys(), ...state.show, ...state.guests.keys(), state.from, state.to, state.at];
    try {
      await this.data.open(state.focus, [...new Set(names)].filter((name) => name && name !== state.focus).slice(0, MAX_NAMES));
      if (state.from && state.to) await this.deeds.findPath(state.from, state.to);
    } catch (error) {
      this.fail(error);
      return;
    }
    // Time runs from the oldest of what is loaded until today.
    const known = [...this.data.nodes.values()].map((node) => node.created).filter((time) => time !== null);
    this.controls.span(Math.min(...known, Date.now() - 31 * 86_400_000), Date.now());
    this.draw();
  }

  /** The state as it is drawn: with the date that the slider passes over. */
  get seen() {
    const { state } = this.store;
    return this.live === null ? state : { ...state, filters: { ...state.filters, until: this.live } };
  }

  /** Build, place and draw what state and data say; ask for what is missing. */
  draw({ animate = true } = {}) {
    const { state } = this.store;
    const focus = this.data.named(state.focus);
    if (!focus) return;
    const forest = build(this.seen, this.data, this.path);
    const narrow = this.view.narrow;
    dress(forest, this.ruler, { short: narrow, most: narrow ? 30 : this.picture.width < 1100 ? 44 : 56 });
    const labelRoom = Math.min(narrow ? 190 : 400, Math.max(120, ...forest.order.map((node) => node.width)) + 40);
    const row = matchMedia("(pointer: coarse)").matches ? TOUCH : FULL;
    const frame = { row, ...place(forest, { width: this.picture.width, row, labelRoom, axis: state.axis }) };
    this.forest = forest;
    this.frame = frame;
    this.view.learn(forest, labelRoom);
    this.mark();
    if (this.#first) this.view.aim();
    if (!forest.byKey.has(this.picture.active)) this.picture.active = forest.byKey.has(this.keep) ? this.keep : `m${focus.id}`;
    this.picture.trace = this.traced();
    this.picture.show(forest, frame, { keep: this.#first ? "" : this.keep || `m${focus.id}`, animate: animate && !this.#first });
    this.#busy = this.load();
    if (!this.#busy) {
      this.#first = false;
      this.note.hidden = true;
    }
    this.told();
    this.tell();
  }

  /** Say, on the page's element, whether the picture is whole and at rest. */
  told() {
    this.root.dataset.state = this.#busy || this.#waiting ? "loading" : this.picture.moving ? "moving" : "ready";
  }

  /** Draw once for all that happens before the next frame. */
  later() {
    if (this.#waiting) return;
    this.#waiting = true;
    this.told();
    requestAnimationFrame(() => {
      this.#waiting = false;
      this.draw();
    });
  }

  /** Ask the server for what the forest lacks. Returns whether anything is under way. */
  load() {
    const { forest, data } = this;
    const { filters } = this.store.state;
    let waiting = false;
    const ask = (key, node, load) => {
      if (this.#failed.has(key)) {
        if (node) node.loading = false;
        return;
      }
      waiting = true;
      load().then(() => this.later(), (error) => {
        this.#failed.add(key);
        say(`${node ? clean(node.label) : "This"} could not be loaded: ${error.message}.`);
        this.later();
      });
    };
    // While the slider moves, what is loaded has to do.
    if (this.live !== null) for (const node of forest.order) node.loading = false;
    for (const want of this.live === null ? forest.wants : []) {
      const key = JSON.stringify([want.parent, want.letter, want.author, filters, want.shown]);
      ask(key, forest.placed.get(want.parent), () => data.load({ ...want, filters }));
    }
    for (const id of forest.wantParents) {
      if (!data.whole.has(id)) ask(`parents ${id}`, forest.placed.get(id), () => data.loadParents(id));
    }
    return waiting;
  }

  changed(state, before) {
    clearTimeout(this.addressTimer);
    this.addressTimer = setTimeout(() => {
      const address = location.pathname + write(this.store.state);
      if (address !== location.pathname + location.search) history.replaceState(null, "", address);
    }, 120);
    const redraw = ["open", "guests", "show", "from", "to", "filters", "axis", "line"].some((key) => state[key] !== before[key]);
    if (redraw) {
      this.#failed.clear();
      this.data.retry();
      this.draw();
    } else {
      this.tell();
      this.picture.ask();
    }
  }

  /** Mark what is selected. */
  mark() {
    if (!this.forest) return;
    const { at } = this.store.state;
    const chosen = at ? this.forest.placed.get(this.data.ids.get(at)) : this.forest.byKey.get(this.chosenKey);
    for (const node of this.forest.order) node.chosen = node === chosen;
    this.showPanel(chosen ?? null);
    this.picture.ask();
  }

  /** What is known of the selected node, beside the picture or, on a phone, over its lower part. */
  showPanel(node) {
    const { element } = this.panel;
    this.panel.show(node, this.data, this.store.state);
    const narrow = this.view.narrow;
    this.picture.covered = { right: narrow || element.hidden ? 0 : element.offsetWidth + 12, bottom: narrow && !element.hidden ? element.offsetHeight : 0 };
  }

  /** Everything beside the picture. */
  tell() {
    const { forest } = this;
    if (!forest) return;
    const { state } = this.store;
    this.controls.show(this.seen, this.way);
    const models = forest.placed.size;
    const total = Math.max(models, (forest.roots[0]?.model.descendants ?? 0) + 1);
    const passing = [...forest.placed.values()].filter((node) => !node.context).length;
    this.root.querySelector("#tree-shown").textContent = filtering(this.seen.filters)
      ? `${exact(passing)} ${passing === 1 ? "passes" : "pass"} the filters${models > passing ? `, ${exact(models - passing)} more on their lines` : ""}`
      : `${exact(models)} of ${rounded(total)} shown`;
    if (state.view === "table") this.table.show(forest, this.data, state);
    this.showPanel(forest.order.find((node) => node.chosen) ?? null);
    clearTimeout(this.suggestTimer);
    this.suggestTimer = setTimeout(() => this.controls.suggest(this.data.nodes.values()), 400);
  }

  fail(error) {
    const retry = document.createElement("button");
    retry.type = "button";
    retry.className = "button";
    retry.textContent = "Try again";
    retry.addEventListener("click", () => {
      this.note.replaceChildren("Loading the tree…");
      this.data.retry();
      this.start();
    });
    this.note.hidden = false;
    this.note.replaceChildren(`The tree did not load: ${error.message}. `, retry);
    this.root.dataset.state = "failed";
  }

  // --- light --------------------------------------------------------------------------------------------------------
  /** What the mouse or the keyboard rests on lights its line to the root. */
  rest(node) {
    this.picture.resting = node?.key ?? "";
    this.picture.trace = this.traced();
    this.picture.ask();
  }

  traced() {
    const resting = this.forest?.byKey.get(this.picture.resting);
    if (resting) return traceOf(this.forest, resting);
    return this.path?.steps.length ? traceOfPath(this.forest, this.path.steps) : null;
  }

  resized() {
    const { width, height } = this.picture;
    if (!this.picture.root.clientWidth) return;
    this.picture.resize();
    if (!this.forest || (width === this.picture.width && height === this.picture.height)) return;
    this.keep = this.view.centre();
    this.draw({ animate: false });
  }

  // --- files --------------------------------------------------------------------------------------------------------
  async save(what, withLegend) {
    const { state } = this.store;
    if (what === "link") {
      const address = location.origin + location.pathname + write(state);
      await navigator.clipboard.writeText(address).then(() => say("Copied."), () => say("Copying is not allowed here: the address bar has it."));
      return;
    }
    if (!this.forest) return;
    const stem = state.focus.replace(/[^A-Za-z0-9._-]+/g, "-") || "tree";
    try {
      const saved = saveSvg({ forest: this.forest, frame: this.frame, host: this.root, title: `Descent of ${state.focus}`, withLegend });
      if (what === "svg") download(new Blob([saved.text], { type: "image/svg+xml" }), `${stem}.svg`);
      else download(await savePng(saved), `${stem}.png`);
    } catch (error) {
      say(`The picture could not be saved: ${error.message}.`);
    } finally {
      this.picture.refresh();
    }
  }
}

const root = document.getElementById("tree");
if (root) new Page(root).start();
