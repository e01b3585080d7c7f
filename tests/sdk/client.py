"""Runs cases through the official OpenAI client and reports what its user would see.

stdin: {"base_url", "cases": [{"key", "stream", "body", "headers"?}]}; stdout: one object for each case, in order:
{"attempts", "content", "finish", "usage", "cost"} or {"attempts", "error", "status", "code", "message"}.
"""

import json
import sys

import openai


def run(base_url, case):
    attempts = 0

    def count(_request):
        nonlocal attempts
        attempts += 1

    http = openai.DefaultHttpxClient(event_hooks={"request": [count]})
    client = openai.OpenAI(base_url=base_url, api_key=case["key"], http_client=http, default_headers=case.get("headers"))
    try:
        seen = (streamed if case["stream"] else whole)(client, case["body"])
    except openai.APIError as error:
        seen = {
            "error": type(error).__name__,
            "status": getattr(error, "status_code", None),
            "code": error.code,
            "message": error.message,
        }
    return {"attempts": attempts, **seen}


def whole(client, body):
    raw = client.chat.completions.with_raw_response.create(**body)
    answer = raw.parse()
    choice = answer.choices[0]
    return {
        "content": choice.message.content,
        "finish": choice.finish_reason,
        "usage": answer.usage.model_dump() if answer.usage else None,
        "cost": raw.headers.get("x-nemo-cost"),
    }


def streamed(client, body):
    content, finish, usage = "", None, None
    for chunk in client.chat.completions.create(stream=True, **body):
        for choice in chunk.choices:
            content += choice.delta.content or ""
            finish = choice.finish_reason or finish
        if chunk.usage:
            usage = chunk.usage.model_dump()
    return {"content": content, "finish": finish, "usage": usage, "cost": (usage or {}).get("cost")}


if __name__ == "__main__":
    plan = json.load(sys.stdin)
    for planned in plan["cases"]:
        print(json.dumps(run(plan["base_url"], planned)), flush=True)
