// Rows of radio buttons with a field of their own: who types in the field has chosen its row.
document.addEventListener("input", (event) => {
  const opens = event.target.dataset && event.target.dataset.opens;
  const radio = opens && document.getElementById(opens);
  if (radio) radio.checked = true;
});
document.addEventListener("change", (event) => {
  if (!event.target.matches(".choices input[type=radio]")) return;
  const field = event.target.closest("div").querySelector("[data-opens]");
  if (field && event.isTrusted) field.focus();
});
