// Elements are made from text, never from HTML: ids and comments are what somebody typed.

export const byId = (id) => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** Texts with `code` between backticks, as nodes. */
export const words = (text) =>
  text.split("`").map((part, at) => (at % 2 ? element("code", {}, part) : document.createTextNode(part)));

/** What the browser keeps for the next visit; nothing where it keeps nothing. */
export const remembered = {
  get(name, otherwise = "") {
    try {
      return localStorage.getItem(`pancseg-viewer-${name}`) ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  set(name, value) {
    try {
      localStorage.setItem(`pancseg-viewer-${name}`, value);
    } catch { /* then it is asked again next time */ }
  },
};

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
export const whole = (value) => NUMBER.format(value);
export const millilitres = (value) => `${value < 10 ? value.toFixed(2) : value.toFixed(1)} mL`;
