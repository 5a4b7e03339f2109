import { text } from "./texts.js";

export const element = (id) => document.getElementById(id);

/** What the fixed parts of the page say. */
export function nameButtons() {
  const question = element("question");
  question.placeholder = text.ask;
  question.setAttribute("aria-label", text.ask);
  element("choose").textContent = text.choose;
  element("picture").setAttribute("aria-label", text.choose);
  element("index-button").textContent = text.index;
  element("theme").setAttribute("aria-label", text.dark);
  element("words").setAttribute("aria-label", text.words);
  element("facets").setAttribute("aria-label", text.filters);
  element("index-title").textContent = text.index;
  element("folder").placeholder = text.folder;
  element("folder").setAttribute("aria-label", text.folder);
  element("add").querySelector("button").textContent = text.add;
  element("login-label").textContent = text.token;
  element("login").querySelector("button").textContent = text.enter;
  for (const button of document.querySelectorAll(".close")) {
    button.setAttribute("aria-label", text.close);
    button.addEventListener("click", () => button.closest("dialog").close());
  }
}
