// The playground: one conversation with one model, on the key of this tab. This module binds the page's parts to
// each other; what they do is in the modules beside it.

import { copy } from "../copy.js";
import { say } from "../say.js";
import { bindKeyCard } from "./card.js";
import { curl } from "./curl.js";
import { Refused, chat, room } from "./gateway.js";
import { exact, nanos, oneCall } from "./money.js";
import { Output } from "./output.js";
import { element, find } from "./elements.js";
import { showRefusal } from "./refusal.js";
import { Vault } from "./vault.js";

/** @typedef {{role: "user" | "assistant", content: string}} Turn */

/** How long a stopped call's bill is waited for. Models that think unseen are read to their end first. */
const BILL_PATIENCE_MS = 120_000;
const ASK_AGAIN_MS = 250;

const message = find("message", HTMLTextAreaElement);
const system = find("system", HTMLTextAreaElement);
const model = find("model", HTMLSelectElement);
const temperature = find("temperature", HTMLInputElement);
const limit = find("limit", HTMLInputElement);
const streams = find("streams", HTMLInputElement);
const run = find("run", HTMLButtonElement);
const stop = find("stop", HTMLButtonElement);
const clear = find("clear", HTMLButtonElement);
const talk = find("talk", HTMLElement);
const begin = find("begin", HTMLElement);
const status = find("status", HTMLElement);

/** @type {Turn[]} */ let turns = [];
/** @type {AbortController | null} */ let running = null;

/** @type {ReturnType<typeof bindKeyCard> | null} */ let bound = null;
/** @type {import("./vault.js").Why | null} */ let lost = null;
const vault = await Vault.open((why) => {
  running?.abort();
  lost = why;
  bound?.forgotten(why);
});
const card = bindKeyCard(vault, () => ready());
bound = card;
await card.begin(lost);

run.addEventListener("click", () => answer());
stop.addEventListener("click", () => running?.abort());
clear.addEventListener("click", () => startAnew());
find("curl", HTMLButtonElement).addEventListener("click", () => copyAsCurl());
model.addEventListener("change", () => ready());
message.addEventListener("input", () => ready());
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) {
    event.preventDefault();
    if (!run.disabled) answer();
  } else if (event.key === "Escape" && running) {
    running.abort();
  }
});
// A page that comes back from the browser's cache has lost its lock.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
follow(find("talk-box", HTMLElement));
ready();

/**
 * Keeps the end of the conversation in sight while it grows, unless somebody reads further up.
 * @param {HTMLElement} box
 */
function follow(box) {
  let follows = true;
  box.addEventListener("scroll", () => { follows = box.scrollHeight - box.scrollTop - box.clientHeight < 60; });
  new ResizeObserver(() => { if (follows) box.scrollTop = box.scrollHeight; }).observe(talk);
}

/** What can be done now. */
function ready() {
  const may = !running && card.canCall && model.value !== "";
  run.disabled = !may || message.value.trim() === "";
  stop.hidden = !running;
  run.hidden = Boolean(running);
  clear.disabled = Boolean(running) || talk.childElementCount === 0;
  begin.hidden = talk.childElementCount > 0;
}

/** @param {Turn[]} turns */
function request(turns) {
  /** @type {Record<string, any>} */
  const body = { model: model.value, messages: turns };
  if (system.value.trim() !== "") body.messages = [{ role: "system", content: system.value }, ...turns];
  if (temperature.value !== "" && temperature.validity.valid) body.temperature = temperature.valueAsNumber;
  if (limit.value !== "" && limit.validity.valid) body.max_completion_tokens = limit.valueAsNumber;
  if (streams.checked) Object.assign(body, { stream: true, stream_options: { include_usage: true } });
  return body;
}

