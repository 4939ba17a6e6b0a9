// How the slices are shown: window, mask, planes, and where the cross is.
import { byId, element, remembered, whole } from "./element.js";
import { OWN } from "./grid.js";
import { say } from "./said.js";
import { WINDOWS } from "./slices.js";
import { state } from "./state.js";

const PLANES = ["three", "axial", "coronal", "sagittal"];
let window_ = [...WINDOWS.pancreas];
let styleWhenOn = "both";

export const chosenWindow = () => window_;

export function startView() {
  const names = Object.entries(WINDOWS).map(([name, [low, high]]) => element("option", { value: name }, `${name} (${low} to ${high})`));
  byId("window").append(...names, element("option", { value: "own", disabled: true }, "own"));
  byId("window").addEventListener("change", () => setWindow(byId("window").value));
  const name = remembered.get("window");
  setWindow(name in WINDOWS ? name : "pancreas");
  byId("mask-style").addEventListener("change", () => style(byId("mask-style").value));
  byId("opacity").value = remembered.get("opacity", "30");
  byId("opacity").addEventListener("input", opacity);
  byId("planes").addEventListener("change", () => planes(byId("planes").value));
  byId("fit").addEventListener("click", () => state.slices?.zoom(null));
  opacity();
  if (!state.slices) return;
  state.slices.onMove = showPlace;
  state.slices.onWindow = ownWindow;
}

function setWindow(name) {
  window_ = [...WINDOWS[name]];
  byId("window").value = name;
  remembered.set("window", name);
  state.slices?.setWindow(window_);
}

export function nextWindow() {
  const names = Object.keys(WINDOWS);
  const name = names[(names.indexOf(byId("window").value) + 1) % names.length];
  setWindow(name);
  say(`Window: ${name}, ${window_[0]} to ${window_[1]} HU.`);
}

/** The right button may have changed the window. */
function ownWindow(low, high) {
  if (low === window_[0] && high === window_[1]) return;
  window_ = [low, high];
  const own = byId("window").querySelector("[value=own]");
  own.textContent = `own (${Math.round(low)} to ${Math.round(high)})`;
  byId("window").value = "own";
}

function style(wanted) {
  byId("mask-style").value = wanted;
  if (wanted !== "off") styleWhenOn = wanted;
  state.slices?.look({ style: wanted });
}

export const toggleMask = () => style(byId("mask-style").value === "off" ? styleWhenOn : "off");

function opacity() {
  remembered.set("opacity", byId("opacity").value);
  state.slices?.look({ opacity: byId("opacity").value / 100 });
}

function planes(wanted) {
  byId("planes").value = wanted;
  state.slices?.lay(wanted);
}

export const nextPlanes = () => planes(PLANES[(PLANES.indexOf(byId("planes").value) + 1) % PLANES.length]);

/** Say which slice the cross is on, and what lies there. */
export function showPlace() {
  const { grid, info, slices } = state;
  if (!grid || !info || !slices.volume) return;
  const [x, y, z] = slices.voxel;
  const inside = slices.drawing[x + y * grid.size[0] + z * grid.plane] === OWN;
  const number = whole(grid.slice(z, info.scan));
  const of = whole(info.scan.size[grid.headAxis]);
  byId("where").textContent = `Slice ${number} of ${of} · ${Math.round(slices.value)} HU${inside ? " · in the mask" : ""}`;
  byId("where").hidden = false;
}
