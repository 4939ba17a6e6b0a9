// Save the mask; and what to do when somebody else has changed it meanwhile.
import { showChanged } from "./about.js";
import * as api from "./api.js";
import { ask } from "./dialogs.js";
import { byId, millilitres } from "./element.js";
import { niftiBytes } from "./grid.js";
import { fail, say } from "./said.js";
import { editable, state, unsaved } from "./state.js";
import { show, stroked } from "./tools.js";

let busy = false;
const mayBeReplaced = new Set(); // paths of given masks that the user has agreed to change

export function startSaving() {
  byId("save").addEventListener("click", save);
  byId("keep-mine").addEventListener("click", keepMine);
  byId("take-theirs").addEventListener("click", takeTheirs);
  byId("decide-later").addEventListener("click", endConflict);
  window.addEventListener("beforeunload", (event) => { if (unsaved()) event.preventDefault(); });
}

/** @returns whether the mask is saved now. */
export async function save() {
  if (!editable() || busy) return false;
  stroked();
  if (!unsaved()) {
    say("Nothing has changed since the last save.");
    return true;
  }
  if (!await mayReplace()) return false;
  busy = true;
  byId("save").disabled = true;
  try {
    return await send(state.info.mask.exists ? state.info.mask.sha256 : null);
  } finally {
    busy = false;
    show();
  }
}

/** A mask that the user gave is a file of theirs: name it before this page first replaces it. */
async function mayReplace() {
  const { mask } = state.info;
  if (!mask.given || !mask.exists || mayBeReplaced.has(mask.path)) return true;
  const answer = await ask("Replace your own mask file?",
    `This mask is a file that was given: ${mask.path}. Saving changes that file. It is kept as it was, in `
    + "masks/.original of the output folder.", [["yes", "Replace it"], ["no", "Do not save"]]);
  if (answer === "yes") mayBeReplaced.add(mask.path);
  return answer === "yes";
}

async function send(seen) {
  const { open, part, history, info, grid, slices } = state;
  const at = history.at;
  try {
    const answer = await api.saveMask(open.n, part, grid.write(slices.drawing), seen, info.scan.key);
    Object.assign(info.mask, { exists: true, sha256: answer.sha256, changed: true });
    showChanged();
    history.markSaved(at);
    if (state.theirs) await endConflict();
    say(`Mask saved: ${millilitres(answer.volume_ml)}. The next \`pancseg run\` measures it.${stayed(answer.kept)}`);
    return true;
  } catch (error) {
    if (error.status === 409 && error.answer.scan === undefined) await beginConflict(error);
    else fail(error);
    return false;
  }
}

function stayed(kept) {
  if (!kept) return "";
  return kept === 1 ? " 1 drawn voxel stays with another label." : ` ${kept} drawn voxels stay with another label.`;
}

async function beginConflict(error) {
  const { open, part, slices } = state;
  const theirs = await api.mask(open.n, part).catch(() => null);
  const now = await api.row(open.n, part).catch(() => null);
  if (open !== state.open) return;
  state.theirs = { sha256: now?.mask.exists ? now.mask.sha256 : null, buffer: theirs };
  await slices.showTheirs(theirs);
  byId("conflict-text").textContent = theirs
    ? "This mask has been changed elsewhere since you opened it. Yours is orange, the other one blue. Nothing has been saved."
    : `${error.message} Nothing has been saved.`;
  byId("take-theirs").disabled = !theirs;
  byId("conflict").hidden = false;
  byId("keep-mine").focus();
}

export async function endConflict() {
  state.theirs = null;
  byId("conflict").hidden = true;
  await state.slices?.showTheirs(null);
}

async function keepMine() {
  const { theirs } = state;
  if (!theirs || busy) return;
  busy = true;
  try {
    await send(theirs.sha256);
  } finally {
    busy = false;
    show();
  }
}

async function takeTheirs() {
  const { theirs, info, grid, slices, history } = state;
  const fresh = new Uint8Array(grid.voxels);
  grid.read(niftiBytes(theirs.buffer), info.mask.label, fresh);
  slices.drawing.set(fresh);
  history.commit(slices.drawing, true);
  history.markSaved();
  Object.assign(info.mask, { exists: true, sha256: theirs.sha256, changed: true });
  showChanged();
  await endConflict();
  slices.refresh();
  show();
  say("This is the other mask now; undo brings yours back.");
}

/** Ask what to do with changes that are not saved. @returns whether one may go on. */
export async function mayLeave() {
  if (state.history) stroked();
  if (!unsaved()) return true;
  const answer = await ask("Save the changes of this mask?", "They are lost otherwise.",
    [["save", "Save"], ["discard", "Discard"], ["stay", "Stay here"]]);
  if (answer === "save") return save();
  return answer === "discard";
}
