// Runs cases through the official OpenAI client and reports what its user would see.
//
// stdout: {"ready": true} once the client is loaded; then one object for each case, in order:
// {"attempts", "waits", "content", "finish", "usage", "cost"} or {"attempts", "waits", "error", "status", "code",
// "message"}. stdin: {"base_url", "at_once", "cases": [{"key", "stream", "body", "headers"?, "extra"?, "path"?}]}. With
// "path" it is a GET. "at_once": all cases at the same time, and what the client would wait before it tries again is
// noted and not waited.

import { AsyncLocalStorage } from "node:async_hooks";
import { readFileSync } from "node:fs";
import OpenAI from "openai";

const noted = new AsyncLocalStorage();
// Longer than any wait that a server may ask for; the client's own patience with an answer is ten minutes.
const LONGEST_WAIT_MS = 200_000;

async function run(baseURL, { key, stream, body, headers, extra, path }) {
  const waits = [];
  let attempts = 0;
  const counted = (...request) => {
    attempts += 1;
    return fetch(...request);
  };
  const client = new OpenAI({ baseURL, apiKey: key, fetch: counted, defaultHeaders: headers });
  const ask = () => {
    if (path) return client.get(path).then((content) => ({ content }));
    return (stream ? streamed : whole)(client, { ...body, ...extra });
  };
  try {
    const seen = await noted.run(waits, ask);
    return { attempts, waits, ...seen };
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    const { status, code, message } = error;
    return { attempts, waits, error: error.constructor.name, status, code, message };
  }
}

async function whole(client, body) {
  const { data, response } = await client.chat.completions.create(body).withResponse();
  const [choice] = data.choices;
  return {
    content: choice.message.content,
    finish: choice.finish_reason,
    usage: data.usage ?? null,
    cost: response.headers.get("x-nemo-cost"),
  };
}

async function streamed(client, body) {
  let [content, finish, usage] = ["", null, null];
  for await (const chunk of await client.chat.completions.create({ ...body, stream: true })) {
    for (const choice of chunk.choices) {
      content += choice.delta.content ?? "";
      finish = choice.finish_reason ?? finish;
    }
    usage = chunk.usage ?? usage;
  }
  return { content, finish, usage, cost: usage?.cost ?? null };
}

function noteWaits() {
  const { setTimeout } = globalThis;
  globalThis.setTimeout = (then, ms, ...rest) => {
    const waits = noted.getStore();
    // What `fetch` has timers for is its own affair.
    const isOfClient = new Error().stack.includes("/node_modules/openai/");
    if (!waits || !isOfClient || ms >= LONGEST_WAIT_MS) return setTimeout(then, ms, ...rest);
    waits.push(ms / 1000);
    return setTimeout(then, 0, ...rest);
  };
}

console.log(JSON.stringify({ ready: true }));
const plan = JSON.parse(readFileSync(0, "utf8"));
if (plan.at_once) noteWaits();
const running = [];
for (const planned of plan.cases) {
  const seen = run(plan.base_url, planned);
  running.push(plan.at_once ? seen : await seen);
}
for (const seen of await Promise.all(running)) console.log(JSON.stringify(seen));
