// Short messages, in a corner for the eye and in a live region for screen readers.

/** How long a message stays, in milliseconds. */
const STAYS_MS = 4000;
let timer = 0;

/**
 * Says something; the next message replaces it.
 * @param {string} text
 */
export function say(text) {
  const place = document.getElementById("say");
  if (!place) return;
  place.textContent = text;
  clearTimeout(timer);
  timer = setTimeout(() => { place.textContent = ""; }, STAYS_MS);
}
