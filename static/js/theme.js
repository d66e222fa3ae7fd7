// Runs before the first paint: the theme that was chosen here, if one was. The switch itself is in site.js.
(function () {
  try {
    var theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch (_) {
    // no storage: the system's theme holds
  }
  document.documentElement.classList.add("js");
})();