async function answer() {
  const key = vault.key;
  const text = message.value;
  if (!key || running || text.trim() === "") return;
  for (const field of [temperature, limit]) {
    if (!field.reportValidity()) return;
  }
  const asked = [...turns, /** @type {Turn} */ ({ role: "user", content: text })];
  running = new AbortController();
  message.value = "";
  for (const failed of talk.querySelectorAll(".failed")) failed.remove();
  const question = showTurn("You");
  question.output.add(text);
  question.output.show();
  const reply = showTurn(model.value);
  reply.place.setAttribute("aria-busy", "true");
  const byButton = document.activeElement === run;
  ready();
  if (byButton) stop.focus();
  status.textContent = "Waiting for the model …";
  /** @type {"whole" | "stopped" | "refused"} */ let result = "refused";
  try {
    result = await attempt(key, request(asked), running.signal, reply);
  } finally {
    // Whatever happened, the page goes on working.
    running = null;
    reply.output.show();
    reply.place.removeAttribute("aria-busy");
    conclude(text, asked, question, reply, result);
  }
  if (result === "refused") await card.refresh();
}

/**
 * @param {string} text
 * @param {Turn[]} asked
 * @param {ReturnType<typeof showTurn>} question
 * @param {ReturnType<typeof showTurn>} reply
 * @param {"whole" | "stopped" | "refused"} result
 */
function conclude(text, asked, question, reply, result) {
  const wasOnStop = document.activeElement === stop;
  const said = reply.output.text;
  if (said !== "") {
    turns = [...asked, { role: "assistant", content: said }];
  } else {
    // Nothing came of it: the question goes back to where it can be changed and asked again.
    if (result === "whole") note(reply, "The model said nothing.");
    reply.place.classList.add("failed");
    question.place.remove();
    if (message.value === "") message.value = text;
  }
  ready();
  if (wasOnStop) message.focus();
}

/**
 * Makes the call and tells in the turn how it ended.
 * @param {string} key
 * @param {Record<string, any>} body
 * @param {AbortSignal} signal
 * @param {ReturnType<typeof showTurn>} reply
 * @returns {Promise<"whole" | "stopped" | "refused">}
 */
async function attempt(key, body, signal, reply) {
  /** @type {string | null} */ let callId = null;
  const began = (/** @type {string | null} */ id) => { callId = id; };
  const said = (/** @type {string} */ text) => {
    status.textContent = "Answering …";
    reply.output.add(text);
  };
  try {
    const ending = await chat(key, body, signal, { began, said });
    const fate = await billed(key, ending.callId);
    const cost = nanos(ending.cost) ?? nanos(fate?.call?.charged);
    told(reply, { ...ending, cost, event: fate?.call?.ended_at ?? null });
    status.textContent = cost === null ? "Answered." : `Answered for ${oneCall(cost)}.`;
    return "whole";
  } catch (error) {
    if (error instanceof Refused) {
      await refused(key, error, reply);
      return "refused";
    }
    if (!signal.aborted) throw error;
    await stopped(key, callId, reply);
    return "stopped";
  }
}

/**
 * @param {string} key
 * @param {Refused} refusal
 * @param {ReturnType<typeof showTurn>} reply
 */
async function refused(key, refusal, reply) {
  showRefusal(reply.place, refusal, () => answer());
  card.refusedWith(refusal.code);
  if (refusal.made && vault.key !== key) {
    note(reply, "What had been made of the answer by then is billed to the key.");
  } else if (refusal.made) {
    const fate = await billed(key, refusal.callId);
    if (fate?.call?.charged) told(reply, { cost: nanos(fate.call.charged), event: fate.call.ended_at, callId: null });
  }
  status.textContent = `Refused: ${refusal.message}`;
}

/**
 * A stopped call is billed for what was made of it; only the gateway knows how much that is.
 * @param {string} key
 * @param {string | null} callId
 * @param {ReturnType<typeof showTurn>} reply
 */
async function stopped(key, callId, reply) {
  if (vault.key !== key) {
    note(reply, "Stopped, because the key was removed from this tab. What had been made by then is billed to it.");
    return;
  }
  if (!callId) {
    note(reply, "Stopped before the gateway had named the call. If it was sent by then, it is billed: see what is left on the key.");
    status.textContent = "Stopped.";
    return;
  }
  const waiting = note(reply, "Stopped. Asking what it is charged …");
  status.textContent = "Stopped. Asking what it is charged …";
  const fate = await billed(key, callId);
  const cost = nanos(fate?.call?.charged);
  waiting.remove();
  if (cost === null) {
    note(reply, "Stopped. Its bill is not settled yet: see what is left on the key in a while.");
    status.textContent = "Stopped; not settled yet.";
    return;
  }
  const held = fate?.call?.unconfirmed ? "what it held, until it is known what it cost" : "what had been made of it by then";
  note(reply, `Stopped, and charged for ${held}.`);
  told(reply, { cost, event: fate?.call?.ended_at ?? null, callId });
  status.textContent = `Stopped; it is charged ${oneCall(cost)}.`;
}

