/**
 * Keeps the page's own files, so that it opens while the server is away, and says so. They are taken
 * from the server whenever it answers; pictures and answers are not kept here.
 */
const KEPT = "page";
const FILES = [
  "/", "style.css", "parts.css", "app.js", "answers.js", "api.js", "asking.js", "cards.js", "chips.js", "copies.js", "elements.js", "grid.js",
  "heat.js", "incoming.js", "indexing.js", "keys.js", "login.js", "map.js", "mercator.js", "rows.js", "sections.js", "selection.js",
  "texts.js", "texts/en.js", "texts/de.js", "texts/zh.js", "theme.js", "timeline.js", "video.js", "viewer.js", "world.svg", "icon.svg", "icons/192.png",
  "manifest.webmanifest",
];

addEventListener("install", (event) => {
  event.waitUntil(caches.open(KEPT).then((cache) => cache.addAll(FILES)).then(() => skipWaiting()));
});
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  if (event.request.method !== "GET" || origin !== location.origin || pathname.startsWith("/api/")) return;
  event.respondWith(fresh(event.request));
});

async function fresh(request) {
  const cache = await caches.open(KEPT);
  try {
    const answer = await fetch(request);
    if (answer.ok && !answer.redirected) await cache.put(request, answer.clone());
    return answer;
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}
