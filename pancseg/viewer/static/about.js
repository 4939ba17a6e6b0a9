// What is known about the open row, in words.
import { byId, element, millilitres, words } from "./element.js";
import { nameOf, state } from "./state.js";

const DONE = { accept: "Accepted", reject: "Rejected", comment: "Comment" };
const CODES = { accept: "accepted", reject: "rejected_by_reviewer" };

/** A text of the library as a sentence. */
export function sentence(text) {
  const begun = text ? text[0].toUpperCase() + text.slice(1) : "";
  return /[.!?]$/.test(begun) || !begun ? begun : `${begun}.`;
}

export function showAbout() {
  const row = state.open;
  const parts = [
    element("h1", {}, nameOf(row)),
    element("p", { class: "verdict" }, element("span", { class: `chip ${row.status}` }, row.status)),
  ];
  row.reasons.forEach((code, at) => {
    const [happened, remedy] = row.reason_texts[at] ?? ["", ""];
    parts.push(element("div", { class: `reason ${row.status}` },
      element("p", {}, element("code", {}, code), " ", ...words(sentence(happened))),
      remedy ? element("p", { class: "soft" }, ...words(sentence(`What to do: ${remedy}`))) : null));
  });
  if (row.message) parts.push(element("p", { class: "message" }, ...words(sentence(row.message))));
  parts.push(factsOf(row), element("p", { id: "changed", class: "note", hidden: true }));
  byId("about").replaceChildren(...parts);
}

function factsOf(row) {
  const list = element("dl");
  const add = (name, value) => {
    if (value !== null && value !== "") list.append(element("dt", {}, name), element("dd", {}, value));
  };
  add("Volume", row.volume_ml === null ? "" : millilitres(row.volume_ml));
  add("Median", row.median_hu === null ? "" : `${row.median_hu.toFixed(0)} HU`);
  add("Mask", row.source);
  return list;
}

/** Say that the table's row is about another scan or mask than the one on show. */
export function showChanged() {
  const { scan, mask } = state.info;
  const ofScan = scan?.changed ? "The scan has changed since this row was measured. " : "";
  const ofMask = mask.exists ? "The mask has changed since this row was measured. The next `pancseg run` measures it."
    : "The mask is no longer there. Put it back, or the next `pancseg run` does without it.";
  byId("changed").replaceChildren(...words(ofScan + (mask.changed ? ofMask : "")));
  byId("changed").hidden = !ofScan && !mask.changed;
}

export function showDecisions() {
  const { decision, comments } = state.open;
  const made = [];
  if (decision) {
    made.push(said(decision, counted(decision)));
  }
  for (const comment of comments ?? []) made.push(said({ decision: "comment", ...comment }, ""));
  byId("decisions").replaceChildren(...made);
}

/** Whether a decision is in the table, is not yet, or is about another mask, in words. */
function counted({ decision, holds }) {
  if (!holds) return "It was about an earlier mask, and does not count for this one.";
  return state.open.reasons.includes(CODES[decision]) ? "" : "Counts from the next `pancseg run`.";
}

function said(made, note) {
  const who = [made.by ? `by ${made.by}` : "", made.at ? `on ${made.at.slice(0, 10)}` : ""];
  return element("div", { class: `decision ${made.decision}` },
    element("p", {}, element("b", {}, DONE[made.decision]), ` ${who.filter(Boolean).join(" ")}`),
    made.reason ? element("p", { class: "quoted" }, made.reason) : null,
    note ? element("p", { class: "soft" }, ...words(note)) : null);
}
