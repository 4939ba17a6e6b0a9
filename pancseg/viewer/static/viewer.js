// The page: read the cohort, start the parts, open the first patient.
import * as api from "./api.js";
import { byId, element } from "./element.js";
import { readAgain, readIfChanged, whenRowsChange } from "./fresh.js";
import { startKeyboard } from "./keyboard.js";
import { open, startParts, step } from "./opening.js";
import { neighbour, startPatients } from "./patients.js";
import { startReview } from "./review.js";
import { banner, fail, watchServer } from "./said.js";
import { startSaving } from "./saving.js";
import { Slices } from "./slices.js";
import { state, unsaved } from "./state.js";
import { startTheme } from "./theme.js";
import { goTo, show, startTools } from "./tools.js";
import { startView } from "./view.js";

async function start() {
  startTheme();
  watchServer(unsaved, readIfChanged);
  try {
    take(await api.cohort());
  } catch (error) {
    fail(error);
    return;
  }
  await startSlices();
  startView();
  startTools();
  startSaving();
  startReview(() => step(1));
  startParts();
  startPatients(openFromList);
  whenRowsChange(() => startPatients(openFromList));
  startKeyboard();
  byId("next").addEventListener("click", () => step(1));
  byId("previous").addEventListener("click", () => step(-1));
  for (const which of ["first", "centre", "last"]) byId(which).addEventListener("click", () => goTo(which));
  byId("show-list").addEventListener("click", () => showList(byId("show-list").getAttribute("aria-expanded") !== "true"));
  window.addEventListener("focus", readAgain);
  show();
  const first = neighbour(1);
  if (first !== null) await open(first);
}

function openFromList(n) {
  open(n);
  showList(false);
}

function take({ rows, read_only: readOnly, reviewer, now }) {
  Object.assign(state, { rows, readOnly, reviewer, now });
  banner("read-only", readOnly ? `Read only: ${readOnly}.` : "");
}

async function startSlices() {
  try {
    const slices = new Slices(byId("slices"));
    await slices.start();
    state.slices = slices;
  } catch (error) {
    byId("cover").replaceChildren(element("p", {}, `${error.message} Pictures and review work.`));
  }
}

function showList(wanted) {
  byId("show-list").setAttribute("aria-expanded", String(wanted));
  document.documentElement.classList.toggle("list-open", wanted);
}

start();
