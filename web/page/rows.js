/**
 * Pictures laid out in rows of one width: each keeps its proportions, each row is filled.
 *
 * `shapes`: width by height of each picture, in order. Returns [{width, height}], in pixels, of each.
 * The last row keeps the wished height where it is not full.
 */
export function justify(shapes, width, wished, gap) {
  const sizes = [];
  let row = [], sum = 0;
  const close = (height) => {
    for (const shape of row) sizes.push({ width: Math.floor(shape * height * 100) / 100, height });
    row = [];
    sum = 0;
  };
  for (const raw of shapes) {
    const shape = Math.min(3.5, Math.max(0.4, raw || 1));
    row.push(shape);
    sum += shape;
    const height = (width - gap * (row.length - 1)) / sum;
    if (height <= wished) close(height);
  }
  if (row.length) close(Math.min(wished, (width - gap * (row.length - 1)) / sum));
  return sizes;
}
