// A secret that is on the screen once: copy it, save it, and do not leave by accident before that was done.
import { copy } from "./copy.js";
import { say } from "./say.js";

/** @param {ParentNode} within */
export function bindSecret(within) {
  const section = within.querySelector("[data-secret]");
  const place = section?.querySelector("#secret");
  if (!(section instanceof HTMLElement) || !place) return;
  const saved = section.querySelector("input[data-saved]");
  const done = section.querySelector("button[data-done]");
  if (!(saved instanceof HTMLInputElement) || !(done instanceof HTMLButtonElement)) return;

  const ready = () => { done.disabled = !saved.checked; };
  saved.addEventListener("change", ready);
  ready();
  bindButtons(section, place);
  guard(section, saved, place);
}

/**
 * @param {HTMLElement} section
 * @param {Element} place
 */
function bindButtons(section, place) {
  const button = section.querySelector("button[data-copy-secret]");
  if (button instanceof HTMLButtonElement) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const copied = await copy(place.textContent ?? "");
      if (copied) button.textContent = "Copied";
      else getSelection()?.selectAllChildren(place);
      say(copied ? "Copied. Put it where your application reads it." : "Copying is not allowed here. The key is selected: copy it yourself.");
    });
  }
  const download = section.querySelector("button[data-download]");
  if (download instanceof HTMLButtonElement) {
    download.hidden = false;
    download.addEventListener("click", () => save(download.dataset.download ?? "nemo.env", `NEMO_API_KEY=${place.textContent}\n`));
  }
}

/**
 * Until it was saved: the window asks before it closes, and a dialog stays open. When the page is left, the secret
 * leaves with it, so that no cache of pages can show it again.
 * @param {HTMLElement} section
 * @param {HTMLInputElement} saved
 * @param {Element} place
 */
function guard(section, saved, place) {
  const ask = (/** @type {BeforeUnloadEvent} */ event) => { if (!saved.checked) event.preventDefault(); };
  addEventListener("beforeunload", ask);
  addEventListener("pagehide", () => { place.textContent = ""; });
  const dialog = section.closest("dialog");
  dialog?.addEventListener("cancel", (event) => {
    if (saved.checked) return;
    event.preventDefault();
    say("Save the key first, then say so: it is shown this once.");
    saved.focus();
  });
  dialog?.addEventListener("close", () => {
    place.textContent = "";
    removeEventListener("beforeunload", ask);
  });
}

/**
 * A file made here, in the browser.
 * @param {string} name
 * @param {string} text
 */
function save(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}
