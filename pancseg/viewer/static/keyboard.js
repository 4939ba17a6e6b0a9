// Everything by keyboard.
import { asking, showKeys, startKeysDialog } from "./dialogs.js";
import { byId } from "./element.js";
import { step } from "./opening.js";
import * as review from "./review.js";
import { save } from "./saving.js";
import { state } from "./state.js";
import { nextTheme } from "./theme.js";
import * as tools from "./tools.js";
import * as view from "./view.js";

const FAR = 10;
const slices = (by) => state.slices?.move(0, 0, by);
const look = () => { tools.choose("look"); review.closeReview(); };

const KEYS = [ // keys, in words, what is done
  [["j"], "next patient", () => step(1)],
  [["k"], "previous patient", () => step(-1)],
  [["a"], "accept the mask", () => review.choose("accept")],
  [["r"], "reject the mask", () => review.choose("reject")],
  [["c"], "comment", () => review.choose("comment")],
  [["/"], "find a patient", () => { byId("find").focus(); byId("find").select(); }],
  [["ArrowUp"], "next slice, towards the head", () => slices(1)],
  [["ArrowDown"], "next slice, towards the feet", () => slices(-1)],
  [["PageUp"], "ten slices towards the head", () => slices(FAR)],
  [["PageDown"], "ten slices towards the feet", () => slices(-FAR)],
  [["ArrowLeft"], "sagittal plane, towards the patient’s right", () => state.slices?.move(1, 0, 0)],
  [["ArrowRight"], "sagittal plane, towards the patient’s left", () => state.slices?.move(-1, 0, 0)],
  [["Home"], "first slice of the mask", () => tools.goTo("first")],
  [["End"], "last slice of the mask", () => tools.goTo("last")],
  [["x"], "centre of the mask", () => tools.goTo("centre")],
  [["m"], "mask on or off", view.toggleMask],
  [["w"], "next window", view.nextWindow],
  [["v"], "next layout of planes", view.nextPlanes],
  [["+", "="], "zoom in", () => state.slices?.zoom(1.25)],
  [["-"], "zoom out", () => state.slices?.zoom(1 / 1.25)],
  [["0"], "whole slice", () => state.slices?.zoom(null)],
  [["b"], "brush, or put it away", () => tools.choose("brush")],
  [["e"], "eraser", () => tools.choose("eraser")],
  [["f"], "draw a contour and fill it", () => tools.choose("fill")],
  [["["], "smaller brush", () => tools.resize(-1)],
  [["]"], "larger brush", () => tools.resize(1)],
  [["z", "Ctrl+z"], "undo", tools.undo],
  [["Z", "Ctrl+y"], "redo", tools.redo],
  [["n"], "copy the outline to the next slice, towards the head", () => tools.copy(1)],
  [["N"], "copy the outline to the next slice, towards the feet", () => tools.copy(-1)],
  [["g"], "smooth the outline on this slice", tools.smooth],
  [["Delete"], "clear this slice", tools.clear],
  [["s", "Ctrl+s"], "save the mask", save],
  [["Escape"], "put the tool away", look],
  [["t"], "theme: dark, light, or the system’s", nextTheme],
  [["?"], "this list", showKeys],
];
const SHOWN = {
  ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", PageUp: "Page ↑", PageDown: "Page ↓",
  Escape: "Esc", Z: "Shift+z", N: "Shift+n",
};

export function startKeyboard() {
  startKeysDialog(KEYS.map(([names, does]) => [names.map((name) => SHOWN[name] ?? name), does]));
  const acts = new Map(KEYS.flatMap(([names, , act]) => names.map((name) => [name, act])));
  document.addEventListener("keydown", (event) => {
    if (asking() || event.altKey || event.metaKey) return;
    const typing = event.target.closest("input:not([type=range], [type=checkbox]), textarea");
    if (typing) {
      if (event.key === "Escape") { review.closeReview(); byId("slices").focus(); }
      return;
    }
    const inField = event.target.closest("select, input[type=range]") && event.key.length > 1;
    const act = acts.get(event.ctrlKey ? `Ctrl+${event.key.toLowerCase()}` : event.key);
    if (!act || inField) return;
    event.preventDefault();
    act();
  });
}
