// The dashboard as people use it: from the first start to a key and its first billed call by keyboard alone. A secret is on
// the screen once and then nowhere.

import { strict as assert } from "node:assert";
import { picture, unreachable } from "./lib/inspect.mjs";
import { open, windowOf } from "./lib/page.mjs";
import { ended } from "./lib/playground.mjs";
import { story } from "./lib/story.mjs";

const PASSWORD = "Seven-Quiet-Herons";
/** A page that says what is wrong with a form has a status of its own, and browsers note that. */
const REFUSED = [/console: Failed to load resource: the server responded with a status of 4/];
const SECRET = /sk-nemo-1[0-9A-Za-z]{53}/;

story(async ({ plan, browser, ask }) => {
  const context = await windowOf(browser, { acceptDownloads: true });
  const page = await open(context, plan.url + plan.link, { expected: REFUSED });

  // From the first start to the first key by keyboard alone.
  await page.locator("#name").focus();
  for (const text of ["Ada", PASSWORD, PASSWORD]) {
    await page.keyboard.type(text);
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Enter");
  await page.waitForURL((url) => url.pathname === "/");
  await page.keyboard.press("g");
  await page.keyboard.press("k");
  await page.waitForURL("**/keys");
  await page.keyboard.press("c");
  await page.waitForURL("**/keys/new");
  await page.locator("#org_name").focus();
  await page.keyboard.type("acme");
  await page.keyboard.press("Tab");
  await page.keyboard.type("<img src=x onerror=alert(1)>");
  await page.keyboard.press("Enter");
  await page.locator(".wrong").first().waitFor();
  await page.locator("#budget_month").focus();
  await page.keyboard.type("20");
  await page.keyboard.press("Enter");
  await page.locator("[data-secret]").waitFor();
  const secret = await page.locator("#secret").innerText();
  assert.match(secret, SECRET);
  assert.equal(await page.locator("[data-done]").isDisabled(), true, "not before it was saved");
  const [download] = await Promise.all([page.waitForEvent("download"), save(page)]);
  assert.equal(download.suggestedFilename(), "nemo.env");
  assert.deepEqual(await unreachable(page), []);
  await page.locator("[data-saved]").focus();
  await page.keyboard.press("Space");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.waitForURL("**/keys/key_*");
  const keyPage = new URL(page.url()).pathname;

  // To the first billed call, by keyboard still: what was saved is pasted into the playground.
  await page.keyboard.press("g");
  await page.keyboard.press("y");
  await page.waitForURL("**/playground");
  await page.locator("#use:enabled").waitFor();
  await tabTo(page, "Virtual key");
  await page.keyboard.insertText(secret);
  await page.keyboard.press("Enter");
  await page.locator("#model:enabled").waitFor();
  await tabTo(page, "Model");
  await page.keyboard.type(plan.model);
  await tabTo(page, "Message");
  await page.keyboard.type("Say hello.");
  await page.keyboard.press("Control+Enter");
  assert.match(await ended(page), /^Answered for \$/);
  await ask("first call", { secret });
  await tabTo(page, "Forget key now");
  await page.keyboard.press("Enter");
  await page.locator("#use:enabled").waitFor();

  // The secret is nowhere any more: not in pages, not in what they keep, not behind the way back.
  for (const path of ["/", "/keys", keyPage]) {
    await page.goto(plan.url + path);
    await isNowhere(page, secret, path);
  }
  await page.goBack();
  await page.goBack();
  await isNowhere(page, secret, "the way back");
  assert.deepEqual((await context.cookies()).map((cookie) => cookie.name), ["__Host-nemo-session"]);

  // In the list: rows by key, a dialog that is left by key, and one that is not before the secret was saved.
  await page.goto(`${plan.url}/keys`);
  await page.keyboard.press("j");
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), "<img src=x onerror=alert(1)>");
  await page.keyboard.press("?");
  await page.locator("#help[open]").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#help[open]").waitFor({ state: "detached" }).catch(() => {});
  await page.locator("button[popovertarget]").first().press("Enter");
  await page.locator("[popover]:popover-open a", { hasText: "Rotate" }).press("Enter");
  await page.locator("dialog[open] form").waitFor();
  assert.deepEqual(await unreachable(page), []);
  await page.locator("dialog[open] button.main").press("Enter");
  await page.locator("dialog[open] #secret").waitFor();
  const rotated = await page.locator("#secret").innerText();
  await picture(page, `${plan.pictures}/secret.png`);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("dialog[open]").count(), 1, "it stays until it was saved");
  await page.locator("dialog [data-saved]").press("Space");
  await page.locator("dialog [data-done]").press("Enter");
  await page.waitForURL("**/keys/key_*");
  await isNowhere(page, rotated, "after the dialog");

  // The list follows the ledger by itself.
  await page.goto(`${plan.url}/keys`);
  await ask("another key");
  await page.getByRole("link", { name: "made elsewhere" }).waitFor();
  assert.deepEqual(page.faults, []);
});

/**
 * Presses Tab until what has this name is in focus.
 * @param {import("playwright-core").Page} page
 * @param {string} name
 */
async function tabTo(page, name) {
  const named = () => page.evaluate(() => {
    const at = document.activeElement;
    const labels = at instanceof HTMLInputElement || at instanceof HTMLTextAreaElement || at instanceof HTMLSelectElement ? at.labels : null;
    return (at?.getAttribute("aria-label") ?? labels?.[0]?.textContent ?? at?.textContent ?? "").trim();
  });
  for (let presses = 0; presses < 60; presses += 1) {
    if ((await named()) === name) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`no press of Tab leads to ${name}`);
}

/** @param {import("playwright-core").Page} page */
async function save(page) {
  await page.locator("summary", { hasText: "Use it" }).press("Enter");
  await page.locator("button[data-download]").press("Enter");
}

/**
 * @param {import("playwright-core").Page} page
 * @param {string} secret
 * @param {string} where
 */
async function isNowhere(page, secret, where) {
  assert.ok(!(await page.content()).includes(secret), `the secret is on ${where}`);
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, history.state, location.href]));
  assert.ok(!kept.includes("sk-nemo-1"), `the browser keeps a secret: ${kept}`);
}
