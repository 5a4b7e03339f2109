/**
 * Pictures laid out in rows of one width: each keeps its proportions, each row is filled.
 *
 * `shapes`: width by height of each picture. `sections`: [{first, count, label, kind}], one after
 * the other; a section with a label has a line of its own above it. Returns {rows, height}: rows from
 * the top on, {top, height, first, count} of pictures or {top, height, label, kind}, in pixels.
 * The last row of a section keeps the wished height where it is not full.
 */
export function arrange(shapes, sections, { width, wished, gap, heading }) {
  const rows = [];
  let top = 0;
  for (const { first, count, label, kind } of sections) {
    if (label) {
      rows.push({ top, height: heading, label, kind, first, count: 0 });
      top += heading;
    }
    let start = first, sum = 0;
    const close = (end, height) => {
      rows.push({ top, height, first: start, count: end - start });
      top += height + gap;
      start = end;
      sum = 0;
    };
    for (let i = first; i < first + count; i += 1) {
      sum += clamp(shapes[i]);
      const height = (width - gap * (i - start)) / sum;
      if (height <= wished) close(i + 1, Math.round(height));
    }
    if (start < first + count) {
      const height = (width - gap * (first + count - start - 1)) / sum;
      close(first + count, Math.round(Math.min(wished, height)));
    }
  }
  return { rows, height: top };
}

/** Where the pictures of a row begin and how wide they are, in whole pixels: [[left, width], ...]. */
export function across(row, shapes, width, gap) {
  const own = [];
  let sum = 0;
  for (let i = 0; i < row.count; i += 1) sum += clamp(shapes[row.first + i]);
  const room = width - gap * (row.count - 1);
  // A row that is not full is not drawn out.
  const scale = Math.min(room / sum, row.height * 1.04);
  let at = 0;
  for (let i = 0; i < row.count; i += 1) {
    const wide = clamp(shapes[row.first + i]) * scale, left = Math.round(at);
    own.push([left, Math.round(at + wide) - left]);
    at += wide + gap;
  }
  return own;
}

/** The first row that ends below a height. */
export function rowAt(rows, y) {
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].top + rows[middle].height < y) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The row of pictures that holds the picture with this number; -1 where there is none. */
export function rowOf(rows, i) {
  let low = 0, high = rows.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1, row = rows[middle];
    if (i < row.first) high = middle - 1;
    else if (i >= row.first + row.count) low = middle + 1;
    else return middle;
  }
  return -1;
}

const clamp = (shape) => Math.min(3.5, Math.max(0.4, shape || 1));
