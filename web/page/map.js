import { call, query } from "./api.js";
import { button, element, make } from "./elements.js";
import { cluster, project, unproject } from "./mercator.js";
import { text } from "./texts.js";

const CELL_PX = 64, DRAG_PX = 4, LARGEST = 2 ** 21, KM_AROUND = 40_075;

/** A map of where pictures were taken, on coastlines that come with the page. `keep` takes a condition. */
export class PlacesMap {
  constructor(keep) {
    this.keep = keep;
    this.points = [];
    this.root = element("map");
    this.pins = make("div", { className: "pins" });
    this.frame = make("div", { className: "frame", hidden: true });
    this.hint = make("p", { className: "hint", textContent: text.mapHint });
    this.draws = button(text.drawBox, () => this.drawing(!this.isDrawing));
    this.draws.setAttribute("aria-pressed", "false");
    this.root.append(
      this.pins, this.frame, this.hint,
      make("div", { className: "tools" },
        button("+", () => this.zoom(2), { label: text.zoomIn }), button("−", () => this.zoom(0.5), { label: text.zoomOut }),
        this.draws, button(text.keepShown, () => this.keepBox(...this.shown()))),
    );
    this.listen();
    new ResizeObserver(() => { if (this.scale) this.draw(); }).observe(this.root);
  }

  get isOpen() {
    return !this.root.hidden;
  }

  async toggle(only) {
    this.root.hidden = !this.root.hidden;
    element("map-button").setAttribute("aria-pressed", String(this.isOpen));
    if (!this.isOpen) return;
    if (!this.svg) {
      const world = await fetch("world.svg").then((answer) => answer.text());
      this.svg = document.importNode(new DOMParser().parseFromString(world, "image/svg+xml").documentElement, true);
      this.svg.setAttribute("aria-hidden", "true");
      this.root.prepend(this.svg);
    }
    this.asked = null;
    await this.load(only);
    this.fit(this.points);
  }

  /** Show the pictures that fit conditions; those about places are left to the map's own. */
  async load(filters) {
    const only = filters.filter((term) => !isOfPlace(term)).join(" ");
    if (!this.isOpen || only === this.asked) return;
    this.asked = only;
    const found = await call(`places?${query({ filter: only, limit: 200_000 })}`).catch(() => ({ places: [] }));
    this.points = found.places.map(([id, latitude, longitude]) => [id, ...project(latitude, longitude)]);
    this.hint.textContent = this.points.length ? text.mapHint : text.noPlaces;
    if (this.scale) this.draw();
  }

  fit(points) {
    const { clientWidth: width, clientHeight: height } = this.root;
    let box = [0.02, 0.15, 0.98, 0.72];
    if (points.length) {
      const xs = points.map((one) => one[1]), ys = points.map((one) => one[2]);
      const bound = (list, least) => list.reduce((a, b) => (least ? Math.min(a, b) : Math.max(a, b)));
      box = [bound(xs, true), bound(ys, true), bound(xs), bound(ys)];
    }
    this.fitBox(box, width, height);
  }

  fitBox([west, north, east, south], width = this.root.clientWidth, height = this.root.clientHeight) {
    const room = 1.5, least = 0.0004;
    this.scale = Math.min(width / (room * Math.max(least, east - west)), height / (room * Math.max(least, south - north)));
    this.bound();
    this.x = (west + east) / 2 - width / 2 / this.scale;
    this.y = (north + south) / 2 - height / 2 / this.scale;
    this.draw();
  }

  /** Zoom about a point of the view, its middle where none is given. */
  zoom(factor, px = this.root.clientWidth / 2, py = this.root.clientHeight / 2) {
    const before = this.scale;
    this.scale *= factor;
    this.bound();
    this.x += px / before - px / this.scale;
    this.y += py / before - py / this.scale;
    this.later();
  }

  bound() {
    this.scale = Math.max(Math.max(this.root.clientWidth, this.root.clientHeight), Math.min(LARGEST, this.scale));
  }

  later() {
    this.isWaiting ||= requestAnimationFrame(() => {
      this.isWaiting = 0;
      this.draw();
    });
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.root;
    if (!width || !this.svg) return;
    this.bound();
    const wide = width / this.scale, high = height / this.scale;
    this.x = Math.max(0, Math.min(1 - wide, this.x));
    this.y = Math.max(0, Math.min(1 - high, this.y));
    const all = 4000;
    this.svg.setAttribute("viewBox", [this.x, this.y, wide, high].map((one) => one * all).join(" "));
    // In steps, so that pictures keep together while one zooms.
    const cell = CELL_PX / 2 ** (Math.round(2 * Math.log2(this.scale)) / 2), margin = cell;
    const inView = this.points.filter(([, x, y]) => x > this.x - margin && x < this.x + wide + margin && y > this.y - margin && y < this.y + high + margin);
    const focused = document.activeElement?.parentElement === this.pins ? document.activeElement.dataset.id : null;
    this.pins.replaceChildren(...cluster(inView, cell).slice(0, 200).map((one) => this.pin(one)));
    if (focused) this.pins.querySelector(`[data-id="${focused}"]`)?.focus();
  }

