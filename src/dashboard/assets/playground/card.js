// The card of the key: where it is pasted, what it has left, and how it is forgotten.

import { find, element } from "./elements.js";
import { Refused, models, room } from "./gateway.js";
import { exact, left, nanos, total } from "./money.js";
import { showRefusal } from "./refusal.js";
import { NotKept } from "./vault.js";

/** Codes that say that the key itself is of no use. */
const USELESS = ["missing_api_key", "invalid_api_key", "key_revoked", "key_expired", "key_rotated", "master_key_not_allowed", "org_archived"];

const WHY = {
  asked: "Forgotten. The key is no longer in this tab.",
  idle: "Nobody touched this page for 30 minutes, so the key was removed from this tab. Paste it again to go on.",
  copy: "This tab is a copy of another one. A key stays in the tab where it was pasted, so this one starts without it.",
  refused: "The gateway does not accept that key, so it was removed from this tab.",
};

const WINDOWS = { total: "in all", day: "today", week: "this week", month: "this month" };

/**
 * @param {import("./vault.js").Vault} vault
 * @param {() => void} changed is told when what can be done has changed
 */
export function bindKeyCard(vault, changed) {
  const field = find("key", HTMLInputElement);
  const use = find("use", HTMLButtonElement);
  const wrong = find("key-wrong", HTMLElement);
  const empty = find("no-key", HTMLElement);
  const held = find("has-key", HTMLElement);
  const model = find("model", HTMLSelectElement);
  const budgets = find("budgets", HTMLElement);
  let canCall = false;

  /** @param {string} text */
  const complain = (text) => {
    wrong.textContent = text;
    if (text === "") field.removeAttribute("aria-invalid");
    else field.setAttribute("aria-invalid", "true");
  };

  const show = () => {
    const key = vault.key;
    empty.hidden = key !== null;
    held.hidden = key === null;
    find("key-ending", HTMLElement).textContent = key === null ? "" : `…${key.slice(-4)}`;
    if (key === null) {
      canCall = false;
      model.replaceChildren(new Option("Paste a key first", ""));
      model.disabled = true;
      budgets.replaceChildren();
      find("figure-left", HTMLElement).textContent = "–";
      find("key-name", HTMLElement).textContent = "";
      find("key-refused", HTMLElement).replaceChildren();
    }
    changed();
  };

  const load = async () => {
    const key = vault.key;
    if (key === null) return;
    const told = find("key-refused", HTMLElement);
    told.replaceChildren();
    try {
      const [listed, has] = await Promise.all([models(key), room(key)]);
      if (vault.key !== key) return;
      showModels(model, listed);
      showRoom(has);
      canCall = true;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (USELESS.includes(error.code)) {
        vault.forget("refused");
        showRefusal(find("no-key-refused", HTMLElement), error, load);
      } else {
        canCall = false;
        showRefusal(told, error, load);
      }
    }
    changed();
  };

  const put = async () => {
    const pasted = field.value;
    // Whatever it is, it does not stay in the field.
    field.value = "";
    find("no-key-refused", HTMLElement).replaceChildren();
    try {
      vault.put(pasted);
    } catch (error) {
      if (!(error instanceof NotKept)) throw error;
      complain(error.message);
      field.focus();
      return;
    }
    complain("");
    show();
    await load();
    if (vault.key) find("message", HTMLElement).focus();
  };

  use.addEventListener("click", () => put());
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) put();
  });
  find("forget", HTMLButtonElement).addEventListener("click", () => {
    vault.forget("asked");
    field.focus();
  });

  return {
    /** Whether calls can be made. */
    get canCall() {
      return canCall && vault.key !== null;
    },

    showRoom,

    /**
     * Shows what this tab has when the page begins.
     * @param {import("./vault.js").Why | null} lost why it has no key any more
     */
    async begin(lost) {
      find("kept", HTMLElement).textContent = vault.survivesRefresh
        ? "It is kept in this tab until you close it, forget it, or leave the page alone for 30 minutes."
        : "This page did not come over HTTPS: whoever is on the way can read the key. It is kept until you leave or refresh this page.";
      field.disabled = false;
      use.disabled = false;
      show();
      if (lost) find("key-gone", HTMLElement).textContent = WHY[lost];
      await load();
    },

    /** @param {import("./vault.js").Why} why */
    forgotten(why) {
      show();
      complain("");
      find("key-gone", HTMLElement).textContent = WHY[why];
    },

    /** @param {string} code of a call that was refused */
    refusedWith(code) {
      if (USELESS.includes(code)) vault.forget("refused");
    },

    /** Asks again what is left. */
    async refresh() {
      const key = vault.key;
      const has = key === null ? null : await room(key).catch(() => null);
      if (has && vault.key === key) showRoom(has);
    },
  };
}

