// The list on the left: who is there, what was decided, and whom to show.
import { byId, element, millilitres, remembered } from "./element.js";
import { nameOf, rowOf, state } from "./state.js";

const FILTERS = {
  look: ["To look at", (row) => row.to_look_at],
  fail: ["Fail", (row) => row.status === "fail" || row.status === "error"],
  undecided: ["Undecided", (row) => !decided(row)],
  all: ["All", () => true],
};
const collator = new Intl.Collator("en", { numeric: true });
const byNumber = (name, sign) => (one, other) => {
  const [a, b] = [one[name], other[name]];
  return a === null || b === null ? (a === null) - (b === null) : sign * (a - b); // empty ones last
};
const ORDERS = {
  table: ["as in the table", () => 0],
  id: ["by patient", (one, other) => collator.compare(nameOf(one), nameOf(other))],
  small: ["smallest volume first", byNumber("volume_ml", 1)],
  large: ["largest volume first", byNumber("volume_ml", -1)],
  dark: ["lowest HU first", byNumber("median_hu", 1)],
  bright: ["highest HU first", byNumber("median_hu", -1)],
};
let chosen = "";
let choose = () => {};

const decided = (row) => Boolean(row.decision?.holds);
const lines = () => [...byId("patients").children];
export const visible = () => lines().filter((line) => !line.hidden).map((line) => Number(line.dataset.n));

/** @param open what to do with the number of a row that was clicked. */
export function startPatients(open) {
  choose = open;
  const counts = Object.entries(FILTERS).map(([key, [, wanted]]) => [key, state.rows.filter(wanted).length]);
  byId("filters").replaceChildren(...counts.map(([key]) => {
    const button = element("button", { type: "button", "data-filter": key });
    button.addEventListener("click", () => filter(key));
    return button;
  }));
  byId("patients").replaceChildren(...state.rows.map(lineOf));
  byId("order").replaceChildren(...Object.entries(ORDERS).map(([key, [label]]) => element("option", { value: key }, label)));
  byId("order").oninput = () => order(byId("order").value);
  order(remembered.get("order"));
  byId("find").oninput = () => filter(chosen);
  const before = remembered.get("filter");
  const first = counts[0][1] ? "look" : "all";
  filter(before in FILTERS && state.rows.some(FILTERS[before][1]) ? before : first);
  count();
}

function lineOf(row) {
  const picture = row.thumbnail
    ? element("img", { src: row.thumbnail, alt: "", width: 60, height: 50, loading: "lazy", decoding: "async" })
    : element("span", { class: "none", "aria-hidden": "true" });
  const button = element("button", { type: "button", class: "patient" }, picture,
    element("span", { class: "name" }, nameOf(row)), element("span", { class: "facts" }));
  button.addEventListener("click", () => choose(row.n));
  const line = element("li", { "data-n": row.n }, button);
  fill(line, row);
  return line;
}

function fill(line, row) {
  const facts = [element("span", { class: `chip ${row.status}` }, row.status)];
  if (row.volume_ml !== null) facts.push(element("span", { class: "size" }, ` ${millilitres(row.volume_ml)}`));
  if (row.decision) {
    const old = row.decision.holds ? "" : " (earlier mask)";
    const words = { accept: "accepted", reject: "rejected" }[row.decision.decision] ?? "comment";
    facts.push(element("span", { class: "decided" }, ` ${words}${old}`));
  }
  line.querySelector(".facts").replaceChildren(...facts);
}

/** Show what was decided about a row; the row stays in the list until it is filtered anew. */
export function update(row) {
  fill(byId("patients").querySelector(`[data-n="${row.n}"]`), row);
  count();
}

function count() {
  for (const button of byId("filters").children) {
    const [label, wanted] = FILTERS[button.dataset.filter];
    button.textContent = `${label} ${state.rows.filter(wanted).length}`;
  }
  const done = state.rows.filter(decided).length;
  byId("progress").textContent = `${done} of ${state.rows.length} decided`;
}

/** Put the list in an order, in which `j` and `k` go through it too. */
function order(wanted) {
  const key = Object.hasOwn(ORDERS, wanted) ? wanted : "table";
  byId("order").value = key;
  remembered.set("order", key);
  const line = new Map(lines().map((each) => [Number(each.dataset.n), each]));
  byId("patients").append(...[...state.rows].sort(ORDERS[key][1]).map((row) => line.get(row.n)));
  place();
}

function filter(key) {
  chosen = key;
  remembered.set("filter", key);
  const words = byId("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const line of lines()) {
    const row = rowOf(line.dataset.n);
    const text = [...row.id, row.status, ...row.reasons, row.source, row.message].join(" ").toLowerCase();
    line.hidden = !(FILTERS[key][1](row) && words.every((word) => text.includes(word)));
    shown += !line.hidden;
  }
  for (const button of byId("filters").children) {
    button.setAttribute("aria-pressed", String(button.dataset.filter === key));
  }
  byId("shown").value = shown === state.rows.length ? "" : `${shown} of ${state.rows.length}`;
  place();
}

/** The row after or before the open one among those on show. */
export function neighbour(by) {
  const all = visible();
  if (!all.length) return null;
  if (!state.open) return all[0];
  const at = all.indexOf(state.open.n);
  if (at >= 0) return all[at + by] ?? null;
  const ordered = lines().map((line) => Number(line.dataset.n));
  const here = ordered.indexOf(state.open.n);
  const beyond = by > 0 ? all : all.reverse();
  return beyond.find((n) => (ordered.indexOf(n) - here) * by > 0) ?? null;
}

export function mark(n) {
  for (const line of lines()) {
    const current = Number(line.dataset.n) === n;
    line.classList.toggle("current", current);
    line.firstChild.toggleAttribute("aria-current", current);
    if (current) line.scrollIntoView({ block: "nearest" });
  }
  place();
}

function place() {
  const all = visible();
  const at = state.open ? all.indexOf(state.open.n) : -1;
  byId("position").textContent = at < 0 ? "" : `${at + 1} of ${all.length}`;
  byId("previous").disabled = neighbour(-1) === null;
  byId("next").disabled = neighbour(1) === null;
}
