// Read the table again: a run may have added rows or measured them anew while the page was open.
import { showAbout, showChanged, showDecisions } from "./about.js";
import * as api from "./api.js";
import { open } from "./opening.js";
import { mark, update } from "./patients.js";
import { banner, say } from "./said.js";
import { rowOf, state, unsaved } from "./state.js";

let rowsChanged = () => {};

/** @param act what to do when rows have come or gone. */
export const whenRowsChange = (act) => { rowsChanged = act; };

export function readIfChanged(now) {
  if (now !== state.now) readAgain();
}

export async function readAgain() {
  const answer = await api.cohort().catch(() => null);
  if (!answer) return;
  Object.assign(state, { readOnly: answer.read_only, now: answer.now });
  banner("read-only", answer.read_only ? `Read only: ${answer.read_only}.` : "");
  const same = answer.rows.length === state.rows.length && answer.rows.every((row) => rowOf(row.n));
  for (const row of answer.rows) {
    const known = rowOf(row.n);
    if (known) { Object.assign(known, row); if (same) update(known); }
  }
  if (!same) {
    say("A run has changed the list of patients.");
    state.rows = answer.rows.map((row) => rowOf(row.n) ?? row);
    rowsChanged();
    if (state.open) mark(state.open.n);
  }
  if (state.open && state.info) await readOpenRow();
}

async function readOpenRow() {
  const { open: row, part, info } = state;
  const now = await api.row(row.n, part).catch(() => null);
  if (!now || row !== state.open || info !== state.info) return;
  showAbout();
  showDecisions();
  const other = now.mask.sha256 !== info.mask.sha256 || now.scan?.key !== info.scan?.key;
  if (other && !unsaved()) {
    await open(row.n, part);
    return;
  }
  const { table_sha256: table, changed } = now.mask;
  Object.assign(info.mask, { table_sha256: table, changed });
  if (info.scan) info.scan.changed = now.scan?.changed;
  showChanged();
}
