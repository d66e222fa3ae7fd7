// The bar above the picture and the foot below it: find, filters, path, save, time, views.

import { NO_FILTERS } from "./state.js";
import { RELATIONS } from "./relations.js";
import { Picker } from "./picker.js";
import { clean, day } from "./text.js";

const DAY = 86_400_000;
const PLAY = 110; // ms for each step of a month

export class Controls {
  #slider = { from: 0, to: 0 };
  #playing = 0;

  /**
   * `root`: the page's element. `on`: filters(filters), until(date, settled), find(entry), path(from, to), axis(time),
   * view(name), legend(), zoom(what), save(what, withLegend), search(text).
   */
  constructor(root, on) {
    this.root = root;
    this.on = on;
    this.form = root.querySelector("#tree-filters");
    this.get = (selector) => root.querySelector(selector);
    this.#filters();
    this.#pickers();
    this.#time();
    for (const button of root.querySelectorAll("[data-view]")) button.addEventListener("click", () => on.view(button.dataset.view));
    for (const button of root.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => on.zoom(button.dataset.zoom));
    for (const button of root.querySelectorAll("[data-save]")) {
      button.addEventListener("click", () => on.save(button.dataset.save, this.get("#tree-save-legend").checked));
    }
    this.get("#tree-legend-button").addEventListener("click", () => on.legend());
    this.#popovers();
  }

