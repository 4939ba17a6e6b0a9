// What was changed on a mask, step by step, so that it can be taken back and done again.
import { OTHER, OWN } from "./grid.js";

const MOST_STEPS = 200;
const MOST_VOXELS = 1 << 25;

/** Compares the drawing with what it was at the last step: NiiVue's pen says nothing about it. */
export class History {
  /** @param drawing the mask as it was loaded. */
  constructor(drawing) {
    this.known = drawing.slice();
    this.done = [];
    this.undone = [];
    this.saved = 0;
    this.dropped = 0;
    this.voxels = count(drawing);
  }

  /** How many steps lie behind the drawing, also those that are too old to be taken back. */
  get at() { return this.dropped + this.done.length; }
  get unsaved() { return this.at !== this.saved; }
  get canUndo() { return this.done.length > 0; }
  get canRedo() { return this.undone.length > 0; }

  markSaved(at = this.at) { this.saved = at; }

  /**
   * Take what has changed since the last step as one step; voxels of other regions stay as they are.
   * @param all whether those may change as well: the drawing comes from a file.
   * @returns how many voxels changed, whether the drawing had to be mended, and the step.
   */
  commit(drawing, all = false) {
    const found = this.differences(drawing);
    let mended = false;
    const kept = [];
    for (const i of found) {
      const was = this.known[i];
      if (all || was !== OTHER) kept.push(i);
      else { drawing[i] = was; mended = true; }
    }
    if (!kept.length) return { changed: 0, mended, step: null };
    const index = Uint32Array.from(kept);
    const before = Uint8Array.from(index, (i) => this.known[i]);
    const after = Uint8Array.from(index, (i) => drawing[i]);
    if (this.saved > this.at) this.saved = -1; // what was saved cannot be reached any more
    this.undone = [];
    const step = { index, before, after };
    this.done.push(step);
    this.apply(index, after, this.known);
    this.forget();
    return { changed: index.length, mended, step };
  }

  differences(drawing) {
    const { known } = this;
    const words = known.length >> 2;
    const a = new Uint32Array(known.buffer, known.byteOffset, words);
    const b = new Uint32Array(drawing.buffer, drawing.byteOffset, words);
    const found = [];
    for (let word = 0; word < words; word++) {
      if (a[word] === b[word]) continue;
      for (let i = word << 2; i < (word << 2) + 4; i++) if (known[i] !== drawing[i]) found.push(i);
    }
    for (let i = words << 2; i < known.length; i++) if (known[i] !== drawing[i]) found.push(i);
    return found;
  }

  apply(index, values, target) {
    const counted = target === this.known;
    for (let at = 0; at < index.length; at++) {
      const i = index[at];
      if (counted) this.voxels += (values[at] === OWN) - (target[i] === OWN);
      target[i] = values[at];
    }
  }

  undo(drawing) { return this.move(drawing, this.done, this.undone, "before"); }
  redo(drawing) { return this.move(drawing, this.undone, this.done, "after"); }

  move(drawing, from, to, side) {
    const step = from.pop();
    if (!step) return null;
    this.apply(step.index, step[side], drawing);
    this.apply(step.index, step[side], this.known);
    to.push(step);
    return step;
  }

  forget() {
    let kept = this.done.reduce((sum, step) => sum + step.index.length, 0);
    while (this.done.length > MOST_STEPS || (kept > MOST_VOXELS && this.done.length > 1)) {
      kept -= this.done.shift().index.length;
      this.dropped++;
    }
  }
}

function count(drawing) {
  let found = 0;
  for (let i = 0; i < drawing.length; i++) if (drawing[i] === OWN) found++;
  return found;
}
