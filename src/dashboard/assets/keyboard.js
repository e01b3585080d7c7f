// The keyboard: `/` search, `C` create, `G` and a letter to go, `J`/`K` rows, `Enter` opens, `Esc` leaves, `?` help.

/** How long `G` waits for its letter, in milliseconds. */
const GO_WAITS_MS = 1500;
let goUntil = 0;
let row = -1;

export function bindKeyboard() {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") return leave();
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    if (answer(event.key)) event.preventDefault();
  });
  for (const button of document.querySelectorAll("button[data-help]")) {
    if (button instanceof HTMLButtonElement) {
      button.hidden = false;
      button.addEventListener("click", help);
    }
  }
}

/**
 * @param {string} key
 * @returns {boolean} whether the key meant something
 */
function answer(key) {
  if (performance.now() < goUntil) {
    goUntil = 0;
    return follow(`a[data-go="${CSS.escape(key.toLowerCase())}"]`);
  }
  switch (key) {
    case "/": return focusOn("input[type=search]");
    case "c": return follow("a[data-create]");
    case "g": goUntil = performance.now() + GO_WAITS_MS; return true;
    case "j": return step(1);
    case "k": return step(-1);
    case "Enter": return openRow();
    case "?": help(); return true;
    default: return false;
  }
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.matches("textarea, select")) return true;
  return target instanceof HTMLInputElement && !["checkbox", "radio", "button", "submit", "range"].includes(target.type);
}

/** @param {string} selector */
function follow(selector) {
  const link = document.querySelector(selector);
  if (!(link instanceof HTMLElement)) return false;
  link.click();
  return true;
}

/** @param {string} selector */
function focusOn(selector) {
  const field = document.querySelector(selector);
  if (!(field instanceof HTMLInputElement)) return false;
  field.focus();
  field.select();
  return true;
}

function rows() {
  return /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-row]")]);
}

/** @param {number} by */
function step(by) {
  const all = rows();
  if (all.length === 0) return false;
  const focused = all.findIndex((each) => each.contains(document.activeElement));
  row = Math.min(Math.max((focused >= 0 ? focused : row) + by, 0), all.length - 1);
  const link = all[row].querySelector("a");
  link?.focus();
  all[row].scrollIntoView({ block: "nearest" });
  return true;
}

/** Enter on a focused link or button does what it always does; elsewhere it opens the row that was chosen. */
function openRow() {
  if (document.activeElement && document.activeElement !== document.body) return false;
  const link = rows()[row]?.querySelector("a");
  link?.click();
  return link !== undefined && link !== null;
}

function leave() {
  const focused = document.activeElement;
  if (focused instanceof HTMLElement && isTyping(focused)) focused.blur();
}

function help() {
  const dialog = document.getElementById("help");
  if (dialog instanceof HTMLDialogElement && !dialog.open) dialog.showModal();
}
