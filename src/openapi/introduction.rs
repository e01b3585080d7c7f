//! What holds for all routes, as the document's introduction. Markdown.

/// The introduction.
pub(super) const TEXT: &str = "\
Nemo stands between applications and LLM providers. One **master key** manages and never makes a call; many \
**virtual keys** make calls and can do nothing else.

**Who you are.** `Authorization: Bearer …` carries the key: the master key (`mk-nemo-…`) under `/api`, a \
virtual key (`sk-nemo-…`) under `/v1`, where `x-api-key` is understood as well. Keys in URLs and cookies are \
never looked at. The master key does not work from a browser.

**Money** is a decimal in a string, in dollars, exact to nine places: `\"0.0000925\"`. Never read it as a \
floating-point number.

**Times** are RFC 3339 in UTC. **Ids** are text. Fields that are not known are refused by name; `null` means \
that there is none.

**Lists** come in pages, newest first: 50 rows unless `limit` says otherwise, at most 200. `next_cursor` is the \
`cursor` of the next page, and `null` on the last one. A cursor is good for its own list only.

**Reading what was written.** Every write answers with the `position` that it reached. Lists and reports follow \
the ledger and may be moments behind it; a read with `min_position` waits for that position, at most 5 s \
(then 503 `read_model_unavailable`). What is told of one key or one org is never behind.

**What a call is for** may be said with it: `x-nemo-tags: nightly, team-b`. Up to eight tags of 64 bytes are recorded \
with the call and not sent on; so are `user` and `metadata` of the body, and the headers `x-litellm-tags`, \
`x-portkey-metadata` and `helicone-property-…` that clients of other gateways send. They are claims: nobody checks \
them, and no limit looks at them.

**Sending again.** With `Idempotency-Key: …` a request makes at most one call within 24 hours. A repeat is answered \
with 409 and told of the call that there was; its answer is not kept. A call that cost nothing does not count.

**Errors** have a stable `code`: under `/v1` as OpenAI tells them, elsewhere as problem details (RFC 9457) \
whose `type` leads to the explanation. `x-request-id` is on every reply and finds the request in the log. \
`x-should-retry: false` goes with whatever trying again cannot mend.";
