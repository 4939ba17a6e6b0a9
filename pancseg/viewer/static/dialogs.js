// Questions, and the list of keys.
import { byId, element } from "./element.js";

/**
 * Ask, and wait for the answer.
 * @param choices [value, label] each; the first is the suggested one.
 * @returns the chosen value; null where the question was closed.
 */
export function ask(title, text, choices) {
  const dialog = byId("ask");
  byId("ask-title").textContent = title;
  byId("ask-text").textContent = text;
  return new Promise((resolve) => {
    const answer = (value) => {
      dialog.oncancel = null; // `close` comes later, when the next question may be open already
      dialog.close();
      resolve(value);
    };
    dialog.oncancel = () => answer(null);
    byId("ask-buttons").replaceChildren(...choices.map(([value, label], at) => {
      const button = element("button", { type: "button", class: at ? "" : "primary" }, label);
      button.addEventListener("click", () => answer(value));
      return button;
    }));
    dialog.showModal();
    byId("ask-buttons").firstChild.focus();
  });
}

export const asking = () => byId("ask").open || byId("keys").open;

export function startKeysDialog(keys) {
  for (const [names, does] of keys) {
    const pressed = names.map((name) => element("kbd", {}, name));
    byId("keys-list").append(element("dt", {}, ...pressed), element("dd", {}, does));
  }
  byId("show-keys").addEventListener("click", showKeys);
  byId("keys-close").addEventListener("click", () => byId("keys").close());
}

export const showKeys = () => byId("keys").showModal();
