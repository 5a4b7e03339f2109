import { call, send } from "./api.js";
import { button, element, make, tell } from "./elements.js";
import { text } from "./texts.js";

const AT_ONCE = 500, MOST = 10_000, MOST_IN_A_ZIP = 2000;

/** The pictures that are selected, and what can be done with them. */
export class Selection {
  constructor(grid, tagged) {
    Object.assign(this, { grid, tagged });
    this.ids = new Set();
    this.from = null;
    element("selection").append(
      this.count = make("output"),
      button(text.copyPaths, () => this.copy()), button(text.downloadZip, () => this.download()),
      button(text.tag, () => this.ask()), button(text.selectAll, () => this.all()),
      button("×", () => this.clear(), { label: text.clear, className: "quiet" }),
    );
    const dialog = element("tagging"), name = element("tag-name");
    dialog.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.tag(name.value.trim(), event.submitter?.value === "remove" ? "remove" : "add");
    });
  }

  has(i) {
    return this.ids.has(this.grid.answers.ids[i]);
  }

  toggle(i) {
    const id = this.grid.answers.ids[i];
    if (!this.ids.delete(id)) this.add([id]);
    this.from = i;
    this.show();
  }

  /** Select from where the selection began to here. */
  reach(start, end) {
    this.from ??= start;
    const [low, high] = [Math.min(this.from, end), Math.max(this.from, end)];
    this.add(this.grid.answers.ids.slice(Math.max(0, low), high + 1));
    this.show();
  }

  all() {
    this.add(this.grid.answers?.ids ?? []);
    this.show();
  }

  add(ids) {
    for (const id of ids) {
      if (this.ids.size >= MOST) {
        tell(text.tooMany(MOST));
        break;
      }
      this.ids.add(id);
    }
  }

  clear() {
    this.ids.clear();
    this.from = null;
    this.show();
  }

  show() {
    element("selection").hidden = !this.ids.size;
    document.body.classList.toggle("selecting", this.ids.size > 0);
    this.count.textContent = text.selected(this.ids.size);
    this.grid.refresh();
  }

  async copy() {
    const ids = [...this.ids], paths = [];
    try {
      for (let start = 0; start < ids.length; start += AT_ONCE) {
        const found = await call(`pictures?ids=${ids.slice(start, start + AT_ONCE).join(",")}`);
        paths.push(...found.hits.map((hit) => hit.path));
      }
      await navigator.clipboard.writeText(paths.join("\n"));
      tell(text.copiedPaths(paths.length));
    } catch (error) {
      tell(error.message);
    }
  }

  /** A form, so that the archive streams to the disk and is not held in memory here. */
  download() {
    if (this.ids.size > MOST_IN_A_ZIP) {
      tell(text.tooMany(MOST_IN_A_ZIP));
      return;
    }
    const form = make(
      "form", { method: "post", action: "/api/zip", hidden: true },
      make("input", { name: "ids", value: [...this.ids].join(",") }),
    );
    document.body.append(form);
    form.submit();
    form.remove();
  }

  async ask() {
    element("tag-title").textContent = text.tagging(this.ids.size);
    element("tagging").showModal();
    const found = await call("tags").catch(() => ({ tags: [] }));
    element("tags-known").replaceChildren(...found.tags.slice(0, 200).map(({ value }) => make("option", { value })));
  }

  async tag(name, how) {
    if (!name) return;
    try {
      const { changed } = await send("tags", { ids: [...this.ids], [how]: [name] });
      element("tagging").close();
      tell(text.tagged(changed));
      this.tagged();
    } catch (error) {
      element("tagging").close();
      tell(error.message);
    }
  }
}
