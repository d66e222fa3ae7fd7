// A search box with a list below it: a combobox that finds models of the family through the server.

import { html } from "./panel.js";
import { clean } from "./text.js";

const WAIT = 160; // ms after the last key

export class Picker {
  #found = [];
  #at = -1;
  #timer = 0;
  #turn = 0;

  /** `search(text)` gives a promise of `[{ id, name, depth }]`; `choose(entry)` is told what was picked. */
  constructor(input, list, search, choose) {
    Object.assign(this, { input, list, search, choose });
    input.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#ask(), WAIT);
    });
    input.addEventListener("keydown", (event) => this.#key(event));
    input.addEventListener("blur", () => setTimeout(() => this.close(), 150));
    input.addEventListener("focus", () => input.value.trim() && this.#found.length && this.#open());
    list.addEventListener("pointerdown", (event) => event.preventDefault()); // the input keeps the focus
    list.addEventListener("click", (event) => {
      const at = event.target.closest("[role=option]")?.dataset.at;
      if (at !== undefined) this.#pick(this.#found[Number(at)]);
    });
  }

  async #ask() {
    const text = this.input.value.trim();
    this.#turn += 1;
    const turn = this.#turn;
    if (!text) {
      this.#found = [];
      this.close();
      return;
    }
    let found = [];
    let words = "Nothing of that name in this family.";
    try {
      ({ found } = await this.search(text));
    } catch (error) {
      words = `That did not work: ${error.message}.`;
    }
    if (turn !== this.#turn) return;
    this.#found = found;
    this.#at = -1;
    this.#fill(text, words);
    if (document.activeElement === this.input) this.#open();
  }

  #fill(text, words) {
    const options = this.#found.map((entry, at) => {
      const option = html("li", { role: "option", id: `${this.list.id}-${at}`, "data-at": String(at), "aria-selected": "false", class: "repo" });
      const name = clean(entry.name);
      const where = name.toLowerCase().indexOf(text.toLowerCase());
      if (where < 0) option.append(name);
      else option.append(name.slice(0, where), html("mark", {}, name.slice(where, where + text.length)), name.slice(where + text.length));
      return option;
    });
    this.list.replaceChildren(...options);
    if (!options.length) this.list.append(html("li", { class: "muted small", role: "option", "aria-disabled": "true", "aria-selected": "false" }, words));
  }

  #open() {
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
  }

  close() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  #pick(entry) {
    if (!entry) return;
    clearTimeout(this.#timer);
    this.#turn += 1;
    this.close();
    this.choose(entry);
  }

  #key(event) {
    if (event.key === "Escape" && !this.list.hidden) {
      event.stopPropagation();
      event.preventDefault();
      this.close();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && this.#found.length) {
      event.preventDefault();
      if (this.list.hidden) this.#open();
      const many = this.#found.length;
      this.#at = (this.#at + (event.key === "ArrowDown" ? 1 : many - (this.#at < 0 ? 0 : 1))) % many;
      [...this.list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === this.#at)));
      const option = this.list.children[this.#at];
      option.scrollIntoView({ block: "nearest" });
      this.input.setAttribute("aria-activedescendant", option.id);
    } else if (event.key === "Enter") {
      event.preventDefault();
      const exact = this.#found.find((entry) => entry.name.toLowerCase() === this.input.value.trim().toLowerCase());
      if (this.list.hidden || !this.#found.length) this.#typed();
      else this.#pick(this.#found[this.#at] ?? exact ?? this.#found[0]);
    }
  }

  /** Enter on what was typed in full: a name need not come from the list. */
  #typed() {
    const name = this.input.value.trim();
    if (name) this.choose({ id: null, name });
  }
}