/**
 * Waits until a call has ended in the ledger; the key as it was then.
 * @param {string} key
 * @param {string | null} callId
 */
async function billed(key, callId) {
  const start = performance.now();
  while (callId && performance.now() - start < BILL_PATIENCE_MS) {
    const told = await room(key, callId).catch(() => null);
    if (told && vault.key === key) card.showRoom(told);
    if (!told || told.call?.charged) return told;
    await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
  }
  return null;
}

/** @param {string} who */
function showTurn(who) {
  const place = element("article", "turn");
  place.classList.toggle("mine", who === "You");
  place.append(element("h3", "speaker", who));
  const text = element("div", "said");
  place.append(text);
  talk.append(place);
  place.scrollIntoView({ block: "nearest" });
  return { place, output: new Output(text) };
}

/**
 * @param {ReturnType<typeof showTurn>} reply
 * @param {string} text
 */
function note(reply, text) {
  const paragraph = element("p", "note-of-turn", text);
  reply.place.append(paragraph);
  return paragraph;
}

/**
 * What a reply cost: beside it, and in the figures below.
 * @param {ReturnType<typeof showTurn>} reply
 * @param {{cost: bigint | null, event: number | null, callId: string | null, attempts?: number, tokensIn?: number | null,
 *   tokensOut?: number | null, finish?: string | null, outputLimit?: number | null, unread?: number}} ending
 */
function told(reply, { cost, event, callId, attempts = 1, tokensIn = null, tokensOut = null, finish = null, outputLimit = null, unread = 0 }) {
  if (finish === "length") {
    const whose = outputLimit === null ? "the output limit" : `the output limit of ${outputLimit.toLocaleString("en")} tokens that the gateway set`;
    note(reply, `It ends here because of ${whose}.`);
  }
  if (unread > 0) note(reply, "Part of what the provider sent could not be read.");
  if (reply.output.isCut) note(reply, "It is longer than this page shows.");
  const figures = {
    cost: cost === null ? "unknown" : oneCall(cost),
    tokens: tokensIn === null || tokensOut === null ? "–" : `${tokensIn.toLocaleString("en")} in, ${tokensOut.toLocaleString("en")} out`,
    event: event === null ? "–" : `@${event}`,
  };
  const line = element("p", "cost-of-turn");
  const parts = [figures.cost, tokensIn === null ? null : `${figures.tokens} tokens`, event === null ? null : `event ${figures.event}`];
  line.append(parts.filter((part) => part !== null).join(" · "));
  if (callId) {
    line.append(" · call ");
    line.append(element("code", "", callId));
    if (attempts > 1) line.append(`, attempt ${attempts}`);
  }
  if (cost !== null) line.title = exact(cost);
  reply.place.append(line);
  for (const [name, text] of Object.entries(figures)) find(`figure-${name}`, HTMLElement).textContent = text;
  find("figure-cost", HTMLElement).title = cost === null ? "" : exact(cost);
}

function startAnew() {
  turns = [];
  talk.replaceChildren();
  status.textContent = "";
  ready();
  message.focus();
}

async function copyAsCurl() {
  const text = message.value.trim() === "" ? [] : [/** @type {Turn} */ ({ role: "user", content: message.value })];
  const messages = turns.length + text.length === 0 ? [/** @type {Turn} */ ({ role: "user", content: "Say hello." })] : [...turns, ...text];
  const copied = await copy(curl(location.origin, request(messages)));
  say(copied ? "Copied. It reads the key from $NEMO_API_KEY." : "Copying is not allowed here.");
}
