import { call } from "./api.js";

const AT_ONCE = 200;

/**
 * What is shown: ids and shapes of all pictures, and what is known of those that came near the view.
 *
 * `isByTime`: whether they stand in the order of their times; then `months` counts those that follow
 * one another in a month, [["2021-07", 12], ...], null for no known time.
 */
export class Answers {
  constructor({ ids = [], shapes = [], months = [], isByTime = false } = {}) {
    Object.assign(this, { ids, shapes, months, isByTime, cut: -1 });
    this.records = new Map();
    this.wanted = null;
    this.isFetching = false;
  }

  get length() {
    return this.ids.length;
  }

  record(i) {
    return this.records.get(this.ids[i]);
  }

  /** Add answers that came whole. The first that does not fit opens the part below the line. */
  add(hits) {
    for (const hit of hits) {
      if (this.cut < 0 && hit.fits === false) this.cut = this.length;
      this.ids.push(hit.id);
      this.shapes.push(hit.width_px / Math.max(1, hit.height_px));
      this.records.set(hit.id, hit);
    }
  }

  /** Fetch what is not known of the pictures from one number to before another; then tell. */
  async need(first, end, told) {
    this.wanted = [first, end];
    if (this.isFetching) return;
    this.isFetching = true;
    try {
      for (let lacking = this.lacking(); lacking.length; lacking = this.lacking()) {
        const found = await call(`pictures?ids=${lacking.join(",")}`);
        for (const id of lacking) this.records.set(id, null);
        for (const hit of found.hits) this.records.set(hit.id, hit);
        told();
      }
    } catch {
      // The next picture that comes near the view asks again.
    } finally {
      this.isFetching = false;
    }
  }

  /** Of what was wanted last, since those who scroll on no longer look at what was before. */
  lacking() {
    const [first, end] = this.wanted;
    return this.ids.slice(first, end).filter((id) => !this.records.has(id)).slice(0, AT_ONCE);
  }

  async whole(i) {
    if (!this.records.has(this.ids[i])) await this.need(Math.max(0, i - 5), i + 6, () => {});
    return this.record(i);
  }
}
