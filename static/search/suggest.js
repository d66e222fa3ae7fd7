// Suggestions below search boxes: arrow keys lead through them, Escape or leaving the box closes them.

document.addEventListener("keydown", (event) => {
  const seek = event.target.closest("[data-seek]");
  if (!seek || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const box = seek.querySelector("input");
  const links = [...seek.querySelectorAll(".suggestions a")];
  const at = links.indexOf(document.activeElement);
  if (event.key === "Escape" && links.length) {
    event.preventDefault();
    close(seek);
    box.focus();
  } else if (event.key === "ArrowDown" && links.length) {
    event.preventDefault();
    links[Math.min(at + 1, links.length - 1)].focus();
  } else if (event.key === "ArrowUp" && at >= 0) {
    event.preventDefault();
    (at === 0 ? box : links[at - 1]).focus();
  }
});

document.addEventListener("focusout", (event) => {
  const seek = event.target.closest("[data-seek]");
  if (seek && event.relatedTarget && !seek.contains(event.relatedTarget)) close(seek);
});

document.addEventListener("pointerdown", (event) => {
  for (const seek of document.querySelectorAll("[data-seek]")) if (!seek.contains(event.target)) close(seek);
});

function close(seek) {
  seek.querySelector(".suggestions").replaceChildren();
}
