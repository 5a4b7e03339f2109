import { call, query } from "./api.js";
import { button, element, make } from "./elements.js";
import { text } from "./texts.js";

const KINDS = ["year", "camera", "tag", "type", "orientation", "folder"];

/** Pictures that are asked with, and conditions, each to be taken away again. */
export function showAsked(state, changed) {
  const row = element("asked");
  const chip = (label, source, list, value) => {
    const own = button(` ${label} ×`, () => {
      list.splice(list.indexOf(value), 1);
      changed();
    }, { title: text.remove });
    if (source) own.prepend(make("img", { src: source, alt: "" }));
    return own;
  };
  const thumbnail = (id) => `/api/pictures/${id}/thumbnail?size=180`;
  row.replaceChildren(
    ...state.like.map((id) => chip(text.like, thumbnail(id), state.like, id)),
    ...state.notLike.map((id) => chip(text.notLike, thumbnail(id), state.notLike, id)),
    ...state.uploads.map((id) => chip(text.like, `/api/uploads/${id}/thumbnail`, state.uploads, id)),
    ...state.filters.map((term) => chip(named(term), null, state.filters, term)),
  );
  row.hidden = !row.children.length;
}

/** What answers can be narrowed down by, with counts, among what the conditions leave. */
export async function showFacets(state, changed) {
  const only = state.filters.join(" ");
  const facets = await call(`facets?${query({ filter: only })}`).catch(() => null);
  if (only !== state.filters.join(" ")) return;
  const useful = (kind) => (facets?.[kind] ?? []).filter(({ term, count }) => count < facets.total && !state.filters.includes(term));
  element("facets").replaceChildren(
    ...KINDS.flatMap((kind) => useful(kind).slice(0, 4).map((value) => [kind, value])).map(([kind, { value, count, term }]) => {
      const own = button(`${kind === "folder" ? short(value) : text.values[value] ?? value} `, () => {
        state.filters.push(term);
        changed();
      }, { title: term });
      own.append(make("small", { textContent: count.toLocaleString() }));
      return own;
    }),
  );
}

/** A condition as a person would say it, where it is one that the map makes. */
const named = (term) => (/^(box|near):-?\d/.test(term) ? text.onMap : term);
const short = (path) => path.split(/[\\/]/).filter(Boolean).at(-1);
