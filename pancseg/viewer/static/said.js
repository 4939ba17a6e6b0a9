// What the page says: a line that goes away, and banners that stay.
import { alive, onReachable } from "./api.js";
import { byId, words } from "./element.js";

const SHOWN_MS = 6000;
const ASK_MS = 5000;
let timer = 0;

/** Say something; a screen reader reads it too. */
export function say(text, kind = "good") {
  const line = byId("said");
  line.replaceChildren(...words(text));
  line.className = `said shown ${kind}`;
  clearTimeout(timer);
  timer = setTimeout(() => line.classList.remove("shown"), kind === "bad" ? 3 * SHOWN_MS : SHOWN_MS);
}

export const fail = (error) => say(error.message, "bad");

export function banner(id, text) {
  byId(id).replaceChildren(...words(text));
  byId(id).hidden = !text;
}

/** @param tellNow what to do with the text that tells what the output folder is now. */
export function watchServer(unsaved, tellNow) {
  onReachable((reachable) => {
    const kept = unsaved() ? " The changes of the open mask are still here." : "";
    banner("banner", reachable ? ""
      : `The viewer has stopped, so nothing can be saved. Start \`pancseg view\` again and open its new address.${kept}`);
  });
  setInterval(async () => {
    const now = document.hidden ? null : await alive();
    if (now !== null) tellNow(now);
  }, ASK_MS);
}
