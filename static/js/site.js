// What every page has beyond HTML: the theme switch, copy buttons, tables that sort, the keys / and Escape.

const THEMES = ["auto", "light", "dark"];

/** Show, on each theme switch, what is set. */
function markTheme(theme) {
  for (const button of document.querySelectorAll("[data-theme-switch]")) {
    button.hidden = false;
    button.querySelector("use").setAttribute("href", { auto: "#i-auto", light: "#i-sun", dark: "#i-moon" }[theme]);
    const label = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" }[theme];
    button.setAttribute("aria-label", label);
    button.title = label;
  }
}

function currentTheme() {
  return document.documentElement.dataset.theme ?? "auto";
}

function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === "auto") localStorage.removeItem("theme");
    else localStorage.setItem("theme", theme);
  } catch {
    // no storage: it holds for this page
  }
  markTheme(theme);
  document.dispatchEvent(new CustomEvent("themechange"));
}

/** The value a cell sorts by: its data-sort, else the number of its <data>, else its text. */
function sortKey(cell) {
  if (cell.dataset.sort !== undefined) return asNumber(cell.dataset.sort);
  const inner = cell.querySelector("data[value], time[datetime]");
  if (inner) return asNumber(inner.getAttribute("value") ?? inner.getAttribute("datetime"));
  return asNumber(cell.textContent.trim());
}

function asNumber(text) {
  return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text.toLowerCase();
}

function compareKeys(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "number") return -1;
  if (typeof b === "number") return 1;
  return a.localeCompare(b);
}

/** <table data-sortable>: its <th scope="col"> become buttons; figures first sort downwards, words upwards. */
function makeSortable(table) {
  if (table.dataset.sortable === "on") return;
  table.dataset.sortable = "on";
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (head.hasAttribute("data-nosort") || !head.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const figures = head.classList.contains("num");
      const now = head.getAttribute("aria-sort");
      const next = now === "descending" ? "ascending" : now === "ascending" ? "descending" : figures ? "descending" : "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", next);
      const sign = next === "ascending" ? 1 : -1;
      for (const body of table.tBodies) {
        const rows = [...body.rows].map((row) => [sortKey(row.cells[column]), row]);
        rows.sort((a, b) => sign * compareKeys(a[0], b[0]));
        body.append(...rows.map((pair) => pair[1]));
      }
    });
  });
}

function prepare(root) {
  root.querySelectorAll?.("table[data-sortable]").forEach(makeSortable);
  root.querySelectorAll?.("[data-copy]").forEach((button) => (button.hidden = false));
}

document.addEventListener("click", async (event) => {
  const theme = event.target.closest("[data-theme-switch]");
  if (theme) setTheme(THEMES[(THEMES.indexOf(currentTheme()) + 1) % THEMES.length]);

  const copy = event.target.closest("[data-copy]");
  if (copy) {
    try {
      await navigator.clipboard.writeText(copy.dataset.copy);
      say("Copied.");
    } catch {
      say("The browser does not allow copying here.");
    }
  }
});

/** Tell what happened, to the eye and to screen readers. */
export function say(text) {
  const live = document.getElementById("says");
  if (!live) return;
  live.textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => (live.textContent = ""), 4000);
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const box = document.querySelector("main [type=search], [type=search]");
    if (box) {
      event.preventDefault();
      box.focus();
      box.select();
    }
  }
});

document.addEventListener("htmx:afterSwap", (event) => prepare(event.detail.target.parentElement ?? document));
document.addEventListener("htmx:responseError", () => say("That did not load. Try again in a moment."));
document.addEventListener("htmx:sendError", () => say("The server does not answer. Try again in a moment."));

markTheme(currentTheme());
prepare(document);
