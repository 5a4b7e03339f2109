import { send } from "./api.js";
import { element } from "./elements.js";

/** Ask for the token that the server wants to see. */
export function login() {
  const dialog = element("login");
  if (dialog.open) return;
  dialog.showModal();
  dialog.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    send("login", { token: element("token").value }).then(
      () => location.reload(),
      (error) => { element("login-said").textContent = error.message; },
    );
  };
}
