import { call } from "./api.js";
import { button, closeBeside, element, make } from "./elements.js";
import { text } from "./texts.js";

const LOOK_EVERY_MS = 700, A_PAGE = 50;

/** Pictures that are there more than once, the best copy of each marked; nothing is deleted here. */
export function makeCopies(openPicture, select) {
  const dialog = element("copies"), list = dialog.querySelector("ol"), said = element("copies-said");
  const more = dialog.querySelector(".more");
  let groups = 0, isOpen = false;

  async function look() {
    const found = await call(`duplicates?limit=${A_PAGE}`);
    if (!isOpen) return;
    const { state, done, total } = found;
    element("copies-progress").hidden = state !== "running";
    if (state === "running") {
      if (total) Object.assign(element("copies-progress"), { max: total, value: done });
      said.textContent = text.looking;
      setTimeout(() => look().catch(failed), LOOK_EVERY_MS);
      return;
    }
    said.textContent = state === "failed" ? found.error : found.total_groups ? text.copiesFound(found.total_groups, bytes(found.spare_bytes)) : text.noCopies;
    list.replaceChildren();
    groups = 0;
    show(found);
  }

  function show(found) {
    groups += found.groups.length;
    list.append(...found.groups.map(group));
    more.hidden = groups >= found.total_groups;
  }

  const failed = (error) => { said.textContent = error.message; };

  function group({ reason, hits }) {
    const ids = hits.slice(1).map((hit) => hit.id);
    return make(
      "li", {},
      make("ul", {}, ...hits.map((hit, i) => picture(hit, i === 0 ? text.best(text.reasons[reason] ?? reason) : text.kinds[hit.kind] ?? hit.kind, i === 0))),
      button(text.selectOthers(ids.length), (own) => {
        select(ids);
        own.disabled = true;
      }),
    );
  }

  function picture(hit, why, isBest) {
    const shown = make("button", { type: "button", label: hit.name }, make("img", { alt: "", loading: "lazy", src: `${hit.thumbnail}&size=360` }));
    shown.addEventListener("click", () => openPicture(hit));
    return make(
      "li", { className: isBest ? "best" : "" }, shown,
      make("strong", { textContent: why }),
      make("span", { textContent: `${hit.width_px} × ${hit.height_px}, ${bytes(hit.size_bytes)}` }),
      make("span", { textContent: hit.path.split(/[\\/]/).slice(-2).join("/"), title: hit.path, className: "path" }),
    );
  }

  more.addEventListener("click", () => call(`duplicates?limit=${A_PAGE}&offset=${groups}`).then(show, failed));
  dialog.addEventListener("close", () => { isOpen = false; });
  closeBeside(dialog);
  element("copies-button").addEventListener("click", () => {
    isOpen = true;
    dialog.showModal();
    look().catch(failed);
  });
}

/** A size as a person reads it. */
export const bytes = (count) => (count < 1e6 ? `${Math.ceil(count / 1e3)} kB` : count < 1e9 ? `${(count / 1e6).toFixed(1)} MB` : `${(count / 1e9).toFixed(1)} GB`);
