// Answers that do not come to their end: stopped by whoever asked, and cut because the key was revoked elsewhere.

import { strict as assert } from "node:assert";
import { windowOf } from "./lib/page.mjs";
import { begin, ended, figures, lastTurn, noFaults, openPlayground, useKey } from "./lib/playground.mjs";
import { story } from "./lib/story.mjs";

story(async ({ plan, browser, ask }) => {
  const page = await openPlayground(await windowOf(browser), plan);
  await useKey(page, plan.key);
  await page.locator("#model").selectOption("gpt-test");
  await begin(page, "Tell me a long story");
  const said = page.locator("#talk .turn .said").last();
  await said.filter({ hasText: "one two" }).waitFor();
  await page.keyboard.press("Escape");
  assert.match(await ended(page), /^Stopped; it is charged \$/);
  await ask("stopped", { ...(await figures(page)), ...(await lastTurn(page)) });

  await begin(page, "Another one");
  await page.locator("#talk .turn .said").last().filter({ hasText: "one two" }).waitFor();
  // Another window, of an operator.
  const revoked = await ask("revoke");
  await page.getByText("401 key_revoked").or(page.getByText("200 key_revoked")).waitFor();
  const cutAfterMs = Date.now() - revoked.at_ms;
  await page.getByText("What had been made of the answer by then is billed to the key.").waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.getItem("nemo.playground.key")), null, "a revoked key is of no use here");
  assert.ok(await page.locator("#run").isDisabled());
  noFaults(page);
  return { cutAfterMs };
});
