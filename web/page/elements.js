import { text } from "./texts.js";

export const element = (id) => document.getElementById(id);

/** A new element: its properties, then what stands in it. */
export function make(name, properties = {}, ...inside) {
  const { label, ...own } = properties;
  const made = Object.assign(document.createElement(name), own);
  if (label) made.setAttribute("aria-label", label);
  made.append(...inside);
  return made;
}

export const button = (words, act, properties = {}) => {
  const made = make("button", { type: "button", textContent: words, ...properties });
  made.addEventListener("click", () => act(made));
  return made;
};

/** What the fixed parts of the page say: `data-text`, `data-label` and `data-hint` name their words. */
export function nameParts() {
  for (const part of document.querySelectorAll("[data-text]")) part.textContent = text[part.dataset.text];
  for (const part of document.querySelectorAll("[data-label]")) part.setAttribute("aria-label", text[part.dataset.label]);
  for (const part of document.querySelectorAll("[data-hint]")) part.placeholder = text[part.dataset.hint];
  for (const close of document.querySelectorAll(".close")) {
    close.setAttribute("aria-label", text.close);
    close.addEventListener("click", () => close.closest("dialog").close());
  }
}

/** A dialog that a click beside it closes as well. */
export function closeBeside(dialog) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}

/** A sentence that goes away by itself. */
let telling;
export function tell(words) {
  const note = element("note");
  note.textContent = words;
  note.classList.add("shown");
  clearTimeout(telling);
  telling = setTimeout(() => note.classList.remove("shown"), 4000);
}
