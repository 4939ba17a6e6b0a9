// Accept, reject, comment: a reason, initials, Enter.
import { showDecisions } from "./about.js";
import * as api from "./api.js";
import { byId, remembered, words } from "./element.js";
import { update } from "./patients.js";
import { readAgain } from "./fresh.js";
import { fail, say } from "./said.js";
import { state, unsaved } from "./state.js";

const USUAL = { accept: "looked at, the mask is right", reject: "looked at, the mask is wrong", comment: "" };
const SAID = { accept: "Accepted", reject: "Rejected" };
let kind = "";
let next = () => {};

export function startReview(goOn) {
  next = goOn;
  byId("advance").checked = remembered.get("advance") === "yes";
  byId("advance").addEventListener("change", () => remembered.set("advance", byId("advance").checked ? "yes" : "no"));
  for (const button of document.querySelectorAll("[data-decision]")) {
    button.addEventListener("click", () => choose(button.dataset.decision));
  }
  byId("decide").addEventListener("submit", (event) => {
    event.preventDefault();
    if (kind) save();
  });
}

/** Why a decision cannot be made; empty if it can. */
function hindrance(decision) {
  if (state.readOnly) return `Read only: ${state.readOnly}.`;
  if (!state.open) return "Choose a patient first.";
  if (decision !== "comment" && !state.info) return "This patient is still loading.";
  if (decision !== "comment" && !state.info.mask.table_sha256) return `There is no mask to ${decision}.`;
  if (decision !== "comment" && state.info.mask.changed) {
    return "The mask has changed since it was measured. Run `pancseg run` first, then judge it; or comment.";
  }
  if (decision !== "comment" && unsaved()) return "Save the mask first, or undo the changes.";
  return "";
}

export function choose(decision) {
  const why = hindrance(decision);
  byId("cannot-decide").replaceChildren(...words(why));
  byId("cannot-decide").hidden = !why;
  if (why) return;
  kind = decision;
  press();
  byId("decision-fields").hidden = false;
  byId("reason").value = USUAL[decision];
  byId("by").value = remembered.get("by") || state.reviewer || "";
  byId("reason").focus();
  byId("reason").select();
}

export function closeReview() {
  kind = "";
  press();
  byId("decision-fields").hidden = true;
  byId("cannot-decide").hidden = true;
}

function press() {
  for (const button of document.querySelectorAll("[data-decision]")) {
    button.setAttribute("aria-pressed", String(button.dataset.decision === kind));
  }
}

async function save() {
  const [row, decision] = [state.open, kind];
  const reason = byId("reason").value.trim();
  const by = byId("by").value.trim();
  for (const [field, value] of [["reason", reason], ["by", by]]) {
    if (!value) {
      say(field === "by" ? "Give your initials." : "Say why, in a few words.", "bad");
      byId(field).focus();
      return;
    }
  }
  const sha256 = state.info?.mask.table_sha256 ?? "";
  byId("decision-save").disabled = true;
  try {
    const answer = await api.review(row.n, { decision, reason, by, mask_sha256: sha256 });
    Object.assign(row, answer);
    remembered.set("by", by);
  } catch (error) {
    fail(error);
    if (error.status === 409) readAgain();
    return;
  } finally {
    byId("decision-save").disabled = false;
  }
  update(row);
  if (row === state.open) { showDecisions(); closeReview(); byId("slices").focus(); }
  say(decision === "comment" ? "Comment saved." : `${SAID[decision]} and saved. It counts from the next \`pancseg run\`.`);
  if (decision !== "comment" && byId("advance").checked) next();
}
