import { call } from "./api.js";
import { button, element, make, tell } from "./elements.js";
import { locale, text } from "./texts.js";
import { play } from "./video.js";

const BESIDE = 6;
const when = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "short", timeZone: "UTC" });

/** The picture in full with its facts; arrows go on among the answers, a strip to its neighbours in time. */
export function makeViewer({ answers, moreLike, keep, canReveal, closed }) {
  const dialog = element("viewer"), image = dialog.querySelector("figure img"), strip = dialog.querySelector(".strip");
  let current = 0, shown = null;

  async function open(i) {
    const all = answers();
    if (!all.length) return;
    current = (i + all.length) % all.length;
    const hit = await all.whole(current);
    if (!hit) return;
    show(hit);
    element("viewer-place").textContent = text.of(current + 1, all.length);
    // The next one is there when it is asked for.
    const next = all.record(current + 1);
    if (next) new Image().src = large(next);
  }

  async function show(hit) {
    shown = hit;
    // The small one until the large one is there.
    image.style.backgroundImage = `url("${hit.thumbnail}&size=360")`;
    image.src = large(hit);
    image.alt = hit.name;
    play(image.parentElement, hit);
    element("viewer-name").textContent = hit.name;
    element("viewer-place").textContent = "";
    facts(hit);
    if (!dialog.open) dialog.showModal();
    const [whole, beside] = await Promise.all([
      call(`pictures/${hit.id}`).catch(() => ({})), call(`pictures/${hit.id}/neighbours?n=${BESIDE}`).catch(() => ({ before: [], after: [] })),
    ]);
    if (shown !== hit) return;
    facts({ ...hit, ...whole });
    strip.replaceChildren(...beside.before.map(small), small(hit), ...beside.after.map(small));
    const own = strip.children[beside.before.length];
    own.setAttribute("aria-current", "true");
    strip.scrollLeft = own.offsetLeft - strip.clientWidth / 2 + own.offsetWidth / 2;
  }

  function small(hit) {
    const own = make("button", { type: "button", label: hit.name }, make("img", { alt: "", src: `${hit.thumbnail}&size=180` }));
    own.addEventListener("click", () => show(hit));
    return own;
  }

  function facts(hit) {
    const known = hit.metadata ?? {};
    const rows = [
      [text.taken, hit.taken_at && when.format(new Date(`${hit.taken_at.slice(0, 19)}Z`))],
      [text.size, hit.width_px ? `${hit.width_px} × ${hit.height_px}` : null],
      [text.camera, [known.camera_make, known.camera_model].filter(Boolean).join(" ")],
      [text.lens, known.lens], [text.exposure, exposure(known)],
      [text.caption, known.caption ?? known.title],
      [text.described, hit.captions?.map((one) => one.text).join(" · ")], [text.rating, known.rating > 0 ? "★".repeat(known.rating) : null],
      [text.fits, hit.relevance == null ? null : `${Math.round(100 * hit.relevance)} %`],
      [text.tags, hit.tags?.join(", ")], [text.path, hit.path],
    ];
    dialog.querySelector("dl").replaceChildren(
      ...rows.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value })]),
    );
    const leave = (act) => () => {
      dialog.close();
      act();
    };
    const place = known.latitude == null ? [] : [button(text.nearby, leave(() => keep(`near:${known.latitude.toFixed(4)},${known.longitude.toFixed(4)},2km`)))];
    dialog.querySelector(".actions").replaceChildren(
      button(text.alike, leave(() => moreLike(hit.id, true))), button(text.less, leave(() => moreLike(hit.id, false))), ...place,
      button(text.copy, () => navigator.clipboard.writeText(hit.path).then(() => tell(text.copied), (error) => tell(error.message))),
      ...(canReveal() ? [button(text.open, () => call(`pictures/${hit.id}/reveal`, { method: "POST" }).catch((error) => tell(error.message)))] : []),
      make("a", { href: `/api/pictures/${hit.id}/file?download=1`, textContent: text.download, className: "button" }),
    );
  }

  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || event.target.closest(".strip")) return;
    event.preventDefault();
    open(current + step);
  });
  for (const [name, step] of [["back", -1], ["next", 1]]) dialog.querySelector(`.${name}`).addEventListener("click", () => open(current + step));
  dialog.addEventListener("close", () => {
    image.removeAttribute("src");
    shown = null;
    closed(current);
  });
  return { open, show };
}

const large = (hit) => `${hit.thumbnail}&size=1440`;

function exposure({ exposure_s: seconds, aperture, iso, focal_length_mm: focal }) {
  const time = seconds && (seconds < 0.4 ? `1/${Math.round(1 / seconds)} s` : `${seconds} s`);
  return [time, aperture && `f/${aperture}`, iso && `ISO ${iso}`, focal && `${Math.round(focal)} mm`].filter(Boolean).join(", ");
}
