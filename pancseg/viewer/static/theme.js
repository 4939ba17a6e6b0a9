// Dark, for a reading room, until the reader chooses light or what the system has.
import { byId, remembered } from "./element.js";

const THEMES = ["dark", "light", "system"];
const system = window.matchMedia("(prefers-color-scheme: light)");
let chosen = remembered.get("theme", "dark");

function show() {
  if (!THEMES.includes(chosen)) chosen = "dark";
  const light = chosen === "light" || (chosen === "system" && system.matches);
  document.documentElement.dataset.theme = light ? "light" : "dark";
  byId("theme").textContent = `Theme: ${chosen}`;
}

export function nextTheme() {
  chosen = THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length];
  remembered.set("theme", chosen);
  show();
}

export function startTheme() {
  byId("theme").addEventListener("click", nextTheme);
  system.addEventListener("change", show);
  show();
}
