import { text } from "./texts.js";
import { byYear, spoken } from "./timeline.js";

// Months with fewer pictures than a few rows would tear the page apart.
const FEWEST_A_MONTH = 12;

/** Answers in parts: by month or year where they stand in the order of time, else by what fits. */
export function sections(answers) {
  const { cut, length } = answers;
  if (answers.isByTime && answers.months.length > 1) {
    let first = 0;
    const months = answers.months.map(([time, count]) => [time, count, (first += count) - count]);
    const parts = length / months.length < FEWEST_A_MONTH ? byYear(months) : months;
    return parts.map(([time, count, start]) => ({ first: start, count, label: spoken(time), kind: "when" }));
  }
  if (cut < 0) return [{ first: 0, count: length }];
  return [{ first: 0, count: cut }, { first: cut, count: length - cut, label: text.cut, kind: "cut" }];
}
