import { make } from "./elements.js";
import { text } from "./texts.js";

/** The element of a picture, empty until `fillCard`. */
export function makeCard() {
  const image = make("img", { alt: "", decoding: "async", draggable: false });
  image.addEventListener("load", () => image.classList.add("there"));
  return make(
    "li", { className: "picture" },
    make("button", { type: "button", className: "card", label: text.picture, tabIndex: -1 }, image),
    make("button", { type: "button", className: "check", label: text.select, tabIndex: -1 }),
    make("button", { type: "button", className: "alike", textContent: text.alike, tabIndex: -1 }),
  );
}

/** Show what is known of a picture: its name, its thumbnail, how many are folded into it. */
export function fillCard(item, hit, isSelected) {
  item.classList.toggle("selected", isSelected);
  item.querySelector(".check").setAttribute("aria-pressed", String(isSelected));
  if (!hit || item.hit === hit) return;
  const card = item.querySelector(".card"), image = card.firstElementChild;
  card.setAttribute("aria-label", hit.name);
  item.querySelector(".check").setAttribute("aria-label", `${text.select}: ${hit.name}`);
  if (item.hit?.thumbnail !== hit.thumbnail || !image.src) image.src = `${hit.thumbnail}&size=${size(item)}`;
  item.querySelectorAll(".badge").forEach((one) => one.remove());
  const said = [hit.time && `▶ ${hit.time}`, hit.like?.length && text.more(hit.like.length)].filter(Boolean);
  if (said.length) item.append(badge(said.join(" · ")));
  item.hit = hit;
}

export const badge = (words, kind = "") => make("span", { className: `badge ${kind}`, textContent: words });

/** A screen may have several dots in a pixel. */
const size = (item) => (Math.max(item.offsetWidth, item.offsetHeight) * devicePixelRatio > 460 ? 720 : 360);
