// Parts of a page that follow the ledger: `<section data-live="name">` is fetched again when the ledger has moved,
// and replaced where it changed. Not while the window is hidden, while somebody is in a dialog or has ticked
// rows, or while it was paused.
import { load } from "./load.js";
import { bindCopy } from "./copy.js";

/** How often the ledger's position is asked for, in milliseconds. */
const EVERY_MS = 4000;
/** Looking by itself keeps nobody signed in. */
const BACKGROUND = { "x-nemo-background": "1" };
const paused = /** @type {HTMLInputElement | null} */ (document.querySelector("input[data-pause]"));
const told = document.querySelector("[data-live-state]");
let position = document.querySelector("[data-position]")?.getAttribute("data-position") ?? null;

if (document.querySelector("[data-live]")) {
  paused?.closest("[hidden]")?.removeAttribute("hidden");
  setInterval(look, EVERY_MS);
}

/** What was fetched last of each part. @type {WeakMap<Element, string>} */
const fetched = new WeakMap();
let looking = false;
async function look() {
  if (looking || isBusy()) return;
  looking = true;
  try {
    const reply = await fetch("/live", { headers: { accept: "application/json", ...BACKGROUND } });
    // Signed out: the next click says so. Not answering: what is shown is old, and says so.
    if (!reply.ok || reply.redirected) return tell("Not up to date: the gateway does not answer.");
    const now = String((await reply.json()).position);
    if (now !== position) await renew(now);
    tell("");
  } catch {
    tell("Not up to date: the gateway does not answer.");
  } finally {
    looking = false;
  }
}

function isBusy() {
  return document.hidden || paused?.checked === true || document.querySelector("dialog[open]") !== null
    || document.querySelector("[data-live] input:checked:not([data-pause])") !== null;
}

/** @param {string} now */
async function renew(now) {
  const { page, status } = await load(location.href, undefined, BACKGROUND);
  if (status !== 200 || isBusy()) return;
  for (const place of document.querySelectorAll("[data-live]")) {
    const fresh = page.querySelector(`[data-live="${CSS.escape(place.getAttribute("data-live") ?? "")}"]`);
    if (!fresh || fetched.get(place) === fresh.innerHTML) continue;
    fetched.set(place, fresh.innerHTML);
    replace(place, fresh);
  }
  position = now;
}

/**
 * Puts the new part in the place of the old one; whoever was at a link stays at it.
 * @param {Element} place
 * @param {Element} fresh
 */
function replace(place, fresh) {
  const focused = place.contains(document.activeElement) ? document.activeElement : null;
  const href = focused?.getAttribute("href");
  for (const open of place.querySelectorAll("details[open][id]")) {
    fresh.querySelector(`#${CSS.escape(open.id)}`)?.setAttribute("open", "");
  }
  place.replaceChildren(...document.adoptNode(fresh).childNodes);
  bindCopy(place);
  if (href) {
    const again = place.querySelector(`a[href="${CSS.escape(href)}"]`);
    if (again instanceof HTMLElement) again.focus({ preventScroll: true });
  }
  document.dispatchEvent(new CustomEvent("nemo:renewed", { detail: place }));
}

/** @param {string} text */
function tell(text) {
  if (told && told.textContent !== text) told.textContent = text;
}