/**
 * @param {HTMLSelectElement} select
 * @param {{id: string, owned_by: string}[]} listed
 */
function showModels(select, listed) {
  const before = select.value;
  /** @type {Map<string, HTMLOptGroupElement>} */ const groups = new Map();
  for (const { id, owned_by } of listed) {
    let group = groups.get(owned_by);
    if (!group) {
      group = document.createElement("optgroup");
      group.label = owned_by;
      groups.set(owned_by, group);
    }
    group.append(new Option(id, id));
  }
  select.replaceChildren(...groups.values());
  select.disabled = listed.length === 0;
  if (listed.length === 0) select.append(new Option("No model with a price", ""));
  if (listed.some(({ id }) => id === before)) select.value = before;
}

/** @param {import("./gateway.js").Room} room */
function showRoom(room) {
  find("key-name", HTMLElement).textContent = room.name;
  find("key-gone", HTMLElement).textContent = "";
  const place = find("budgets", HTMLElement);
  place.replaceChildren(...room.budgets.map(bar));
  if (room.unlimited) place.append(element("p", "hint", "This key has no cap on what it may spend."));
  if (room.expires_at) {
    place.append(element("p", "hint", `It expires on ${new Date(room.expires_at).toISOString().slice(0, 16).replace("T", " at ")} UTC.`));
  }
  const free = room.budgets.map((budget) => nanos(budget.free) ?? 0n);
  const least = free.length > 0 ? free.reduce((least, one) => (one < least ? one : least)) : null;
  const figure = find("figure-left", HTMLElement);
  figure.textContent = least === null ? "No cap" : left(least);
  figure.title = least === null ? "" : exact(least);
}

/**
 * A budget as the dashboard draws it.
 * @param {import("./gateway.js").Budget} budget
 */
function bar(budget) {
  const [limit, spent, held] = [budget.limit, budget.spent, budget.held].map((text) => nanos(text) ?? 0n);
  const share = (/** @type {bigint} */ part) => (limit ? Number((part * 100n) / limit) : 100);
  const percent = share((spent ?? 0n) + (held ?? 0n));
  const tone = percent >= 100 ? "over" : percent >= 80 ? "warning" : "";
  const place = element("div", "budget");
  place.append(drawn([["track", 100], [`held ${tone}`, Math.min(percent, 100)], [`fill ${tone}`, Math.min(share(spent ?? 0n), 100)]]));
  const of = element("div", "of");
  of.append(element("span", "", `${total(spent ?? 0n)} of ${total(limit ?? 0n)} ${WINDOWS[budget.window] ?? budget.window}`));
  of.append(element("span", "number", `${percent}%`));
  place.append(of);
  return place;
}

/** @param {[string, number][]} parts class and width in percent */
function drawn(parts) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("viewBox", "0 0 100 6");
  for (const [classes, width] of parts) {
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    rect.setAttribute("class", classes.trim());
    for (const [name, value] of Object.entries({ x: 0, y: 0, width, height: 6, rx: 1 })) rect.setAttribute(name, String(value));
    svg.append(rect);
  }
  return svg;
}
