// Keys: filters that apply as they are chosen, ticks that are counted, forms that are sent once, and secrets.
import { whenLoaded } from "./dialog.js";
import { bindSecret } from "./secret.js";

bindFilters();
bindTicks();
bindCreate();
bindOnce();
bindSecret(document);
whenLoaded(bindSecret);

function bindFilters() {
  const form = document.querySelector("form[data-filters]");
  if (!(form instanceof HTMLFormElement)) return;
  form.querySelector("select")?.addEventListener("change", () => form.requestSubmit());
  // Fields that hold nothing do not belong into the address.
  form.addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData]) if (value === "") formData.delete(name);
  });
}

function bindTicks() {
  const count = () => {
    const ticked = document.querySelectorAll("#bulk input[name=key]:checked").length;
    for (const row of document.querySelectorAll("#bulk tr[data-row]")) {
      row.classList.toggle("chosen", row.querySelector("input:checked") !== null);
    }
    const place = document.querySelector("[data-bulk-count]");
    place?.closest(".bulk")?.classList.toggle("some", ticked > 0);
    if (place) place.textContent = ticked === 0 ? "Tick keys to change several at once." : ticked === 1 ? "1 key ticked" : `${ticked} keys ticked`;
  };
  document.addEventListener("change", (event) => {
    if (event.target instanceof HTMLInputElement && event.target.name === "key") count();
  });
  document.addEventListener("nemo:renewed", count);
}

/** The field of a new org, and what an org gives new keys, follow the choice. */
function bindCreate() {
  const org = document.querySelector("select#org");
  if (!(org instanceof HTMLSelectElement)) return;
  const follow = () => {
    const fresh = document.querySelector("[data-new-org]");
    if (fresh instanceof HTMLElement) fresh.hidden = org.value !== "";
    for (const words of document.querySelectorAll("[data-org]")) {
      if (words instanceof HTMLElement) words.hidden = words.dataset.org !== org.value;
    }
    const tick = document.querySelector("input[name=use_defaults]");
    const gives = document.querySelector(`[data-defaults] [data-org="${CSS.escape(org.value)}"]`) !== null;
    const box = tick?.closest("[data-defaults]");
    if (box instanceof HTMLElement && tick instanceof HTMLInputElement) {
      box.hidden = !gives;
      if (!gives) tick.checked = false;
    }
  };
  org.addEventListener("change", follow);
  follow();
}

/** A second click while the first is under way sends nothing. */
function bindOnce() {
  for (const form of document.querySelectorAll("form[data-once]")) {
    if (!(form instanceof HTMLFormElement)) continue;
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "yes";
    });
  }
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-once]")) {
      if (form instanceof HTMLFormElement) delete form.dataset.sent;
    }
  });
}
