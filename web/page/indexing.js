import { call, send } from "./api.js";
import { element } from "./elements.js";
import { text } from "./texts.js";

/** The index's page: its folders, a folder more, progress as it happens, what failed. */
export function watchIndex(changed) {
  const dialog = element("index"), job = element("job"), progress = element("progress");

  async function show() {
    const status = await call("status");
    element("index-facts").textContent = status.pictures ? text.pictures(status.pictures, status.model) : text.empty;
    element("index-folders").replaceChildren(
      ...(status.folders ?? []).map((folder) =>
        Object.assign(document.createElement("li"), { textContent: `${folder.path} (${folder.pictures})` }),
      ),
    );
    const failed = await call("failures?limit=200").catch(() => ({ total: 0, failures: [] }));
    const list = element("failures");
    list.hidden = !failed.total;
    list.querySelector("summary").textContent = text.failures(failed.total);
    list.querySelector("ul").replaceChildren(
      ...failed.failures.map((one) => Object.assign(document.createElement("li"), { textContent: `${one.path}: ${one.reason}` })),
    );
  }

  function follow(state) {
    const runs = state.state === "running" || state.state === "stopping";
    progress.hidden = !runs;
    if (runs) {
      if (state.total) Object.assign(progress, { max: state.total, value: state.done });
      else progress.removeAttribute("value");
      job.textContent = text.working(state.done, state.total);
    } else if (state.state !== "none") {
      job.textContent = state.error?.message ?? text.ended(state.state);
      show();
      changed();
    }
  }

  element("index-button").addEventListener("click", () => {
    dialog.showModal();
    show().catch((error) => { job.textContent = error.message; });
  });
  element("add").addEventListener("submit", async (event) => {
    event.preventDefault();
    const path = element("folder").value.trim();
    try {
      follow(await send("indexing", { paths: path ? [path] : [], exclude: [] }));
    } catch (error) {
      job.textContent = error.message;
    }
  });
  const events = new EventSource("/api/events");
  events.addEventListener("indexing", (event) => follow(JSON.parse(event.data)));
  events.addEventListener("index", () => changed());
}
