import { element, make } from "./elements.js";
import { locale, text } from "./texts.js";

const LEAST_PX = 4, DRAG_PX = 4;
const month = new Intl.DateTimeFormat(locale, { month: "long", year: "numeric", timeZone: "UTC" });

/** A month or a year, `2021-07` or `2021`, as a person says it; what stands for no known time. */
export const spoken = (time) => (!time ? text.undated : time.length === 4 ? time : month.format(new Date(`${time}-01T00:00Z`)));

/** Counts by month to counts by year: [[time, count, first], ...], in their order. */
export function byYear(months) {
  const years = [];
  for (const [time, count, first] of months) {
    const year = time && time.slice(0, 4);
    if (years.length && years.at(-1)[0] === year) years.at(-1)[1] += count;
    else years.push([year, count, first]);
  }
  return years;
}

/**
 * A bar for each month beside the rows, by its count: dragged along, it moves the rows; clicked, it
 * keeps the pictures of that month.
 */
export class Timeline {
  constructor({ go, keep }) {
    Object.assign(this, { go, keep, times: [], at: 0 });
    this.root = element("timeline");
    this.bubble = this.root.appendChild(make("span", { className: "bubble" }));
    this.bars = this.root.appendChild(make("div", { className: "bars" }));
    this.mark = this.root.appendChild(make("span", { className: "mark" }));
    for (const part of [this.bubble, this.bars, this.mark]) part.ariaHidden = "true";
    let downAt = null, isDragged = false;
    this.root.addEventListener("pointerdown", (event) => {
      downAt = event.clientY;
      isDragged = false;
      this.root.setPointerCapture(event.pointerId);
    });
    this.root.addEventListener("pointermove", (event) => {
      this.point(this.slot(event.clientY));
      if (downAt !== null && Math.abs(event.clientY - downAt) > DRAG_PX) isDragged = true;
      if (isDragged) this.scrub(event.clientY);
    });
    this.root.addEventListener("pointerup", (event) => {
      if (downAt !== null && !isDragged) this.keepAt(this.slot(event.clientY));
      downAt = null;
      isDragged = false;
    });
    this.root.addEventListener("pointercancel", () => { downAt = null; isDragged = false; });
    this.root.addEventListener("keydown", (event) => {
      const to = { ArrowDown: this.at + 1, ArrowUp: this.at - 1, Home: 0, End: this.times.length - 1 }[event.key];
      if (event.key === "Enter" || event.key === " ") this.keepAt(this.at);
      else if (to === undefined) return;
      else this.go(this.times[Math.max(0, Math.min(this.times.length - 1, to))][2]);
      event.preventDefault();
    });
    new ResizeObserver(() => this.draw()).observe(this.root);
  }

  /** `months`: [["2021-07", count], ...] as the pictures stand; fewer than two show nothing. */
  show(months) {
    let first = 0;
    this.months = months.map(([time, count]) => {
      first += count;
      return [time, count, first - count];
    });
    this.root.hidden = this.months.length < 2;
    document.body.classList.toggle("timed", !this.root.hidden);
    this.draw();
  }

  draw() {
    const height = this.root.clientHeight;
    if (this.root.hidden || !height) return;
    const isTight = this.months.length * LEAST_PX > height;
    this.times = isTight ? byYear(this.months) : this.months;
    const most = Math.max(...this.times.map(([, count]) => count));
    let year = null, labelled = -Infinity;
    this.bars.replaceChildren(...this.times.map(([time, count], i) => {
      const top = (i / this.times.length) * height, bar = make("i");
      // By its root, so that months of few pictures are seen beside those of many.
      bar.style.width = `${8 + 92 * Math.sqrt(count / most)}%`;
      const own = make("span", {}, bar);
      own.style.height = `${height / this.times.length}px`;
      if (time && time.slice(0, 4) !== year && top - labelled > 16 && top < height - 12) {
        own.append(make("b", { textContent: time.slice(0, 4) }));
        labelled = top;
      }
      year = time?.slice(0, 4) ?? year;
      return own;
    }));
    this.stand(this.first ?? 0);
  }

  /** The picture with this number is at the top of the view. */
  stand(first) {
    this.first = first;
    if (this.root.hidden || !this.times.length) return;
    let at = this.times.length - 1;
    while (at > 0 && this.times[at][2] > first) at -= 1;
    const [time, count, start] = this.times[at];
    this.at = at;
    const y = ((at + Math.min(1, (first - start) / count)) / this.times.length) * this.root.clientHeight;
    this.mark.style.transform = `translateY(${y}px)`;
    const said = text.inTime(spoken(time), count);
    for (const [name, value] of [["valuemax", this.times.length], ["valuenow", at + 1], ["valuetext", said]]) this.root.setAttribute(`aria-${name}`, value);
    this.point(at);
  }

  point(at) {
    const [time, count] = this.times[at] ?? [null, 0];
    this.bubble.textContent = text.inTime(spoken(time), count);
    this.bubble.style.transform = `translateY(${((at + 0.5) / this.times.length) * this.root.clientHeight}px)`;
  }

  slot(clientY) {
    const { top, height } = this.root.getBoundingClientRect();
    return Math.max(0, Math.min(this.times.length - 1, Math.floor(((clientY - top) / height) * this.times.length)));
  }

  scrub(clientY) {
    const { top, height } = this.root.getBoundingClientRect(), at = this.slot(clientY);
    const [, count, first] = this.times[at];
    const within = Math.max(0, Math.min(1, ((clientY - top) / height) * this.times.length - at));
    this.go(first + Math.min(count - 1, Math.floor(within * count)));
  }

  keepAt(at) {
    const time = this.times[at]?.[0];
    if (time) this.keep(`taken:${time}`);
    else if (this.times[at]) this.go(this.times[at][2]);
  }
}
