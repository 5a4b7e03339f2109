import { call, query, send, upload } from "./api.js";
import { justify } from "./rows.js";
import { language, text } from "./texts.js";
import { element, nameButtons } from "./elements.js";
import { watchIndex } from "./indexing.js";
import { makeViewer } from "./viewer.js";

const PAGE = 60, GAP = 6;
const grid = element("grid"), said = element("said"), question = element("question");
const state = { q: "", filters: [], like: [], notLike: [], uploads: [], hits: [], offset: 0, ended: false, loading: null, word: null };

document.documentElement.lang = language;
nameButtons();

const wished = () => (innerWidth < 640 ? 130 : 210);
const parameters = (offset) => ({
  q: state.q, filter: state.filters.join(" "), like: state.like, not_like: state.notLike,
  upload: state.uploads, k: PAGE, offset,
});

async function ask() {
  state.loading?.abort();
  Object.assign(state, { hits: [], offset: 0, ended: false, loading: null, word: null });
  grid.classList.add("stale");
  await load(true);
}

async function load(isFirst = false) {
  if (state.loading || state.ended) return;
  const loading = (state.loading = new AbortController());
  try {
    const answer = await call(`search?${query(parameters(state.offset))}`, { signal: loading.signal });
    if (loading !== state.loading) return;
    state.hits.push(...answer.hits);
    state.offset += answer.hits.length;
    state.ended = answer.hits.length < PAGE;
    const what = answer.mode === "browse" ? text.browsing : text.found(state.hits.length, Math.round(answer.took_ms));
    said.textContent = state.hits.length ? what : text.none;
    if (isFirst) {
      grid.replaceChildren();
      showWords();
      showAsked();
    }
    paint();
  } catch (error) {
    if (error.name === "AbortError") return;
    state.ended = true;
    if (isFirst) grid.replaceChildren();
    said.textContent = error.code === "index-missing" ? text.empty : error.message;
    if (error.status === 401) login();
  } finally {
    if (loading === state.loading) state.loading = null;
  }
}

/** Lay all hits out; those that are there already are only moved. */
function paint() {
  const sizes = [];
  const cut = state.q ? state.hits.findIndex((hit) => hit.fits === false) : -1;
  const parts = cut < 0 ? [state.hits] : [state.hits.slice(0, cut), state.hits.slice(cut)];
  for (const part of parts) {
    const shapes = part.map((hit) => hit.width_px / Math.max(1, hit.height_px));
    // Down to whole pixels: a row that is wider by a fraction would break.
    sizes.push(...justify(shapes, Math.floor(grid.getBoundingClientRect().width), wished(), GAP));
  }
  let place = [...grid.querySelectorAll("li.picture")];
  state.hits.forEach((hit, i) => {
    let item = place[i];
    if (!item) {
      item = card(hit, i);
      if (i === cut) grid.append(Object.assign(document.createElement("li"), { className: "cut", textContent: text.cut }));
      grid.append(item);
    }
    item.classList.toggle("weak", cut >= 0 && i >= cut);
    item.style.width = `${sizes[i].width}px`;
    item.style.height = `${sizes[i].height}px`;
  });
}

function card(hit, i) {
  const item = document.createElement("li"), button = document.createElement("button");
  const image = document.createElement("img"), alike = document.createElement("button");
  item.className = "picture";
  button.className = "card";
  button.type = alike.type = "button";
  button.setAttribute("aria-label", hit.name);
  button.addEventListener("click", () => viewer.open(i));
  image.loading = "lazy";
  image.alt = hit.name;
  image.src = hit.thumbnail;
  button.append(image);
  alike.className = "alike";
  alike.textContent = text.alike;
  alike.addEventListener("click", () => moreLike(hit.id));
  item.append(button, alike);
  if (hit.like?.length) item.append(badge(text.more(hit.like.length)));
  return item;
}

function badge(words, kind = "") {
  return Object.assign(document.createElement("span"), { className: `badge ${kind}`, textContent: words });
}

/** One row of words for all pictures; the one that is pressed shows where it looks in each. */
async function showWords() {
  const row = element("words"), first = state.hits[0];
  row.hidden = true;
  row.replaceChildren();
  if (!state.q || !first) return;
  const asked = state.q;
  const found = await call(`pictures/${first.id}/heat?${query({ q: asked })}`).catch(() => ({ words: [] }));
  if (asked !== state.q) return;
  for (const { word } of found.words) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: word });
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      state.word = state.word === word ? null : word;
      for (const other of row.children) other.setAttribute("aria-pressed", String(other.textContent === state.word));
      showHeat();
    });
    row.append(button);
  }
  row.hidden = !found.words.length;
}

