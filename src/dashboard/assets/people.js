// Forms in which people sign in and choose passwords: the code of a link goes from its # into the form, and a
// key of the gateway is never sent.

/** What must never be typed here, and what to say of it. @type {[RegExp, string][]} */
const KEYS = [
  [/mk-nemo-/, "That is the master key. It must never be typed into a browser. Nothing was sent."],
  [/sk-nemo-/, "That is a virtual key. It makes calls and signs nobody in: try it in the playground. Nothing was sent."],
];

for (const form of document.querySelectorAll("form[data-no-keys]")) {
  if (!(form instanceof HTMLFormElement)) continue;
  form.addEventListener("submit", (event) => refuseKeys(event, form));
  if (form.hasAttribute("data-code")) {
    fillCode(form);
    // A link that is opened in the window of another one changes nothing but what stands behind the #.
    addEventListener("hashchange", () => fillCode(form));
  }
}

/**
 * @param {SubmitEvent} event
 * @param {HTMLFormElement} form
 */
function refuseKeys(event, form) {
  for (const field of form.querySelectorAll("input")) {
    const found = KEYS.find(([key]) => key.test(field.value));
    if (!found) continue;
    event.preventDefault();
    field.value = "";
    tell(form, found[1]);
    field.focus();
    return;
  }
}

/**
 * @param {HTMLFormElement} form
 * @param {string} text
 */
function tell(form, text) {
  let place = form.querySelector("[data-wrong]");
  if (!place) {
    place = document.createElement("p");
    place.className = "wrong";
    place.setAttribute("role", "alert");
    form.prepend(place);
  }
  place.setAttribute("data-wrong", "key");
  place.textContent = text;
}

/** @param {HTMLFormElement} form */
function fillCode(form) {
  const field = form.querySelector("input[name=code]");
  const code = location.hash.slice(1);
  if (!(field instanceof HTMLInputElement) || !code) return;
  field.value = code;
  const wrong = field.getAttribute("aria-invalid") === "true";
  field.closest(".field")?.toggleAttribute("hidden", !wrong);
  // Stays behind the # should something be wrong with the form; what stands there is not sent.
  form.action = form.action.split("#")[0] + location.hash;
}
