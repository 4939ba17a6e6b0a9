// The page's theme: the system's, until the reader chooses dark or light.
"use strict";
const report = { data: JSON.parse(document.getElementById("data").textContent) };

report.theme = (() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  function stored(value) {
    try {
      if (value) localStorage.setItem("pancseg-theme", value);
      return localStorage.getItem("pancseg-theme");
    } catch {
      return null; // a browser may keep nothing for files
    }
  }

  function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
  }

  function show() {
    button.setAttribute("aria-pressed", String(isDark()));
    button.textContent = isDark() ? "Light" : "Dark";
  }

  function toggle() {
    root.dataset.theme = isDark() ? "light" : "dark";
    stored(root.dataset.theme);
    show();
  }

  const before = stored();
  if (before === "dark" || before === "light") root.dataset.theme = before;
  button.addEventListener("click", toggle);
  system.addEventListener("change", show);
  show();
  return { toggle };
})();
