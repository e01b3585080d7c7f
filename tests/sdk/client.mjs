// Runs cases through the official OpenAI client and reports what its user would see.
//
// stdin: {"base_url", "cases": [{"key", "stream", "body", "headers"?}]}; stdout: one object for each case, in order:
// {"attempts", "content", "finish", "usage", "cost"} or {"attempts", "error", "status", "code", "message"}.

import { readFileSync } from "node:fs";
import OpenAI from "openai";

async function run(baseURL, { key, stream, body, headers }) {
  let attempts = 0;
  const counted = (...request) => {
    attempts += 1;
    return fetch(...request);
  };
  const client = new OpenAI({ baseURL, apiKey: key, fetch: counted, defaultHeaders: headers });
  try {
    const seen = await (stream ? streamed : whole)(client, body);
    return { attempts, ...seen };
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    const { status, code, message } = error;
    return { attempts, error: error.constructor.name, status, code, message };
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

const plan = JSON.parse(readFileSync(0, "utf8"));
for (const planned of plan.cases) {
  console.log(JSON.stringify(await run(plan.base_url, planned)));
}
