/** The earth as a square of 1 by 1 (Web Mercator), and pictures on it put together where they are near. */
const MOST_NORTH = 85;

export function project(latitude, longitude) {
  const bounded = Math.max(-MOST_NORTH, Math.min(MOST_NORTH, latitude));
  const y = 0.5 - Math.log(Math.tan(Math.PI / 4 + (bounded * Math.PI) / 360)) / (2 * Math.PI);
  return [(longitude + 180) / 360, y];
}

export function unproject(x, y) {
  const latitude = (360 / Math.PI) * Math.atan(Math.exp((0.5 - y) * 2 * Math.PI)) - 90;
  return [Math.max(-90, Math.min(90, latitude)), Math.max(-180, Math.min(180, x * 360 - 180))];
}

/**
 * Points [id, x, y] by the cells of a grid, each cell's near ones joined: {id, x, y, count, box} with
 * the mean place and box as [west, north, east, south], the most pictures first.
 */
export function cluster(points, cell) {
  const cells = new Map();
  for (const [id, x, y] of points) {
    const key = Math.floor(x / cell) * 4e6 + Math.floor(y / cell), own = cells.get(key);
    if (!own) cells.set(key, { id, x, y, count: 1, box: [x, y, x, y] });
    else join(own, { x, y, count: 1, box: [x, y, x, y] });
  }
  const found = [];
  for (const own of [...cells.values()].sort((a, b) => b.count - a.count)) {
    const near = found.find((one) => Math.hypot(one.x - own.x, one.y - own.y) < cell * 0.8);
    if (near) join(near, own);
    else found.push(own);
  }
  return found;
}

function join(into, other) {
  const sum = into.count + other.count;
  into.x += ((other.x - into.x) * other.count) / sum;
  into.y += ((other.y - into.y) * other.count) / sum;
  into.count = sum;
  const [west, north, east, south] = other.box;
  into.box = [Math.min(into.box[0], west), Math.min(into.box[1], north), Math.max(into.box[2], east), Math.max(into.box[3], south)];
}
