import { Answers } from "./answers.js";
import { call, query } from "./api.js";

export const PAGE = 60;
const MOST_BY_TIME = 500, SHORTEST_MS = 15, LONGEST_MS = 300, PAUSE_MS = 250;

/**
 * Asks for what the state says. A question is first answered by its vectors alone, while one types,
 * and with the second look once one pauses; an answer to what is no longer asked is dropped.
 */
export class Asking {
  constructor(state, { shown, failed }) {
    Object.assign(this, { state, shown, failed, answers: null, running: null, tookMs: 30 });
  }

  parameters(more) {
    const { q, filters, like, notLike, uploads } = this.state;
    return query({ q, filter: filters.join(" "), like, not_like: notLike, upload: uploads, ...more });
  }

  get isPlain() {
    return !this.state.q && !this.state.like.length && !this.state.notLike.length && !this.state.uploads.length;
  }

  /**
   * Ask at once where no answer is waited for; else after a pause that fits how quick the server is, so
   * that it is never asked more than it can answer.
   */
  type() {
    clearTimeout(this.typed);
    clearTimeout(this.pausing);
    const pause = this.running ? Math.min(LONGEST_MS, Math.max(SHORTEST_MS, this.tookMs / 2)) : 0;
    this.typed = setTimeout(() => this.ask({ isQuick: true }), pause);
  }

  async ask({ isQuick = false, isSame = false } = {}) {
    clearTimeout(this.typed);
    clearTimeout(this.pausing);
    this.running?.abort();
    const running = (this.running = new AbortController());
    try {
      const answers = await this.first(isQuick, running.signal);
      if (running !== this.running) return;
      this.answers = answers;
      this.shown(answers, isSame);
      if (isQuick && !answers.isByTime) this.pausing = setTimeout(() => this.ask({ isSame: true }), PAUSE_MS);
    } catch (error) {
      if (running === this.running && error.name !== "AbortError") this.failed(error);
    } finally {
      if (running === this.running) this.running = null;
    }
  }

  async first(isQuick, signal) {
    if (this.isPlain) return this.all(signal);
    const started = performance.now();
    const byTime = this.state.order === "time" ? { relevant: true, k: MOST_BY_TIME } : { k: PAGE };
    const found = await call(`search?${this.parameters({ ...byTime, rerank: isQuick ? "off" : "auto" })}`, { signal });
    if (isQuick) this.tookMs = performance.now() - started;
    if (found.mode === "browse") return this.all(signal);
    const answers = new Answers();
    Object.assign(answers, { tookMs: Math.round(found.took_ms), words: found.question, isQuick });
    if (byTime.relevant) sortByTime(answers, found.hits);
    else answers.add(found.hits);
    answers.isWhole = byTime.relevant || found.hits.length < PAGE;
    return answers;
  }

  /** All pictures that fit the conditions, by their ids and shapes. */
  async all(signal) {
    const found = await call(`layout?${query({ q: this.state.q, filter: this.state.filters.join(" ") })}`, { signal });
    const answers = new Answers({ ...found, shapes: found.shapes.map((shape) => shape / 100), isByTime: true });
    answers.isWhole = true;
    return answers;
  }

  /** The next answers, where one comes to the end of those that are there. */
  async more() {
    const { answers } = this;
    if (!answers || answers.isWhole || answers.isQuick || this.running || answers.isLoading) return;
    answers.isLoading = true;
    try {
      const found = await call(`search?${this.parameters({ k: PAGE, offset: answers.length })}`);
      if (answers !== this.answers) return;
      answers.add(found.hits);
      answers.isWhole = found.hits.length < PAGE;
      this.shown(answers, true);
    } catch {
      answers.isWhole = true;
    } finally {
      answers.isLoading = false;
    }
  }
}

function sortByTime(answers, hits) {
  const time = (hit) => hit.taken_at ?? "";
  answers.add(hits.sort((a, b) => (time(a) < time(b) ? 1 : time(a) > time(b) ? -1 : 0)));
  answers.cut = -1;
  answers.isByTime = true;
  for (const hit of hits) {
    const month = hit.taken_at?.slice(0, 7) ?? null;
    if (answers.months.length && answers.months.at(-1)[0] === month) answers.months.at(-1)[1] += 1;
    else answers.months.push([month, 1]);
  }
}
