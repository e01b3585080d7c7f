// Each payload is a model's answer, streamed through the gateway and shown by the page.

import { strict as assert } from "node:assert";
import { windowOf } from "./lib/page.mjs";
import { noFaults, openPlayground, say, useKey } from "./lib/playground.mjs";
import { story } from "./lib/story.mjs";
import { PAYLOADS } from "./payloads.mjs";

/** What the page may be made of where a model speaks. */
const PLAIN = ["CODE", "DIV", "H3", "P", "PRE"];

story(async ({ plan, browser, ask }) => {
  const context = await windowOf(browser);
  const page = await openPlayground(context, plan);
  /** @type {string[]} */ const opened = [];
  context.on("page", (other) => opened.push(other.url()));
  page.on("dialog", (dialog) => opened.push(dialog.message()));
  page.on("framenavigated", (frame) => opened.push(frame.url()));
  page.on("download", (download) => opened.push(download.url()));
  await useKey(page, plan.key);
  await page.locator("#model").selectOption("gpt-test");
  await ask("payloads", PAYLOADS);
  const title = await page.title();
  for (const payload of PAYLOADS) {
    const how = await say(page, "Go on");
    assert.match(how, /^Answered/, payload);
    const turn = page.locator("#talk .turn").last();
    const { text, names, strange } = await turn.evaluate((turn) => ({
      text: turn.querySelector(".said")?.textContent ?? "",
      names: [...new Set([...turn.querySelectorAll("*")].map((element) => element.tagName))],
      strange: [...turn.querySelectorAll("*")].flatMap((element) => element.getAttributeNames())
        .filter((name) => !["class", "dir", "tabindex", "role", "aria-label", "title"].includes(name)),
    }));
    assert.deepEqual([names.filter((name) => !PLAIN.includes(name)), strange], [[], []], payload);
    assert.equal(visible(text), visible(payload), "it is shown as it is");
    // A link would be one; nothing here can be followed.
    if (text !== "") await turn.locator(".said > *").first().click();
    await page.getByRole("button", { name: "Clear" }).click();
  }
  assert.deepEqual(opened, []);
  assert.equal(await page.evaluate(() => /** @type {any} */ (window).__pwned), undefined);
  assert.equal(await page.title(), title);
  assert.equal(await page.locator("base, meta[http-equiv], iframe, object, embed, script:not([src])").count(), 0);
  noFaults(page);
});

/**
 * The text without fences and the space around blocks, which are shown as blocks.
 * @param {string} text
 */
function visible(text) {
  return text.replaceAll(/^ {0,3}(`{3,}|~{3,})[^`]*?$/gm, "").replaceAll(/\s+/g, "");
}
