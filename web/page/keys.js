/** Moving among the pictures by keys: arrows, Home, End; Space selects, Shift draws the selection on. */
export function walkByKeys(root, grid, selection) {
  root.addEventListener("keydown", (event) => {
    const item = event.target.closest("li.picture");
    if (!item || !event.target.matches(".card")) return;
    const i = item.index;
    if (event.key === " ") {
      event.preventDefault();
      selection.toggle(i);
      return;
    }
    const to = {
      ArrowRight: () => i + 1, ArrowLeft: () => i - 1, ArrowDown: () => grid.beside(i, 1), ArrowUp: () => grid.beside(i, -1),
      Home: () => 0, End: () => grid.answers.length - 1,
    }[event.key]?.();
    if (to === undefined || event.altKey) return;
    event.preventDefault();
    if (event.shiftKey) selection.reach(i, to);
    grid.focus(to);
  });
  addEventListener("keydown", (event) => {
    if (event.target.matches("input, textarea, select") || document.querySelector("dialog[open]")) return;
    if (event.key === "a" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      selection.all();
    } else if (event.key === "Escape") selection.clear();
    else if (event.key === "ArrowDown" && document.activeElement === document.body) {
      event.preventDefault();
      grid.focus(grid.firstInView());
    }
  });
}

const HELD_MS = 450;

/** A finger that rests on a picture begins a selection. */
export function selectByTouch(root, selection) {
  let resting = null;
  const lift = () => clearTimeout(resting);
  root.addEventListener("pointerdown", (event) => {
    const item = event.target.closest("li.picture");
    if (event.pointerType !== "touch" || !item) return;
    resting = setTimeout(() => {
      selection.toggle(item.index);
      // The finger's own click would undo it.
      root.addEventListener("click", (click) => click.stopPropagation(), { capture: true, once: true });
    }, HELD_MS);
  });
  for (const name of ["pointerup", "pointercancel", "pointermove"]) root.addEventListener(name, lift);
  root.addEventListener("contextmenu", (event) => { if (event.pointerType === "touch") event.preventDefault(); });
}
