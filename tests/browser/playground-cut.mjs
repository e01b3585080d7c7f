// Answers that do not come to their end: stopped by whoever asked, and cut because an operator revoked the key in
// another window.

import { strict as assert } from "node:assert";
import { open, windowOf } from "./lib/page.mjs";
import { begin, ended, figures, lastTurn, noFaults, openPlayground, useKey } from "./lib/playground.mjs";
import { story } from "./lib/story.mjs";

const PASSWORD = "Seven-Quiet-Herons";

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
  const cut = page.getByText("200 key_revoked").waitFor().then(() => Date.now());
  const revokedAt = await revoke(await operator(browser, plan), plan);
  const cutAfterMs = (await cut) - revokedAt;
  await page.getByText("What had been made of the answer by then is billed to the key.").waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.getItem("nemo.playground.key")), null, "a revoked key is of no use here");
  assert.ok(await page.locator("#run").isDisabled());
  noFaults(page);
  return { cutAfterMs };
});

/**
 * A window of somebody who has signed in.
 * @param {import("playwright-core").Browser} browser
 * @param {Record<string, any>} plan
 */
async function operator(browser, plan) {
  const page = await open(await windowOf(browser), plan.url + plan.link);
  await page.locator("#name").fill("Ada");
  await page.locator("#password").fill(PASSWORD);
  await page.locator("#again").fill(PASSWORD);
  await page.locator("#again").press("Enter");
  await page.waitForURL((url) => url.pathname === "/");
  return page;
}

/**
 * Revokes the key on its page; when that was acknowledged.
 * @param {import("./lib/page.mjs").WatchedPage} page
 * @param {Record<string, any>} plan
 */
async function revoke(page, plan) {
  await page.goto(`${plan.url}/keys/${plan.id}/revoke`);
  await page.locator("main #name").fill(plan.name);
  const acknowledged = page.waitForResponse((response) => response.request().method() === "POST").then(() => Date.now());
  await page.getByRole("button", { name: "Revoke for good" }).click();
  return acknowledged;
}
