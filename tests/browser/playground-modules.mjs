// The playground's pure modules, where they run: events, money, blocks of text, the call for a shell.

import { strict as assert } from "node:assert";
import { windowOf } from "./lib/page.mjs";
import { noFaults, openPlayground } from "./lib/playground.mjs";
import { story } from "./lib/story.mjs";

/** Streams by their pieces, and the data of the events in them. @type {[string[], string[]][]} */
const STREAMS = [
  [["data: a\n\ndata: b\n\n"], ["a", "b"]],
  [["da", "ta: a", "\n", "\ndata: ", "b\n\n"], ["a", "b"]],
  [["data: a\r\n\r\ndata: b\r\n\r\n"], ["a", "b"]],
  [["data: a\r", "\n\r", "\ndata: b\r", "\n\r", "\n"], ["a", "b"]],
  [["data: a\r\rdata: b\r\r"], ["a", "b"]],
  [[": keep-alive\n\nevent: x\nid: 7\ndata: a\nretry: 1\n\n"], ["a"]],
  [["data: first\ndata: second\n\n"], ["first\nsecond"]],
  [["data:no blank\n\ndata:  two blanks\n\ndata\n\n"], ["no blank", " two blanks", ""]],
  [["\ufeffdata: marked\n\n"], ["marked"]],
  [["data: unfinished"], []],
  [["data: \u2028 \u0085 \u000b is no end of a line\n\n"], ["\u2028 \u0085 \u000b is no end of a line"]],
];

/** Amounts, as a sum, as what is left, and as what one call cost. */
const AMOUNTS = [
  ["0", "$0.00", "$0.00", "$0.00"],
  ["1234.56", "$1,234.56", "$1,234.56", "$1,234.56"],
  ["1234567.895", "$1,234,567.90", "$1,234,567.89", "$1,234,567.90"],
  ["0.099999", "$0.1000", "$0.0999", "$0.10000"],
  ["9.9999", "$10.00", "$9.99", "$10.000"],
  ["0.0123", "$0.0123", "$0.0123", "$0.01230"],
  ["0.00005", "$0.0001", "$0.0001", "$0.00005000"],
  ["0.000000001", "<$0.0001", "<$0.0001", "$0.000000001"],
  ["-12.345", "-$12.35", null, "-$12.35"],
  ["9223372036.854775807", "$9,223,372,036.85", "$9,223,372,036.85", "$9,223,372,036.85"],
];

/** @type {[string, [string, string, string][]][]} */
const TEXTS = [
  ["plain", [["text", "", "plain"]]],
  ["a\n\n```js\nx\n```\nb", [["text", "", "a"], ["code", "js", "x"], ["text", "", "b"]]],
  ["```\nopen", [["code", "", "open"]]],
  ["````\n```\n````", [["code", "", "```"]]],
  ["~~~\n```\n~~~", [["code", "", "```"]]],
  ["``` a`b\nx", [["text", "", "``` a`b\nx"]]],
  ["   ```\nx\n   ```", [["code", "", "x"]]],
  ["    ```\nx", [["text", "", "    ```\nx"]]],
  ["", []],
];

story(async ({ plan, browser }) => {
  const page = await openPlayground(await windowOf(browser), plan);
  const address = await page.locator('script[src$="playground/page.js"]').getAttribute("src");
  const modules = (address ?? "").replace(/page\.js$/, "");

  const streams = await page.evaluate(async ([modules, streams]) => {
    const { EventReader } = await import(`${modules}sse.js`);
    const encoder = new TextEncoder();
    return streams.map(([pieces]) => {
      const reader = new EventReader();
      return pieces.flatMap((piece) => reader.push(encoder.encode(piece)));
    });
  }, /** @type {const} */ ([modules, STREAMS]));
  assert.deepEqual(streams, STREAMS.map(([, data]) => data));

  const others = await page.evaluate(async (modules) => {
    const { EventReader, EventTooLong } = await import(`${modules}sse.js`);
    // Characters that are cut in two, byte for byte.
    const reader = new EventReader();
    const bytes = [...new TextEncoder().encode("data: \u00e9\u20ac\u{1f600}\n\n")];
    const whole = bytes.flatMap((byte) => reader.push(new Uint8Array([byte])));
    let gaveUp = false;
    try {
      const endless = new EventReader();
      for (let i = 0; i < 100; i += 1) endless.push(new TextEncoder().encode("x".repeat(64 * 1024)));
    } catch (error) {
      gaveUp = error instanceof EventTooLong;
    }
    return { whole, gaveUp };
  }, modules);
  assert.deepEqual(others, { whole: ["\u00e9\u20ac\u{1f600}"], gaveUp: true });

  const amounts = await page.evaluate(async ([modules, amounts]) => {
    const { exact, nanos, total, left, oneCall } = await import(`${modules}money.js`);
    const unread = ["", "1.", ".5", "1e3", "1.0000000001", "NaN", null, 5].map(nanos);
    const read = amounts.map(([text]) => {
      const amount = nanos(text);
      return [text, total(amount), amount < 0n ? null : left(amount), oneCall(amount)];
    });
    return { unread, read, exact: ["0", "1.5", "0.000000120", "1234.1"].map((text) => exact(nanos(text))) };
  }, /** @type {const} */ ([modules, AMOUNTS]));
  assert.deepEqual(amounts.read, AMOUNTS);
  assert.deepEqual(amounts.exact, ["$0.00", "$1.50", "$0.00000012", "$1,234.10"]);
  assert.ok(amounts.unread.every((amount) => amount === null), "what is no amount is none");

  const texts = await page.evaluate(async ([modules, texts]) => {
    const { blocks } = await import(`${modules}output.js`);
    return texts.map(([text]) => blocks(text).map((/** @type {any} */ block) => [block.kind, block.language, block.text]));
  }, /** @type {const} */ ([modules, TEXTS]));
  assert.deepEqual(texts, TEXTS.map(([, blocks]) => blocks));

  // A text that grows piece by piece ends as it would have come at once.
  const grown = await page.evaluate(async (modules) => {
    const { Output, SHOWN_MAX } = await import(`${modules}output.js`);
    const place = document.createElement("div");
    const output = new Output(place);
    const text = "one\n```html\n<b>two</b>\n```\nthree\n~~~\nfour";
    const shapes = new Set();
    for (const letter of text) {
      output.add(letter);
      output.show();
      shapes.add([...place.children].map((child) => child.tagName).join());
    }
    const html = [...place.children].map((child) => `${child.tagName} ${child.textContent}`);
    output.add("x".repeat(SHOWN_MAX));
    return { html, last: [...shapes].pop(), isCut: output.isCut, size: output.text.length === SHOWN_MAX };
  }, modules);
  assert.deepEqual(grown, { html: ["P one", "PRE <b>two</b>", "P three", "PRE four"], last: "P,PRE,P,PRE", isCut: true, size: true });
  noFaults(page);
});
