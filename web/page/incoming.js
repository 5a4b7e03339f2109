import { element } from "./elements.js";

/** A picture that is chosen, pasted or dropped. */
export function takePictures(take) {
  const only = (file) => {
    if (file?.type.startsWith("image/")) take(file);
  };
  const mark = (isOn) => document.body.classList.toggle("drop", isOn);
  element("choose").addEventListener("click", () => element("picture").click());
  element("picture").addEventListener("change", (event) => only(event.target.files[0]));
  addEventListener("paste", (event) => only(event.clipboardData.files[0]));
  addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(true);
  });
  addEventListener("dragleave", () => mark(false));
  addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    only(event.dataTransfer.files[0]);
  });
}
