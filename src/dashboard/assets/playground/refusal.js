// A refusal, told: what the gateway said, what the code means and what to do about it, and what finds it in a log.

import { element, find } from "./elements.js";

/** What the gateway itself says of a call that it has made. Whatever else is said of one is the provider's. */
const OURS_ABOUT_CALLS = [
  "provider_unreachable", "provider_failed", "provider_timeout", "provider_error", "ledger_unavailable", "gateway_stopping",
  "key_revoked", "internal_error", "connection_lost",
];

/**
 * @param {HTMLElement} place
 * @param {import("./gateway.js").Refused} refusal
 * @param {() => void} again
 */
export function showRefusal(place, refusal, again) {
  const box = element("div", "notice bad refusal");
  box.setAttribute("role", "alert");
  const isProviders = refusal.made && !OURS_ABOUT_CALLS.includes(refusal.code);
  const known = explanation(isProviders ? "provider_error" : refusal.code);
  box.append(element("strong", "", known?.title ?? refusal.code));
  box.append(element("p", "cause", refusal.message));
  if (known) box.append(known.fix);
  const marks = element("p", "marks");
  const status = refusal.status === null ? "" : `${refusal.status} `;
  marks.append(element("code", "", `${status}${refusal.code}`));
  for (const [name, id] of [["request", refusal.requestId], ["call", refusal.callId]]) {
    if (!id || !name) continue;
    marks.append(` ${name} `);
    marks.append(element("code", "", id));
  }
  box.append(marks);
  if (refusal.retryAfter !== null) box.append(againButton(refusal.retryAfter, again));
  place.append(box);
  box.scrollIntoView({ block: "nearest" });
}

/**
 * What the page has to say about a code: it came with the page, from the reference of errors.
 * @param {string} code
 */
function explanation(code) {
  const rows = find("codes", HTMLElement).querySelectorAll("[data-code]");
  const row = [...rows].find((row) => row instanceof HTMLElement && row.dataset.code === code);
  if (!row) return null;
  const fix = element("div", "fix");
  for (const node of row.querySelector("[data-fix]")?.childNodes ?? []) fix.append(node.cloneNode(true));
  return { title: row.querySelector("[data-title]")?.textContent ?? code, fix };
}

/**
 * A button that can be pressed once trying again makes sense.
 * @param {number} seconds
 * @param {() => void} again
 */
function againButton(seconds, again) {
  const button = document.createElement("button");
  button.type = "button";
  let left = Math.ceil(seconds);
  const show = () => {
    button.disabled = left > 0;
    button.textContent = left > 0 ? `Try again in ${left} s` : "Try again";
  };
  show();
  const timer = setInterval(() => {
    left -= 1;
    show();
    if (left <= 0) clearInterval(timer);
  }, 1000);
  button.addEventListener("click", () => {
    button.remove();
    again();
  });
  return button;
}
