// Open a patient: read what there is, the scan and the mask, and show them.
import { sentence, showAbout, showChanged, showDecisions } from "./about.js";
import * as api from "./api.js";
import { extent } from "./edits.js";
import { byId, element, words } from "./element.js";
import { Grid, niftiBytes } from "./grid.js";
import { History } from "./history.js";
import { mark, neighbour } from "./patients.js";
import { closeReview } from "./review.js";
import { endConflict, mayLeave } from "./saving.js";
import { banner, say } from "./said.js";
import { editable, nameOf, rowOf, state } from "./state.js";
import { choose, show } from "./tools.js";
import { chosenWindow, showPlace } from "./view.js";

const READ_AHEAD_MS = 500;
let loading = new AbortController();
let asked = false;

export async function step(by) {
  const n = neighbour(by);
  if (n !== null) await open(n);
  else if (state.open) say(by > 0 ? "This is the last patient of the list." : "This is the first patient of the list.");
}

/** Open a row; a part of a large scan where one is asked for. */
export async function open(n, part = null) {
  if (asked) return;
  asked = true;
  const may = await mayLeave();
  asked = false;
  if (!may) return;
  loading.abort();
  loading = new AbortController();
  const { signal } = loading;
  const same = state.open?.n === n;
  if (!same) closeReview();
  if (state.theirs) await endConflict();
  Object.assign(state, { open: rowOf(n), part, info: null, grid: null, history: null });
  mark(n);
  showAbout();
  showDecisions();
  byId("part").hidden = true;
  banner("not-editable", "");
  choose("look");
  show();
  cover("Reading the scan …");
  try {
    await read(n, part, signal);
  } catch (error) {
    if (error.name !== "AbortError" && !signal.aborted) cannotShow(error);
  }
}

async function read(n, part, signal) {
  const info = await api.row(n, part, signal);
  if (signal.aborted) return;
  state.info = info;
  showChanged();
  if (!info.scan) throw new Error(sentence(info.why_no_scan));
  showPart();
  if (!state.slices) throw new Error("This browser has no WebGL 2, so it cannot show slices. Pictures and review work.");
  const mask = info.mask.exists ? api.mask(n, part, signal) : Promise.resolve(null);
  mask.catch(() => {}); // told below
  const scan = await api.scan(n, part, signal, progress);
  if (signal.aborted) return;
  await state.slices.show(scan, chosenWindow());
  if (signal.aborted) return;
  const labels = await mask;
  if (signal.aborted) return;
  const grid = new Grid(state.slices.volume);
  if (labels) grid.read(niftiBytes(labels), info.mask.label ?? null, state.slices.drawing);
  Object.assign(state, { grid, history: new History(state.slices.drawing) });
  state.slices.refresh();
  const found = extent(state.slices.drawing, grid);
  state.slices.goTo(found ? found.centre : grid.size.map((side) => side >> 1));
  cover("");
  ready();
}

function ready() {
  const { mask } = state.info;
  const why = state.readOnly || mask.editable ? "" : mask.why_not; // a banner says the former
  banner("not-editable", why ? `The mask cannot be changed here: ${why}.` : "");
  if (editable() && !mask.exists) say("There is no mask yet: draw one with the brush (b) or by its contour (f).");
  show();
  showPlace();
  setTimeout(readAhead, READ_AHEAD_MS, loading.signal);
}

/** Let the server read the next patient's scan meanwhile: it keeps two of them. */
function readAhead(signal) {
  const next = neighbour(1);
  if (!signal.aborted && next !== null) api.row(next, null, signal).catch(() => {});
}

function progress(read, length) {
  const million = (bytes) => Math.round(bytes / 1e6);
  cover(`Reading the scan: ${million(read)} of ${million(length)} MB …`);
}

/** Cover the slices with words, and with a picture where there is one. */
function cover(text, picture = null) {
  const frame = byId("cover");
  frame.hidden = !text;
  frame.replaceChildren(element("p", {}, ...words(text)));
  if (picture) frame.prepend(picture);
  byId("where").hidden = Boolean(text);
}

function cannotShow(error) {
  state.slices?.empty();
  cover(error.message, still(state.open));
  show();
}

/** The picture that the report has of a row, with the contour of its mask. */
function still(row) {
  if (!row.thumbnail) return null;
  const stem = row.thumbnail.replace(/\.thumb\.jpg$/, "");
  const contour = row.volume_ml === null ? null : element("img", { src: `${stem}.svg`, alt: "" });
  return element("div", { class: "still" },
    element("img", { src: `${stem}.jpg`, alt: `Slices of ${nameOf(row)}`, width: 1440, height: 800 }), contour);
}

function showPart() {
  const { scan } = state.info;
  byId("part").hidden = !scan.note;
  if (!scan.note) return;
  byId("part-note").textContent = `Shown: ${scan.note}.`;
  const [first, count, step_] = [scan.part.start[2], scan.part.size[2], scan.part.step[2]];
  const cut = scan.part.size[0] < scan.size[0] || scan.part.size[1] < scan.size[1]; // not whole slices
  const reduced = step_ > 1 || scan.part.step[0] > 1;
  byId("part-below").hidden = reduced;
  byId("part-above").hidden = reduced;
  byId("part-whole").hidden = reduced;
  byId("part-mask").hidden = !state.part;
  byId("part-below").disabled = first === 0 && !cut;
  byId("part-above").disabled = first + count >= scan.size[2] && !cut;
}

export function startParts() {
  const go = (part) => open(state.open.n, part);
  const shift = (by) => {
    const { part } = state.info.scan;
    const z = part.start[2] + by * Math.round(0.8 * part.size[2]); // some slices are on show again
    go({ z: Math.max(z, 0) + 1 }); // the server counts from 1
  };
  byId("part-below").addEventListener("click", () => shift(-1));
  byId("part-above").addEventListener("click", () => shift(1));
  byId("part-whole").addEventListener("click", () => go({ whole: true }));
  byId("part-mask").addEventListener("click", () => go(null));
}
