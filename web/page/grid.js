import { across, arrange, rowAt, rowOf } from "./rows.js";

const GAP = 6, HEADING = 50;

/**
 * Rows of pictures of which only those near the view are in the document.
 *
 * `make(i)` gives the element of a picture, `fill(item)` shows what is known of it by now. `near` is
 * told which pictures are near, `moved` where the view stands, `ended` when it comes to the end.
 */
export class Grid {
  constructor(root, { make, fill, near, moved, ended }) {
    Object.assign(this, { root, make, fill, near, moved, ended });
    this.mounted = new Map();
    this.rows = [];
    this.height = 0;
    this.width = 0;
    this.current = 0;
    let isWaiting = false;
    const later = () => {
      if (isWaiting) return;
      isWaiting = true;
      requestAnimationFrame(() => {
        isWaiting = false;
        this.render();
      });
    };
    addEventListener("scroll", later, { passive: true });
    new ResizeObserver(() => this.resize()).observe(root);
  }

  /** Show answers in sections; where `isSame`, they go on from those that are shown. */
  show(answers, sections, isSame = false) {
    Object.assign(this, { answers, sections });
    if (!isSame) this.current = 0;
    this.arrange();
    this.render();
  }

  arrange() {
    this.width = Math.floor(this.root.clientWidth);
    const wished = innerWidth < 640 ? 128 : 214;
    const { rows, height } = arrange(this.answers.shapes, this.sections, { width: this.width, wished, gap: GAP, heading: HEADING });
    Object.assign(this, { rows, height });
    this.root.style.height = `${height}px`;
  }

  resize() {
    if (!this.answers || Math.floor(this.root.clientWidth) === this.width) return;
    const first = this.firstInView();
    const isScrolled = this.top() > 0;
    this.arrange();
    if (isScrolled) this.scrollTo(first);
    this.render();
  }

  /** How far the upper edge of the view is below that of the rows. */
  top() {
    return -this.root.getBoundingClientRect().top;
  }

  firstInView() {
    const row = this.rows[rowAt(this.rows, this.top() + this.covered())];
    return row ? row.first : 0;
  }

  /** What the page's head covers of the view. */
  covered() {
    return document.querySelector("header").offsetHeight;
  }

  render() {
    if (!this.answers) return;
    const top = this.top(), margin = innerHeight * 0.75;
    const from = rowAt(this.rows, top - margin), wanted = [];
    let first = -1, end = -1;
    for (let r = from; r < this.rows.length && this.rows[r].top < top + innerHeight + margin; r += 1) {
      const row = this.rows[r];
      if (!row.count) {
        wanted.push(this.heading(row));
        continue;
      }
      if (first < 0) first = row.first;
      end = row.first + row.count;
      across(row, this.answers.shapes, this.width, GAP).forEach(([left, width], n) => {
        wanted.push(this.place(row.first + n, left, row.top, width, row.height));
      });
    }
    this.settle(wanted);
    if (first >= 0) this.near(first, end);
    this.moved(this.firstInView());
    if (top + innerHeight + 800 > this.height) this.ended();
  }

  heading(row) {
    const key = `${row.kind} ${row.label}`;
    const item = this.mounted.get(key) ?? Object.assign(document.createElement("li"), { className: row.kind, key });
    this.mounted.set(key, item);
    item.textContent = row.label;
    item.style.transform = `translateY(${row.top}px)`;
    return item;
  }

  place(i, left, top, width, height) {
    const id = this.answers.ids[i];
    let item = this.mounted.get(id);
    if (!item) {
      item = this.make(i);
      item.key = id;
      this.mounted.set(id, item);
    }
    item.index = i;
    item.style.transform = `translate(${left}px, ${top}px)`;
    item.style.width = `${width}px`;
    item.style.height = `${height}px`;
    item.classList.toggle("weak", this.answers.cut >= 0 && i >= this.answers.cut);
    item.querySelector(".card").tabIndex = i === this.current ? 0 : -1;
    this.fill(item);
    return item;
  }

  /** Let the document hold these, in their order, and what has the focus; nothing else. */
  settle(wanted) {
    const kept = new Set(wanted);
    for (const [key, item] of this.mounted) {
      if (kept.has(item) || (item.contains(document.activeElement) && this.answers.ids[item.index] === key)) continue;
      // What is still loading is not waited for.
      item.querySelectorAll("img").forEach((image) => image.removeAttribute("src"));
      item.remove();
      this.mounted.delete(key);
    }
    let next = this.root.firstElementChild;
    for (const item of wanted) {
      while (next && !kept.has(next)) next = next.nextElementSibling;
      if (item === next) next = next.nextElementSibling;
      else this.root.insertBefore(item, next);
    }
    const cards = wanted.filter((item) => item.index !== undefined);
    if (cards.length && !cards.some((item) => item.index === this.current)) cards[0].querySelector(".card").tabIndex = 0;
  }

  /** Show again what is known of the pictures that are in the document. */
  refresh() {
    for (const item of this.mounted.values()) if (item.index !== undefined) this.fill(item);
  }

  cards() {
    return [...this.mounted.values()].filter((item) => item.index !== undefined);
  }

  /** Bring a picture to the top of the view. */
  scrollTo(i) {
    let r = rowOf(this.rows, i);
    if (r < 0) return;
    if (r > 0 && !this.rows[r - 1].count) r -= 1;
    scrollTo({ top: scrollY - this.top() + this.rows[r].top - this.covered() - GAP });
  }

  focus(i) {
    if (!this.answers?.length) return;
    this.current = Math.max(0, Math.min(this.answers.length - 1, i));
    const row = this.rows[rowOf(this.rows, this.current)], top = this.top();
    if (row.top < top + this.covered()) this.scrollTo(this.current);
    else if (row.top + row.height > top + innerHeight - 80) scrollBy({ top: row.top + row.height - top - innerHeight + 90 });
    this.render();
    this.mounted.get(this.answers.ids[this.current])?.querySelector(".card").focus({ preventScroll: true });
  }

  /** The picture above or below one, the nearest by its middle. */
  beside(i, step) {
    const own = rowOf(this.rows, i);
    let r = own + step;
    while (this.rows[r] && !this.rows[r].count) r += step;
    if (!this.rows[r]) return i;
    const middles = (row) => across(row, this.answers.shapes, this.width, GAP).map(([left, width]) => left + width / 2);
    const mine = middles(this.rows[own])[i - this.rows[own].first];
    const others = middles(this.rows[r]).map((middle) => Math.abs(middle - mine));
    return this.rows[r].first + others.indexOf(Math.min(...others));
  }
}
