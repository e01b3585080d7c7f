// The slider of a key's page: while it is moved only the state is fetched, and the address follows. Without this
// module the form around it and the links beside it lead to whole pages that say the same.
import { load } from "./load.js";
import { bindCopy } from "./copy.js";

/** How long the slider must rest before the state is asked for, in milliseconds. */
const REST_MS = 120;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let resting;
/** Counts what was asked for, so that only the last answer is shown. */
let asked = 0;

bind();
document.addEventListener("nemo:renewed", bind);
window.addEventListener("popstate", () => location.reload());

function bind() {
  const card = document.querySelector("section[data-replay]:not([data-bound])");
  if (!(card instanceof HTMLElement)) return;
  card.dataset.bound = "yes";
  const range = card.querySelector("input[type=range]");
  if (!(range instanceof HTMLInputElement)) return;
  range.form?.addEventListener("submit", (event) => {
    event.preventDefault();
    show(card, Number(range.value));
  });
  range.addEventListener("input", () => {
    const text = `event ${Number(range.value).toLocaleString("en-US")}`;
    range.setAttribute("aria-valuetext", text);
    const said = card.querySelector("[data-replay-said]");
    if (said) said.textContent = text;
    clearTimeout(resting);
    resting = setTimeout(() => show(card, Number(range.value)), REST_MS);
  });
  for (const link of card.querySelectorAll("a[data-step]")) {
    if (!(link instanceof HTMLAnchorElement)) continue;
    link.addEventListener("click", (event) => {
      if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      const step = link.dataset.step;
      show(card, Number(card.dataset.at) + (step === "Back" ? -1 : 1), step);
    });
  }
}

/**
 * Shows the key behind an event in place of what is shown.
 * @param {HTMLElement} card
 * @param {number} revision
 * @param {string} [step] the link that was used, which keeps the focus
 */
async function show(card, revision, step) {
  const mine = ++asked;
  const path = card.dataset.replay ?? location.pathname;
  const at = `?at=@${revision}`;
  card.setAttribute("aria-busy", "true");
  try {
    const { page, status } = await load(`${path}/replay${at}`);
    if (mine !== asked) return;
    const fresh = page.querySelector("section[data-replay]");
    if (status !== 200 || !(fresh instanceof HTMLElement)) {
      location.assign(path + at);
      return;
    }
    replace(card, document.adoptNode(fresh), step);
    history.replaceState(null, "", path + at);
  } catch {
    if (mine !== asked) return;
    card.removeAttribute("aria-busy");
    const said = card.querySelector("[data-replay-said]");
    if (said) said.textContent = "The gateway does not answer. Move the slider again to retry.";
  }
}

/**
 * @param {HTMLElement} card
 * @param {HTMLElement} fresh
 * @param {string} [step]
 */
function replace(card, fresh, step) {
  const slides = document.activeElement instanceof HTMLInputElement && document.activeElement.type === "range"
    && card.contains(document.activeElement);
  // It shows one moment from here on, and does not follow the ledger any more.
  card.closest("[data-live]")?.removeAttribute("data-live");
  card.replaceWith(fresh);
  bindCopy(fresh);
  bind();
  const focus = slides ? fresh.querySelector("input[type=range]") : step ? fresh.querySelector(`[data-step="${step}"]`) : null;
  if (focus instanceof HTMLElement) focus.focus({ preventScroll: true });
}
