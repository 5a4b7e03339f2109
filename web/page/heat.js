import { call, query } from "./api.js";
import { badge } from "./cards.js";
import { button, element, make } from "./elements.js";
import { text } from "./texts.js";

/**
 * One row of words for all pictures; the one that is pressed shows where it looks in each.
 *
 * What is known of a picture is asked once for a question, and only of pictures that come into view.
 */
export class Heat {
  constructor(grid) {
    this.grid = grid;
    this.asked = "";
    this.word = null;
    this.known = new Map();
    this.seen = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) this.look(entry.target);
    });
  }

  /** Begin anew with a question, that of the picture that fits best among them. */
  async ask(words, first) {
    const row = element("words");
    if (words === this.asked && row.children.length) return;
    this.forget();
    this.asked = words;
    if (!words || !first) return;
    const found = await this.of(first);
    if (words !== this.asked) return;
    row.replaceChildren(...found.words.map(({ word }) => {
      const own = button(word, () => this.press(this.word === word ? null : word));
      own.setAttribute("aria-pressed", "false");
      return own;
    }));
    row.hidden = !row.children.length;
  }

  forget() {
    this.press(null);
    this.asked = "";
    this.known.clear();
    element("words").replaceChildren();
    element("words").hidden = true;
  }

  press(word) {
    this.word = word;
    for (const one of element("words").children) one.setAttribute("aria-pressed", String(one.textContent === word));
    this.seen.disconnect();
    for (const item of this.grid.cards()) {
      item.querySelectorAll(".heat, .badge.missing").forEach((one) => one.remove());
      item.heat = null;
      if (word) this.seen.observe(item);
    }
  }

  /** A picture's element is in the document. */
  watch(item) {
    if (this.word && item.heat !== this.word) this.seen.observe(item);
  }

  of(id) {
    if (!this.known.has(id)) {
      this.known.set(id, call(`pictures/${id}/heat?${query({ q: this.asked })}`).catch(() => ({ words: [] })));
    }
    return this.known.get(id);
  }

  async look(item) {
    const { word } = this, { key: id } = item;
    this.seen.unobserve(item);
    if (!word || item.heat === word) return;
    item.heat = word;
    const found = await this.of(id);
    const own = found.words.find((one) => one.word === word);
    if (!own || this.word !== word || !item.isConnected) return;
    if (own.found === false) item.append(badge(text.missing(word), "missing"));
    else item.append(make("img", { className: "heat", alt: "", src: `/api/pictures/${id}/heat.png?${query({ q: this.asked, word })}` }));
  }
}