  pin(one) {
    const own = button("", () => this.keepPin(one), { className: "pin", label: text.found(one.count) });
    const image = make("img", { alt: "", draggable: false, src: `/api/pictures/${one.id}/thumbnail?size=180` });
    image.addEventListener("error", () => image.remove());
    own.append(image);
    if (one.count > 1) own.append(make("span", { textContent: one.count.toLocaleString() }));
    own.dataset.id = one.id;
    const side = 40 + Math.min(24, 6 * Math.log10(one.count));
    own.style.width = own.style.height = `${side}px`;
    own.style.transform = `translate(${(one.x - this.x) * this.scale - side / 2}px, ${(one.y - this.y) * this.scale - side / 2}px)`;
    return own;
  }

  /** What lies in one spot is kept by its distance, what is spread out by its box, which is shown. */
  keepPin({ x, y, box }) {
    const [west, north, east, south] = box;
    const [latitude, longitude] = unproject(x, y);
    const km = Math.max(east - west, south - north) * KM_AROUND * Math.cos((latitude * Math.PI) / 180);
    if (km < 4) this.keep(`near:${latitude.toFixed(4)},${longitude.toFixed(4)},${Math.max(0.5, km).toFixed(1)}km`);
    else {
      this.keepBox(west, north, east, south);
      this.fitBox(box);
    }
  }

  keepBox(west, north, east, south) {
    const [top, left] = unproject(west, north).map((one, i) => one + (i ? -1e-4 : 1e-4));
    const [bottom, right] = unproject(east, south).map((one, i) => one + (i ? 1e-4 : -1e-4));
    this.keep(`box:${[Math.max(-90, bottom), Math.max(-180, left), Math.min(90, top), Math.min(180, right)].map((one) => one.toFixed(4)).join(",")}`);
  }

  shown() {
    return [this.x, this.y, this.x + this.root.clientWidth / this.scale, this.y + this.root.clientHeight / this.scale];
  }

  drawing(isOn) {
    this.isDrawing = isOn;
    this.draws.setAttribute("aria-pressed", String(isOn));
    this.root.classList.toggle("drawing", isOn);
  }

  listen() {
    const fingers = new Map();
    let start = null, isDragged = false;
    const at = (event) => {
      const { left, top } = this.root.getBoundingClientRect();
      return [event.clientX - left, event.clientY - top];
    };
    this.root.addEventListener("pointerdown", (event) => {
      if (event.target.closest(".tools") || event.button) return;
      fingers.set(event.pointerId, at(event));
      isDragged = false;
      start = { at: at(event), x: this.x, y: this.y, isBox: this.isDrawing || event.shiftKey };
    });
    this.root.addEventListener("pointermove", (event) => {
      if (!start || !fingers.has(event.pointerId)) return;
      const now = at(event), other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
      if (other) {
        const before = Math.hypot(...fingers.get(event.pointerId).map((one, i) => one - other[i]));
        const factor = Math.hypot(...now.map((one, i) => one - other[i])) / Math.max(1, before);
        fingers.set(event.pointerId, now);
        isDragged = true;
        this.zoom(factor, ...other);
        start = { at: now, x: this.x, y: this.y };
        return;
      }
      fingers.set(event.pointerId, now);
      const [dx, dy] = now.map((one, i) => one - start.at[i]);
      if (!isDragged && Math.hypot(dx, dy) < DRAG_PX) return;
      // Not before: whoever captures the pointer takes the click from the pins.
      if (!isDragged) this.root.setPointerCapture(event.pointerId);
      isDragged = true;
      if (start.isBox) this.span(start.at, now);
      else {
        this.x = start.x - dx / this.scale;
        this.y = start.y - dy / this.scale;
        this.later();
      }
    });
    const end = (event) => {
      fingers.delete(event.pointerId);
      if (start?.isBox && isDragged && event.type === "pointerup") {
        const [x0, y0] = start.at, [x1, y1] = at(event);
        const place = (px, py) => [this.x + px / this.scale, this.y + py / this.scale];
        this.keepBox(...place(Math.min(x0, x1), Math.min(y0, y1)), ...place(Math.max(x0, x1), Math.max(y0, y1)));
        this.drawing(false);
      }
      this.frame.hidden = true;
      if (!fingers.size) start = null;
    };
    this.root.addEventListener("pointerup", end);
    this.root.addEventListener("pointercancel", end);
    this.root.addEventListener("click", (event) => {
      if (!isDragged) return;
      isDragged = false;
      event.stopPropagation();
    }, { capture: true });
    this.root.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(2 ** (-event.deltaY / 300), ...at(event));
    }, { passive: false });
    this.root.addEventListener("dblclick", (event) => {
      if (!event.target.closest(".tools, .pin")) this.zoom(2, ...at(event));
    });
    this.root.addEventListener("keydown", (event) => {
      const step = 80 / this.scale;
      const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
      if (move) {
        this.x += move[0];
        this.y += move[1];
        this.later();
      } else if (event.key === "+") this.zoom(2);
      else if (event.key === "-") this.zoom(0.5);
      else return;
      event.preventDefault();
    });
  }

  span([x0, y0], [x1, y1]) {
    this.frame.hidden = false;
    Object.assign(this.frame.style, {
      width: `${Math.abs(x1 - x0)}px`, height: `${Math.abs(y1 - y0)}px`,
      transform: `translate(${Math.min(x0, x1)}px, ${Math.min(y0, y1)}px)`,
    });
  }
}

/** Whether a condition is one that the map makes. */
export const isOfPlace = (term) => /^(box|near):-?\d/.test(term);
