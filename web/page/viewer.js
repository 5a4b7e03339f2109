import { call } from "./api.js";
import { element } from "./elements.js";
import { text } from "./texts.js";
import { play } from "./video.js";

/** The picture in full, with its facts; arrows go to its neighbours among the answers. */
export function makeViewer(hits, moreLike) {
  const dialog = element("viewer"), image = dialog.querySelector("img");
  let current = 0, status = null;

  async function show(i) {
    const all = hits();
    if (!all.length) return;
    current = (i + all.length) % all.length;
    const hit = all[current];
    image.src = `${hit.thumbnail}&size=1440`;
    image.alt = hit.name;
    play(image.parentElement, hit);
    element("viewer-name").textContent = hit.name;
    facts(hit);
    if (!dialog.open) dialog.showModal();
    status ??= await call("status").catch(() => ({}));
    const whole = await call(`pictures/${hit.id}`).catch(() => hit);
    if (hits()[current]?.id === hit.id) facts({ ...hit, ...whole });
  }

  function facts(hit) {
    const camera = [hit.metadata?.camera_make, hit.metadata?.camera_model].filter(Boolean).join(" ");
    const rows = [
      [text.path, hit.path], [text.taken, hit.taken_at?.replace("T", " ")], [text.size, `${hit.width_px} × ${hit.height_px}`],
      [text.camera, camera], [text.fits, hit.relevance == null ? null : `${Math.round(100 * hit.relevance)} %`],
      [text.tags, hit.tags?.join(", ")],
    ];
    const list = dialog.querySelector("dl");
    list.replaceChildren();
    for (const [name, value] of rows) {
      if (!value) continue;
      list.append(
        Object.assign(document.createElement("dt"), { textContent: name }),
        Object.assign(document.createElement("dd"), { textContent: value }),
      );
    }
    const actions = dialog.querySelector(".actions");
    const button = (label, act) => {
      const made = Object.assign(document.createElement("button"), { type: "button", textContent: label });
      made.addEventListener("click", () => act(made));
      return made;
    };
    const again = (isWanted) => () => {
      dialog.close();
      moreLike(hit.id, isWanted);
    };
    actions.replaceChildren(
      button(text.alike, again(true)),
      button(text.less, again(false)),
      button(text.copy, (own) => navigator.clipboard.writeText(hit.path).then(() => { own.textContent = text.copied; })),
    );
    if (status?.can_reveal) actions.append(button(text.open, () => call(`pictures/${hit.id}/reveal`, { method: "POST" })));
    const link = Object.assign(document.createElement("a"), { href: `/api/pictures/${hit.id}/file?download=1`, textContent: text.download });
    actions.append(link);
  }

  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") show(current + 1);
    if (event.key === "ArrowLeft") show(current - 1);
  });
  dialog.querySelector("figure").addEventListener("click", () => dialog.close());
  return { open: show };
}
