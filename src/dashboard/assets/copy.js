// Copying. `navigator.clipboard` is not there on plain HTTP away from localhost, so there is a second way.
import { say } from "./say.js";

/**
 * Copies a text.
 * @param {string} text
 * @returns {Promise<boolean>} whether it is on the clipboard
 */
export async function copy(text) {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch {
    // Not allowed: the second way.
  }
  return copyBySelecting(text);
}

/** @param {string} text */
function copyBySelecting(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.readOnly = true;
  field.className = "out-of-sight";
  // Inside of an open dialog, because nothing outside of it can be selected.
  const place = document.querySelector("dialog[open]") ?? document.body;
  const before = document.activeElement;
  place.append(field);
  field.select();
  let copied = false;
  try {
    copied = document.execCommand("copy");
  } catch {
    copied = false;
  }
  field.remove();
  if (before instanceof HTMLElement) before.focus();
  return copied;
}

/**
 * Brings the buttons to life that copy what stands beside them.
 * @param {ParentNode} within
 */
export function bindCopy(within) {
  for (const button of within.querySelectorAll("button[data-copy]")) {
    if (!(button instanceof HTMLButtonElement)) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const copied = await copy(button.dataset.copy ?? "");
      say(copied ? "Copied." : "Copying is not allowed here: select the text and copy it yourself.");
    });
  }
}
