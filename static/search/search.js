// The search page: arrow keys lead from the box through the results; filters stand open where there is room.

const box = document.getElementById("q");
const filters = document.querySelector("[data-filters]");
const wide = matchMedia("(min-width: 56.01rem)");

if (filters) filters.open = wide.matches;
wide.addEventListener("change", (event) => {
  if (filters && event.matches) filters.open = true;
});

/** The results, from top to bottom, as what can be focussed. */
function stops() {
  return [...document.querySelectorAll("#results [data-hit], #hits .hit-name > a.repo, #more-hits a")];
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp" && event.key !== "Escape") return;
  const all = stops();
  const at = all.indexOf(document.activeElement);
  if (event.target === box && event.key === "ArrowDown" && all.length) {
    event.preventDefault();
    all[0].focus();
  } else if (at >= 0) {
    event.preventDefault();
    const next = event.key === "Escape" ? -1 : at + (event.key === "ArrowDown" ? 1 : -1);
    if (next < 0) box.focus();
    else all[Math.min(next, all.length - 1)].focus();
  }
});

// Who asked for more by keyboard goes on from where the list ended.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.id !== "more-hits" || document.activeElement !== event.detail.target.querySelector("a")) return;
  const before = stops().length - 1;
  document.addEventListener("htmx:afterSettle", () => stops()[before]?.focus(), { once: true });
});
