// What is open now; the other modules read and change it.

export const state = {
  rows: [],
  now: "", // what the output folder was when the rows were read
  readOnly: "", // why nothing can be saved; empty if it can
  slices: null, // the picture; null without WebGL 2
  open: null, // the row that is open
  part: null, // {z} or {whole: true} of a large scan; null for what the server chooses
  info: null, // scan and mask of the open row, as the server tells
  grid: null, // order and size of the voxels on show
  history: null, // the steps of the mask on show; null while nothing can be drawn
  theirs: null, // {sha256} while a mask that somebody else saved is to be compared
};

export const rowOf = (n) => state.rows.find((row) => row.n === Number(n));
export const editable = () => Boolean(state.history) && Boolean(state.info?.mask.editable) && !state.readOnly;
export const unsaved = () => Boolean(state.history?.unsaved);

/** The row's name in words: patient, scan, and region where it is not the pancreas. */
export function nameOf(row) {
  const [patient, scan, roi] = row.id;
  return [patient, scan, roi === "pancreas" ? "" : roi].filter(Boolean).join(" ");
}
