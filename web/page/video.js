/** A video in the place of its frame, from the moment that answers on; nothing for a picture. */
export function play(figure, hit) {
  const image = figure.querySelector("img");
  figure.querySelector("video")?.remove();
  image.hidden = false;
  if (hit.time_ms == null) return;
  const film = document.createElement("video");
  film.controls = film.playsInline = true;
  film.preload = "metadata";
  Object.assign(film.style, { maxWidth: "100%", maxHeight: "100%" });
  film.poster = `${hit.thumbnail}&size=1440`;
  film.src = `${hit.picture}#t=${hit.time_ms / 1000}`;
  film.setAttribute("aria-label", hit.name);
  // A click on the picture closes the view; on a film it plays and pauses.
  film.addEventListener("click", (event) => event.stopPropagation());
  // What this browser cannot play keeps its frame.
  film.addEventListener("error", () => { film.remove(); image.hidden = false; });
  figure.closest("dialog").addEventListener("close", () => film.pause(), { once: true });
  image.hidden = true;
  figure.append(film);
}
