"""Runs cases through the official OpenAI client and reports what its user would see.

stdout: {"ready": true} once the client is loaded; then one object for each case, in order:
{"attempts", "waits", "content", "finish", "usage", "cost"} or {"attempts", "waits", "error", "status", "code", "message"}.
stdin: {"base_url", "at_once", "cases": [{"key", "stream", "body", "headers"?, "extra"?, "path"?}]}. With "path" it is a
GET. "at_once": all cases at the same time, and what the client would wait before it tries again is noted and not
waited.
"""

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import openai

noted = threading.local()


def run(base_url, case):
    noted.waits = []
    attempts = 0

    def count(_request):
        nonlocal attempts
        attempts += 1

    http = openai.DefaultHttpxClient(event_hooks={"request": [count]}, verify=False)
    client = openai.OpenAI(base_url=base_url, api_key=case["key"], http_client=http, default_headers=case.get("headers"))
    try:
        seen = asked(client, case)
    except openai.APIError as error:
        seen = {
            "error": type(error).__name__,
            "status": getattr(error, "status_code", None),
            "code": error.code,
            "message": error.message,
        }
    return {"attempts": attempts, "waits": noted.waits, **seen}


def asked(client, case):
    if "path" in case:
        return {"content": client.get(case["path"], cast_to=object)}
    body = {**case["body"], "extra_body": case.get("extra")}
    return (streamed if case["stream"] else whole)(client, body)


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
    print(json.dumps({"ready": True}), flush=True)
    plan = json.load(sys.stdin)
    if plan["at_once"]:
        time.sleep = lambda secs: noted.waits.append(secs)
    with ThreadPoolExecutor(len(plan["cases"]) if plan["at_once"] else 1) as pool:
        for seen in pool.map(lambda case: run(plan["base_url"], case), plan["cases"]):
            print(json.dumps(seen), flush=True)