  #filters() {
    const { form, on } = this;
    const read = () => {
      const data = new FormData(form);
      const chosen = data.getAll("relation");
      return {
        relation: RELATIONS.filter((relation) => chosen.includes(relation.name)).map((relation) => relation.letter),
        author: data.get("author").trim(),
        task: data.get("task").trim(),
        licence: data.get("licence").trim(),
        size: data.get("size"),
        findings: data.has("findings"),
        until: data.get("until"),
      };
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      on.filters(read());
    });
    form.addEventListener("change", (event) => {
      if (event.target.name && event.target.name !== "view") on.filters(read());
    });
    form.querySelector("[data-reset]").addEventListener("click", () => on.filters(NO_FILTERS));
  }

  #pickers() {
    const { get, on } = this;
    const search = (text) => on.search(text);
    this.finder = new Picker(get("#tree-find"), get("#tree-found"), search, (entry) => {
      get("#tree-find").value = "";
      on.find(entry);
    });
    const ends = { from: get("#tree-from"), to: get("#tree-to") };
    for (const [end, input] of Object.entries(ends)) {
      this[end] = new Picker(input, get(`#tree-${end}-list`), search, (entry) => {
        input.value = entry.name;
        if (ends.from.value.trim() && ends.to.value.trim()) on.path(ends.from.value.trim(), ends.to.value.trim());
        else (end === "from" ? ends.to : ends.from).focus();
      });
    }
    get("[data-path-show]").addEventListener("click", () => on.path(ends.from.value.trim(), ends.to.value.trim()));
    get("[data-path-clear]").addEventListener("click", () => on.path("", ""));
  }

  #time() {
    const { get, on } = this;
    const slider = get("#tree-until");
    const chosen = () => (Number(slider.value) >= Number(slider.max) ? "" : new Date(this.#slider.from + Number(slider.value) * DAY).toISOString().slice(0, 10));
    slider.addEventListener("input", () => {
      this.#stop();
      this.#words(chosen());
      on.until(chosen(), false);
    });
    slider.addEventListener("change", () => on.until(chosen(), true));
    get("#tree-axis").addEventListener("change", (event) => on.axis(event.target.checked));
    get("#tree-play").addEventListener("click", () => {
      if (this.#playing) {
        this.#stop();
        on.until(chosen(), true);
        return;
      }
      if (Number(slider.value) >= Number(slider.max)) slider.value = "0";
      get("#tree-play").setAttribute("aria-pressed", "true");
      get("#tree-play").textContent = "Pause";
      this.#playing = setInterval(() => {
        slider.value = String(Math.min(Number(slider.max), Number(slider.value) + 30));
        const last = Number(slider.value) >= Number(slider.max);
        if (last) this.#stop();
        this.#words(chosen());
        on.until(chosen(), last);
      }, PLAY);
    });
  }

  #stop() {
    clearInterval(this.#playing);
    this.#playing = 0;
    this.get("#tree-play").setAttribute("aria-pressed", "false");
    this.get("#tree-play").textContent = "Play";
  }

  #words(until) {
    const words = until ? day(Date.parse(`${until}T00:00:00Z`)) : "today";
    this.get("#tree-until-words").textContent = words;
    this.get("#tree-until").setAttribute("aria-valuetext", words);
  }

  /** One popover at a time; a click elsewhere or Escape shuts it. */
  #popovers() {
    const all = [...this.root.querySelectorAll(".tree-more")];
    for (const each of all) {
      each.addEventListener("toggle", () => {
        if (each.open) for (const other of all) if (other !== each) other.open = false;
      });
      each.addEventListener("keydown", (event) => {
        if (event.key !== "Escape" || !each.open) return;
        each.open = false;
        each.querySelector("summary").focus();
      });
    }
    document.addEventListener("pointerdown", (event) => {
      for (const each of all) if (each.open && !each.contains(event.target)) each.open = false;
    });
  }

  /** The span of the slider, in milliseconds. */
  span(from, to) {
    this.#slider = { from: Math.floor(from / DAY) * DAY, to };
    this.get("#tree-until").max = String(Math.max(1, Math.ceil((to - this.#slider.from) / DAY)));
  }

  /** Make the controls say what the state says. */
  show(state, way) {
    const { form, get } = this;
    const { filters } = state;
    for (const box of form.querySelectorAll("[name=relation]")) {
      box.checked = filters.relation.some((letter) => RELATIONS.find((r) => r.letter === letter).name === box.value);
    }
    for (const name of ["author", "task", "licence", "size", "until"]) {
      if (form.elements[name] !== document.activeElement) form.elements[name].value = filters[name];
    }
    form.elements.findings.checked = filters.findings;
    const number = [filters.author, filters.task, filters.licence, filters.size, filters.findings, filters.until].filter(Boolean).length;
    get("#tree-filter-count").textContent = number ? String(number) : "";
    if (!this.#playing && document.activeElement !== get("#tree-until")) {
      const slider = get("#tree-until");
      slider.value = filters.until ? String((Date.parse(`${filters.until}T00:00:00Z`) - this.#slider.from) / DAY) : slider.max;
    }
    this.#words(filters.until);
    get("#tree-axis").checked = state.axis === "time";
    for (const end of ["from", "to"]) if (get(`#tree-${end}`) !== document.activeElement) get(`#tree-${end}`).value = state[end];
    get("#tree-way").textContent = way;
    get("#tree-path summary span").textContent = state.from && state.to ? "Path shown" : "Path";
    get("#tree-legend").hidden = !state.legend;
    get("#tree-legend-button").setAttribute("aria-expanded", String(state.legend));
    for (const button of this.root.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed", String(button.dataset.view === state.view));
    this.root.classList.toggle("table-view", state.view === "table");
  }

  /** Offer, in the filters, what the models that are loaded have. */
  suggest(nodes) {
    const seen = { author: new Map(), task: new Map(), licence: new Map() };
    for (const node of nodes) {
      for (const [field, values] of Object.entries(seen)) if (node[field]) values.set(node[field], (values.get(node[field]) ?? 0) + 1);
    }
    for (const [field, values] of Object.entries(seen)) {
      const list = this.get(`#tree-${field}s`);
      const names = [...values].sort((a, b) => b[1] - a[1]).slice(0, 40).map(([name]) => name);
      const options = names.map((name) => {
        const option = document.createElement("option");
        option.value = clean(name);
        return option;
      });
      list.replaceChildren(...options);
    }
  }
}
