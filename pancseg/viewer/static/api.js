// Talk to the viewer's own server: relative addresses, so that all of them hold the token.

/** What the server refused, in its words. */
export class Refused extends Error {
  constructor(status, message, answer = {}) {
    super(message);
    this.status = status;
    this.answer = answer;
  }
}

const GONE = "The viewer has stopped. Start `pancseg view` again and open its new address.";
const WORTH_TELLING = 16e6; // bytes; less than this is there at once
const listeners = new Set();
let reachable = true;

export const onReachable = (listener) => listeners.add(listener);

function tell(now) {
  if (now === reachable) return;
  reachable = now;
  for (const listener of listeners) listener(now);
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    tell(false);
    throw new Refused(0, GONE);
  }
  tell(true);
  if (response.ok) return response;
  let answer = {};
  try {
    answer = await response.json();
  } catch { /* an answer without words */ }
  throw new Refused(response.status, answer.error ?? `The viewer answers ${response.status}.`, answer);
}

const json = async (path, options) => (await ask(path, options)).json();
const query = (part) => {
  if (!part) return "";
  return part.whole ? "?whole=1" : `?z=${part.z}`;
};

export const cohort = () => json("api/cohort");
export const row = (n, part, signal) => json(`api/row/${n}${query(part)}`, { signal });
export const scan = (n, part, signal, progress) => bytes(`api/scan/${n}${query(part)}`, signal, progress);
export const mask = (n, part, signal) => bytes(`api/mask/${n}${query(part)}`, signal);

/** Ask whether the server is still there; `ask` tells everybody. @returns a text that differs once a
 * run or a decision has changed the output folder; null where the server does not answer. */
export async function alive() {
  try {
    return (await json("api/alive")).now;
  } catch {
    return null; // told
  }
}

export function review(n, decision) {
  return json(`api/review/${n}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Pancseg": "1" },
    body: JSON.stringify(decision),
  });
}

/** @param seen hash of the mask that was drawn on, or null; @param scan key of the scan. */
export async function saveMask(n, part, voxels, seen, scan) {
  const packed = await compressed(voxels);
  const headers = {
    "Content-Type": "application/octet-stream", "X-Pancseg": "1",
    "If-Match": `"${seen ?? "none"}"`, "X-Pancseg-Scan": scan,
  };
  if (packed) headers["Content-Encoding"] = "gzip";
  return json(`api/mask/${n}${query(part)}`, { method: "PUT", headers, body: packed ?? voxels });
}

async function compressed(voxels) {
  if (!("CompressionStream" in window)) return null;
  const stream = new Blob([voxels]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Response(stream).blob();
}

/** Read an answer as one buffer that is allocated once, and say how far it is. */
async function bytes(path, signal, progress) {
  const response = await ask(path, { signal });
  const length = Number(response.headers.get("Content-Length"));
  if (!(length > WORTH_TELLING)) return response.arrayBuffer();
  const whole = new Uint8Array(length);
  const reader = response.body.getReader();
  let read = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    whole.set(value, read);
    read += value.length;
    progress?.(read, length);
  }
  if (read !== length) throw new Refused(0, "The scan arrived incomplete; open the patient again.");
  return whole.buffer;
}
