// The playground over plain HTTP under a name: no Web Locks, no clipboard, and anybody on the way reads along.

import { strict as assert } from "node:assert";
import { open, windowOf } from "./lib/page.mjs";
import { figures, noFaults, say, useKey } from "./lib/playground.mjs";
import { story } from "./lib/story.mjs";

const NAME = "nemo.test";
/** Browsers tell that they ignore a header where an origin cannot be trusted. */
const UNTRUSTED = /Cross-Origin-Opener-Policy header has been ignored/;

story(async ({ plan, browser }) => {
  const url = new URL(`${plan.inference}/playground`);
  url.hostname = NAME;
  const page = await open(await windowOf(browser), url.href, { expected: [UNTRUSTED] });
  await page.locator("#use:enabled").waitFor();
  assert.equal(await page.evaluate(() => isSecureContext), false);
  await useKey(page, plan.key);
  await page.getByText("This page did not come over HTTPS: whoever is on the way can read the key.").waitFor();
  await page.locator("#model").selectOption("gpt-test");
  assert.match(await say(page, "Hello"), /^Answered for \$/);
  assert.notEqual((await figures(page)).event, "–");
  assert.deepEqual(await page.evaluate(() => [Object.keys(sessionStorage), Object.keys(localStorage)]), [[], []]);
  await page.getByRole("button", { name: "Copy as curl" }).click();
  await page.getByText("Copied. It reads the key from $NEMO_API_KEY.").waitFor();
  await page.reload();
  await page.locator("#use:enabled").waitFor();
  assert.ok(await page.locator("#no-key").isVisible(), "a refresh ended it");
  noFaults(page);
}, [`--host-resolver-rules=MAP ${NAME} 127.0.0.1`]);
