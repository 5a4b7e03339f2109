import { call, send } from "./api.js";
import { closeBeside, element, make } from "./elements.js";
import { text } from "./texts.js";

/** The index's page: its folders, a folder more, progress as it happens, what failed. */
export function watchIndex(changed) {
  const dialog = element("index"), job = element("job"), progress = element("progress");
  let isTold = false;

  async function show() {
    const status = await call("status");
    element("index-facts").textContent = status.pictures ? text.pictures(status.pictures, status.model) : text.empty;
    element("index-folders").replaceChildren(
      ...(status.folders ?? []).map((folder) => make("li", { textContent: `${folder.path} (${folder.pictures.toLocaleString()})` })),
    );
    const below = status.index_below;
    for (const part of [element("folder"), element("add-folder")]) part.hidden = below?.length === 0;
    element("again").hidden = !status.folders?.length;
    element("index-where").hidden = !below;
    element("index-where").textContent = below?.length ? text.onlyFolders(below.join(", ")) : text.noFolders;
    const failed = await call("failures?limit=200").catch(() => ({ total: 0, failures: [] }));
    const list = element("failures");
    list.hidden = !failed.total;
    list.querySelector("summary").textContent = text.failures(failed.total);
    list.querySelector("ul").replaceChildren(...failed.failures.map((one) => make("li", { textContent: `${one.path}: ${one.reason}` })));
  }

  function follow(state) {
    const runs = state.state === "running" || state.state === "stopping";
    progress.hidden = element("stop").hidden = !runs;
    if (runs) {
      if (state.total) Object.assign(progress, { max: state.total, value: state.done });
      else progress.removeAttribute("value");
      job.textContent = text.working(state.done, state.total);
    } else if (state.state !== "none") {
      job.textContent = state.error?.message ?? text.ended[state.state];
      if (dialog.open) show();
    }
  }

  async function start(paths) {
    try {
      follow(await send("indexing", { paths, exclude: [] }));
    } catch (error) {
      job.textContent = error.message;
    }
  }

  closeBeside(dialog);
  element("index-button").addEventListener("click", () => {
    dialog.showModal();
    show().catch((error) => { job.textContent = error.message; });
  });
  element("add").addEventListener("submit", (event) => {
    event.preventDefault();
    const path = element("folder").value.trim();
    if (path) start([path]);
  });
  element("again").addEventListener("click", () => start([]));
  element("stop").addEventListener("click", () => call("indexing", { method: "DELETE" }).then(follow, () => {}));
  const known = call("status").then((status) => status.pictures, () => null);
  const events = new EventSource("/api/events");
  events.addEventListener("indexing", (event) => follow(JSON.parse(event.data)));
  events.addEventListener("index", async (event) => {
    const now = JSON.parse(event.data).pictures;
    // The first one may say what is known.
    if (isTold || now !== (await known)) changed();
    isTold = true;
  });
}
