// Correct the mask: brush, eraser, fill, and what is done to a whole slice.
import { clearSlice, copySlice, extent, smoothSlice } from "./edits.js";
import { byId, element, millilitres, remembered, whole } from "./element.js";
import { OWN } from "./grid.js";
import { say } from "./said.js";
import { editable, state } from "./state.js";
import { showPlace } from "./view.js";

const SIZES = [1, 3, 5, 7, 9, 13, 17, 25]; // NiiVue's pens have an odd number of voxels
const PENS = {
  look: null, brush: { value: OWN, filled: false }, eraser: { value: 0, filled: false },
  fill: { value: OWN, filled: true },
};
let tool = "look";
let size = Number(remembered.get("size", "5"));

export function startTools() {
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.addEventListener("click", () => choose(button.dataset.tool));
  }
  byId("size").append(...SIZES.map((each) => element("option", { value: each }, `${each} voxel${each > 1 ? "s" : ""}`)));
  if (!SIZES.includes(size)) size = 5;
  byId("size").value = size;
  byId("size").addEventListener("change", () => setSize(Number(byId("size").value)));
  const actions = {
    undo, redo, "copy-up": () => copy(1), "copy-down": () => copy(-1), smooth, clear,
  };
  for (const [id, act] of Object.entries(actions)) byId(id).addEventListener("click", act);
  if (state.slices) state.slices.onStroke = stroked;
}

/** Choose a tool; the same again goes back to looking. */
export function choose(wanted) {
  tool = wanted !== "look" && (tool === wanted || !editable()) ? "look" : wanted;
  const size_ = tool === "fill" ? 1 : size;
  state.slices?.setPen(PENS[tool], size_);
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
  }
  byId("slices").classList.toggle("drawing", tool !== "look");
}

export function resize(by) {
  const at = Math.min(Math.max(SIZES.indexOf(size) + by, 0), SIZES.length - 1);
  setSize(SIZES[at]);
  say(`Brush: ${size} voxel${size > 1 ? "s" : ""}.`);
}

function setSize(wanted) {
  size = wanted;
  byId("size").value = size;
  remembered.set("size", size);
  if (tool !== "look") state.slices.setPen(PENS[tool], tool === "fill" ? 1 : size);
}

/** Take over what NiiVue's pen has drawn since the last step. */
export function stroked() {
  if (!state.history || !state.slices.drawing) return;
  const { changed, mended } = state.history.commit(state.slices.drawing);
  if (mended) state.slices.refresh();
  if (changed) show();
}

function change(edit, said) {
  if (!editable()) return;
  stroked();
  const { slices, grid, history } = state;
  const [, , z] = slices.voxel;
  edit(slices.drawing, grid, z);
  const { changed, step } = history.commit(slices.drawing);
  refresh(step);
  show();
  say(changed ? said(z) : "Nothing to change on this slice.");
}

function refresh(step) {
  if (!step) return;
  const { plane } = state.grid; // the voxels of a step are in order
  state.slices.refresh(Math.floor(step.index[0] / plane), Math.floor(step.index.at(-1) / plane));
}

const number = (z) => whole(state.grid.slice(z, state.info.scan));

export function copy(by) {
  if (!editable()) return;
  const [x, y, z] = state.slices.voxel;
  const to = z + by;
  if (to < 0 || to >= state.grid.size[2]) {
    say("There is no further slice here.", "bad");
    return;
  }
  change((drawing, grid) => copySlice(drawing, grid, z, to),
    () => `Slice ${number(to)} now has the outline of slice ${number(z)}.`);
  state.slices.goTo([x, y, to]);
}

export const smooth = () => change(smoothSlice, (z) => `Smoothed slice ${number(z)}.`);
export const clear = () => change(clearSlice, (z) => `Cleared slice ${number(z)}.`);
export const undo = () => move("undo", "Nothing left to undo.");
export const redo = () => move("redo", "Nothing left to redo.");

function move(which, nothing) {
  if (!editable()) return;
  stroked();
  const { slices, history, grid } = state;
  const done = history[which](slices.drawing);
  if (!done) {
    say(nothing);
    return;
  }
  refresh(done);
  const changedSlice = Math.floor(done.index[done.index.length >> 1] / grid.plane);
  const [x, y, z] = slices.voxel;
  if (z !== changedSlice && slices.planes !== "coronal" && slices.planes !== "sagittal") {
    slices.goTo([x, y, changedSlice]);
  }
  show();
}

/** Show what can be done, and how large the mask is now. */
export function show() {
  const { history, grid, info } = state;
  const can = editable();
  for (const each of byId("edit-tools").querySelectorAll("button, select, input")) each.disabled = !can;
  if (can) {
    byId("undo").disabled = !history.canUndo;
    byId("redo").disabled = !history.canRedo;
    byId("save").disabled = !history.unsaved;
  }
  const size_ = history ? millilitres(history.voxels * grid.voxelMl) : "";
  const here = info?.scan?.note ? " on these slices" : "";
  const changed = history?.unsaved ? "changed, not saved: " : "";
  byId("edited").value = history ? `${changed}${size_}${here}` : "";
  showPlace();
  document.title = `${history?.unsaved ? "● " : ""}pancseg viewer`;
}

/** Go to the first slice of the mask, the last, or its centre. */
export function goTo(which) {
  if (!state.grid) return;
  const found = extent(state.slices.drawing, state.grid);
  const [x, y, z] = state.slices.voxel;
  if (!found) {
    say("There is no mask on these slices.");
    return;
  }
  state.slices.goTo(which === "centre" ? found.centre : [x, y, found[which] ?? z]);
}
