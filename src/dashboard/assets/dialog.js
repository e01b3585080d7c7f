// Links and buttons of class `in-dialog` open their page's form in a dialog. Without this module they are
// ordinary links to ordinary pages, and the pages say the same.
//
// Pages are parsed by the browser itself (a document from XMLHttpRequest), never from strings.
import { bindCopy } from "./copy.js";
import { load } from "./load.js";
import { say } from "./say.js";

/** What brings a loaded form to life; modules of single pages add theirs. @type {((within: ParentNode) => void)[]} */
const binders = [bindCopy];

/**
 * Brings what a dialog shows to life whenever it has been loaded.
 * @param {(within: ParentNode) => void} binder
 */
export function whenLoaded(binder) {
  binders.push(binder);
}

export function bindDialogs() {
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const target = event.target instanceof Element ? event.target : null;
    if (target?.closest("[data-close]")) {
      const dialog = target.closest("dialog");
      if (dialog) {
        event.preventDefault();
        dialog.close();
      }
      return;
    }
    const link = target?.closest("a.in-dialog");
    if (!(link instanceof HTMLAnchorElement)) return;
    event.preventDefault();
    open(link);
  });
}

/** @param {HTMLAnchorElement} link */
async function open(link) {
  const reply = await load(link.href).catch(() => null);
  const form = reply?.page.querySelector("[data-dialog]");
  // Signed out, gone, or not allowed any more: the page itself says which.
  if (!reply || !form) return location.assign(link.href);
  const dialog = document.createElement("dialog");
  dialog.className = "loaded";
  dialog.setAttribute("aria-labelledby", "dialog-title");
  document.body.append(dialog);
  dialog.addEventListener("close", () => { dialog.remove(); link.focus(); });
  show(dialog, form);
  dialog.showModal();
}

/**
 * @param {HTMLDialogElement} dialog
 * @param {Element} content
 */
function show(dialog, content) {
  const body = document.adoptNode(content);
  body.classList.add("dialog-body");
  dialog.replaceChildren(body);
  for (const bind of binders) bind(dialog);
  for (const form of dialog.querySelectorAll("form")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send(dialog, form, event.submitter);
    });
  }
  const first = dialog.querySelector("[aria-invalid=true], [autofocus], input:not([type=hidden]), select, textarea, button");
  if (dialog.open && first instanceof HTMLElement) first.focus();
}

/**
 * Sends a form. What is shown next is the form again with what is wrong, a secret, or another page.
 * @param {HTMLDialogElement} dialog
 * @param {HTMLFormElement} form
 * @param {HTMLElement | null} submitter
 */
async function send(dialog, form, submitter) {
  if (dialog.dataset.sending) return;
  dialog.dataset.sending = "yes";
  const fields = new URLSearchParams();
  for (const [name, value] of new FormData(form, submitter)) fields.append(name, String(value));
  try {
    const { page, url } = await load(form.action, fields);
    const again = page.querySelector("[data-dialog]");
    if (again) show(dialog, again);
    else location.assign(url);
  } catch {
    say("The gateway did not answer. Look before you try again: it may have been done.");
  } finally {
    delete dialog.dataset.sending;
  }
}
