import { call, upload } from "./api.js";
import { Asking } from "./asking.js";
import { fillCard, makeCard } from "./cards.js";
import { showAsked, showFacets } from "./chips.js";
import { makeCopies } from "./copies.js";
import { element, nameParts, tell } from "./elements.js";
import { Grid } from "./grid.js";
import { Heat } from "./heat.js";
import { takePictures } from "./incoming.js";
import { watchIndex } from "./indexing.js";
import { selectByTouch, walkByKeys } from "./keys.js";
import { login } from "./login.js";
import { isOfPlace, PlacesMap } from "./map.js";
import { sections } from "./sections.js";
import { Selection } from "./selection.js";
import { language, text } from "./texts.js";
import { chooseTheme } from "./theme.js";
import { Timeline } from "./timeline.js";
import { makeViewer } from "./viewer.js";

const root = element("grid"), said = element("said"), question = element("question");
const state = { q: "", filters: [], like: [], notLike: [], uploads: [], order: "fit" };
let status = {};

document.documentElement.lang = language;
nameParts();
chooseTheme();

const asking = new Asking(state, { shown, failed });
const grid = new Grid(root, {
  make: makeCard,
  fill: (item) => {
    fillCard(item, grid.answers.record(item.index), selection.has(item.index));
    heat.watch(item);
  },
  near: (first, end) => grid.answers.need(first, end, () => grid.refresh()),
  moved: (first) => timeline.stand(first),
  ended: () => asking.more(),
});
const heat = new Heat(grid);
const selection = new Selection(grid, refresh);
const timeline = new Timeline({ go: (i) => grid.scrollTo(i), keep: (term) => keep(term, (one) => one.startsWith("taken:")) });
const places = new PlacesMap((term) => keep(term, isOfPlace));
const viewer = makeViewer({
  answers: () => asking.answers, moreLike, keep: (term) => keep(term, isOfPlace), canReveal: () => status.can_reveal,
  closed: (i) => { if (!document.querySelector("dialog[open]")) grid.focus(i); },
});
makeCopies((hit) => viewer.show(hit), (ids) => {
  selection.add(ids);
  selection.show();
});
walkByKeys(root, grid, selection);
selectByTouch(root, selection);
takePictures(askWith);

function shown(answers, isSame) {
  said.textContent = !answers.length ? text.none : answers.words == null && answers.isByTime ? text.browsing(answers.length)
    : text.answered(answers.length, answers.tookMs ?? 0, answers.isWhole);
  element("order").hidden = asking.isPlain || (answers.isByTime && state.order === "fit");
  if (!isSame && grid.top() > 0) scrollTo({ top: 0 });
  grid.show(answers, sections(answers), isSame);
  timeline.show(answers.isByTime ? answers.months : []);
  if (!answers.isQuick) heat.ask(answers.words ? state.q : "", answers.ids[0]);
}

function failed(error) {
  grid.show({ ids: [], shapes: [], length: 0, cut: -1, record: () => null, need: () => {} }, []);
  timeline.show([]);
  said.textContent = error.code === "index-missing" ? text.empty : error instanceof TypeError ? text.away : error.message;
  if (error.status === 401) login();
}

/** What is asked has changed: show it, ask, and count anew what is left to narrow down by. */
function changed() {
  heat.forget();
  showAsked(state, changed);
  places.load(state.filters);
  // What is counted comes after what is asked.
  asking.ask().then(() => showFacets(state, changed));
}

/** The pictures themselves have changed, not what is asked. */
function refresh() {
  asking.ask({ isSame: true }).then(() => showFacets(state, changed));
  places.asked = null;
  places.load(state.filters);
}

/** A condition more, in the place of its kind. */
function keep(term, isOfKind) {
  state.filters = [...state.filters.filter((one) => !isOfKind(one)), term];
  changed();
}

function moreLike(id, isWanted = true) {
  if (!isWanted && !state.q && !state.like.length && !state.uploads.length) {
    tell(text.sayWanted);
    return;
  }
  (isWanted ? state.like : state.notLike).push(id);
  changed();
}

async function askWith(file) {
  try {
    state.uploads = [(await upload(file)).upload];
    changed();
  } catch (error) {
    tell(error.message);
  }
}

question.addEventListener("input", () => {
  state.q = question.value.trim();
  history.replaceState(null, "", state.q ? `#${encodeURIComponent(state.q)}` : "#");
  heat.forget();
  asking.type();
});
element("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  asking.ask();
});
element("order").addEventListener("click", (event) => {
  state.order = event.target.dataset.order ?? state.order;
  for (const one of element("order").children) one.setAttribute("aria-pressed", String(one.dataset.order === state.order));
  asking.ask();
});
element("map-button").addEventListener("click", () => places.toggle(state.filters));
root.addEventListener("click", (event) => {
  const item = event.target.closest("li.picture");
  if (!item) return;
  const i = item.index;
  if (event.target.matches(".alike")) moreLike(item.key);
  else if (event.target.matches(".check")) event.shiftKey ? selection.reach(i, i) : selection.toggle(i);
  else if (event.shiftKey) selection.reach(i, i);
  else if (event.ctrlKey || event.metaKey || (selection.ids.size && event.detail)) selection.toggle(i);
  else {
    grid.current = i;
    viewer.open(i);
  }
});
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches("input") || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  question.focus();
});

question.value = state.q = decodeURIComponent(location.hash.slice(1));
changed();
watchIndex(refresh);
call("status").then((found) => { status = found; }, () => {});
// Only where the browser trusts the address; the page works without.
navigator.serviceWorker?.register("sw.js").catch(() => {});