function showHeat() {
  const word = state.word;
  grid.querySelectorAll(".heat, .badge.missing").forEach((one) => one.remove());
  if (!word) return;
  grid.querySelectorAll("li.picture").forEach((item, i) => seen(item).then(() => heatOf(item, state.hits[i], word)));
}

/** Resolves once an element comes into view, so that no map is made that nobody looks at. */
const seen = (item) =>
  new Promise((done) => {
    const observer = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      done();
    }, { rootMargin: "200px" });
    observer.observe(item);
  });

async function heatOf(item, hit, word) {
  const found = await call(`pictures/${hit.id}/heat?${query({ q: state.q })}`).catch(() => ({ words: [] }));
  const own = found.words.find((one) => one.word === word);
  if (!own || state.word !== word || !item.isConnected) return;
  if (own.found === false) {
    item.append(badge(text.missing(word), "missing"));
    return;
  }
  const map = Object.assign(document.createElement("img"), { className: "heat", alt: "" });
  map.src = `/api/pictures/${hit.id}/heat.png?${query({ q: state.q, word })}`;
  item.append(map);
}

/** Pictures that are asked with, and conditions, each to be taken away again. */
function showAsked() {
  const row = element("asked");
  row.replaceChildren();
  const chip = (label, source, list, value) => {
    const button = Object.assign(document.createElement("button"), { type: "button", title: text.remove });
    if (source) button.append(Object.assign(document.createElement("img"), { src: source, alt: "" }), " ");
    button.append(`${label} ×`);
    button.addEventListener("click", () => {
      list.splice(list.indexOf(value), 1);
      ask();
    });
    row.append(button);
  };
  for (const id of state.like) chip(text.like, `/api/pictures/${id}/thumbnail?size=180`, state.like, id);
  for (const id of state.notLike) chip(text.notLike, `/api/pictures/${id}/thumbnail?size=180`, state.notLike, id);
  for (const id of state.uploads) chip(text.like, `/api/uploads/${id}/thumbnail`, state.uploads, id);
  for (const term of state.filters) chip(term, null, state.filters, term);
  row.hidden = !row.children.length;
}

async function showFacets() {
  const row = element("facets");
  const facets = await call("facets").catch(() => null);
  row.replaceChildren();
  if (!facets) return;
  const kinds = ["year", "camera", "tag", "type", "orientation", "folder"];
  for (const { value, count, term } of kinds.flatMap((kind) => (facets[kind] ?? []).slice(0, 4))) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: `${value} ` });
    button.append(Object.assign(document.createElement("small"), { textContent: count }));
    button.addEventListener("click", () => {
      if (!state.filters.includes(term)) state.filters.push(term);
      ask();
    });
    row.append(button);
  }
}

function moreLike(id, isWanted = true) {
  (isWanted ? state.like : state.notLike).push(id);
  ask();
  scrollTo({ top: 0 });
}

async function askWith(file) {
  if (!file?.type.startsWith("image/")) return;
  try {
    state.uploads = [(await upload(file)).upload];
    ask();
  } catch (error) {
    said.textContent = error.message;
  }
}

function login() {
  const dialog = element("login");
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("form").onsubmit = async (event) => {
    event.preventDefault();
    await send("login", { token: element("token").value }).then(() => location.reload(), (error) => { said.textContent = error.message; });
  };
}

const viewer = makeViewer(() => state.hits, moreLike);
watchIndex(() => { showFacets(); if (!state.q) ask(); });

let typed;
question.addEventListener("input", () => {
  clearTimeout(typed);
  typed = setTimeout(() => {
    state.q = question.value.trim();
    history.replaceState(null, "", state.q ? `#${encodeURIComponent(state.q)}` : "#");
    ask();
  }, 150);
});
element("ask").addEventListener("submit", (event) => event.preventDefault());
element("choose").addEventListener("click", () => element("picture").click());
element("picture").addEventListener("change", (event) => askWith(event.target.files[0]));
addEventListener("paste", (event) => askWith(event.clipboardData.files[0]));
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("drop"); });
addEventListener("dragleave", () => document.body.classList.remove("drop"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("drop");
  askWith(event.dataTransfer.files[0]);
});
addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== question && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    question.focus();
  }
});
element("theme").addEventListener("click", () => {
  const root = document.documentElement, isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = root.dataset.theme ?? (isDark ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  element("theme").setAttribute("aria-pressed", String(root.dataset.theme === "dark"));
  localStorage.setItem("theme", root.dataset.theme);
});
if (localStorage.getItem("theme")) document.documentElement.dataset.theme = localStorage.getItem("theme");
new IntersectionObserver((entries) => { if (entries[0].isIntersecting) load(); }, { rootMargin: "800px" }).observe(element("more"));
new ResizeObserver(() => { if (state.hits.length) paint(); }).observe(grid);

question.value = state.q = decodeURIComponent(location.hash.slice(1));
ask();
showFacets();
