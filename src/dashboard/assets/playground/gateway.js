// Calls to this gateway's own `/v1`, with the key in the header that any application would use. No cookie goes
// along, nothing is cached, no redirect is followed.

import { EventReader, EventTooLong } from "./sse.js";

/** A refusal or an error, with what the gateway said about it. */
export class Refused extends Error {
  /**
   * @param {string} code as the reference of errors lists it
   * @param {string} message
   * @param {{status?: number, retryAfter?: number | null, requestId?: string | null, callId?: string | null,
   *   made?: boolean}} [more] `made`: the call went to the provider, and has its end in the ledger.
   */
  constructor(code, message, more = {}) {
    super(message);
    this.code = code;
    this.status = more.status ?? null;
    this.retryAfter = more.retryAfter ?? null;
    this.requestId = more.requestId ?? null;
    this.callId = more.callId ?? null;
    this.made = more.made ?? false;
  }
}

/**
 * @typedef {object} Budget
 * @property {"total" | "day" | "week" | "month"} window
 * @property {string} limit Dollars, as all amounts.
 * @property {string} spent
 * @property {string} held
 * @property {string} free
 * @property {string | null} resets_at
 *
 * @typedef {object} Room What a key may do and has left.
 * @property {string} id
 * @property {string} name
 * @property {boolean} unlimited
 * @property {Budget[]} budgets
 * @property {string} spent_total
 * @property {string | null} expires_at
 * @property {{charged: string | null, ended_at: number | null, unconfirmed: boolean} | null} call
 *
 * @typedef {object} Ending How an answer ended.
 * @property {string | null} callId
 * @property {number} attempts How many calls it took: those before the last came to nothing and cost nothing.
 * @property {string | null} cost Dollars.
 * @property {number | null} tokensIn
 * @property {number | null} tokensOut
 * @property {string | null} finish The provider's word for why it stopped.
 * @property {number | null} outputLimit The limit that the gateway set, where the request had none.
 * @property {number} unread Events that were no JSON.
 */

/**
 * The models that the key may call, with who serves them.
 * @param {string} key
 * @returns {Promise<{id: string, owned_by: string}[]>}
 */
export async function models(key) {
  const { data } = await json(await ask("/v1/models", key));
  return data;
}

/**
 * What the key has left; with a call, also what became of that.
 * @param {string} key
 * @param {string | null} [call]
 * @returns {Promise<Room>}
 */
export async function room(key, call = null) {
  return json(await ask(call ? `/v1/key?call=${encodeURIComponent(call)}` : "/v1/key", key));
}

/**
 * Makes a call. Text is handed on as it comes.
 * @param {string} key
 * @param {Record<string, any>} body
 * @param {AbortSignal} signal stops it
 * @param {{began: (callId: string | null) => void, said: (text: string) => void}} hear
 * @returns {Promise<Ending>}
 * @throws {Refused}
 */
export async function chat(key, body, signal, hear) {
  // A claim, recorded with the call: whoever reads the ledger sees where it was made.
  const headers = { "content-type": "application/json", "x-nemo-tags": "playground" };
  const reply = await ask("/v1/chat/completions", key, { method: "POST", headers, body: JSON.stringify(body), signal });
  const callId = reply.headers.get("x-nemo-call-id");
  hear.began(callId);
  const limit = reply.headers.get("x-nemo-output-limit");
  /** @type {Ending} */
  const ending = { callId, attempts: Number(reply.headers.get("x-nemo-attempts") ?? 1), cost: null, tokensIn: null, tokensOut: null, finish: null, outputLimit: limit === null ? null : Number(limit), unread: 0 };
  if (!reply.headers.get("content-type")?.startsWith("text/event-stream")) {
    const answer = await json(reply);
    take(answer, ending, hear.said);
    ending.cost = reply.headers.get("x-nemo-cost");
    return ending;
  }
  for await (const data of events(reply)) {
    if (data === "[DONE]") return ending;
    const event = parsed(data);
    if (event === null) ending.unread += 1;
    else if (event.error) throw refusal(event.error, reply, true);
    else take(event, ending, hear.said);
  }
  throw new Refused("connection_lost", "The connection ended before the answer did.", { callId, made: true });
}

/**
 * @param {Response} reply
 * @returns {AsyncGenerator<string>}
 */
async function* events(reply) {
  const reader = new EventReader();
  const body = reply.body?.getReader();
  try {
    for (;;) {
      const part = await body?.read().catch((error) => {
        if (error.name === "AbortError") throw error;
        return null;
      });
      if (!part || part.done) return;
      yield* reader.push(part.value);
    }
  } catch (error) {
    if (!(error instanceof EventTooLong)) throw error;
    // As if it had broken off here.
  } finally {
    // Whoever stops reading closes the connection.
    body?.cancel().catch(() => {});
  }
}

/**
 * Takes what a chunk or a whole answer holds. It is the provider's, so anything may be missing or different.
 * @param {any} answer
 * @param {Ending} ending
 * @param {(text: string) => void} said
 */
function take(answer, ending, said) {
  const choice = answer.choices?.[0];
  const text = choice?.delta?.content ?? choice?.message?.content ?? choice?.delta?.refusal ?? choice?.message?.refusal;
  if (typeof text === "string" && text !== "") said(text);
  if (typeof choice?.finish_reason === "string") ending.finish = choice.finish_reason;
  const { prompt_tokens, completion_tokens, cost } = answer.usage ?? {};
  if (Number.isSafeInteger(prompt_tokens)) ending.tokensIn = prompt_tokens;
  if (Number.isSafeInteger(completion_tokens)) ending.tokensOut = completion_tokens;
  if (typeof cost === "string") ending.cost = cost;
}

/**
 * @param {string} path
 * @param {string} key
 * @param {RequestInit} [how]
 * @returns {Promise<Response>} a success
 */
async function ask(path, key, how = {}) {
  /** @type {RequestInit} */
  const safely = { credentials: "omit", cache: "no-store", redirect: "error", mode: "same-origin", referrerPolicy: "no-referrer" };
  const headers = { ...how.headers, authorization: `Bearer ${key}` };
  /** @type {Response} */
  let reply;
  try {
    reply = await fetch(path, { ...how, ...safely, headers });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refused("gateway_unreachable", "The gateway did not answer.");
  }
  if (reply.ok) return reply;
  const body = parsed(await reply.text().catch(() => ""));
  throw refusal(body?.error, reply, reply.headers.has("x-nemo-cost"));
}

/**
 * @param {any} error as OpenAI's dialect tells it; or nothing, where something in between answered
 * @param {Response} reply
 * @param {boolean} made
 */
function refusal(error, reply, made) {
  const seconds = Number(reply.headers.get("retry-after") ?? NaN);
  const more = {
    status: reply.status,
    retryAfter: Number.isFinite(seconds) ? seconds : null,
    requestId: reply.headers.get("x-request-id"),
    callId: reply.headers.get("x-nemo-call-id"),
    made,
  };
  const code = typeof error?.code === "string" ? error.code : "provider_error";
  const message = typeof error?.message === "string" ? error.message : `Something answered ${reply.status} and did not say why.`;
  return new Refused(code, message, more);
}

/** @param {Response} reply */
async function json(reply) {
  const body = parsed(await reply.text());
  if (body === null) throw new Refused("connection_lost", "The answer was not whole.", { callId: reply.headers.get("x-nemo-call-id"), made: true });
  return body;
}

/** @param {string} text */
function parsed(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}
