// Where the key of the playground is, and where it is not.

import { strict as assert } from "node:assert";
import { windowOf } from "./lib/page.mjs";
import { REFUSED, begin, noFaults, openPlayground, say, useKey } from "./lib/playground.mjs";
import { story } from "./lib/story.mjs";

const HALF_AN_HOUR_MS = 30 * 60 * 1000;

/** @typedef {import("playwright-core").Page} Page */

story(async ({ plan, browser, ask }) => {
  const context = await windowOf(browser);
  // Says what a tab's storage held before any script of the page ran.
  await context.addInitScript(() => {
    /** @type {any} */ (window).__atFirst = sessionStorage.getItem("nemo.playground.key");
  });
  const page = await openPlayground(context, plan, { expected: [REFUSED] });
  await whatIsNoKeyIsNotKept(page, plan);
  await useKey(page, plan.key);
  const requests = await heard(page, () => say(page, "Hello"));
  for (const { url, headers } of requests) {
    assert.ok(!url.includes("sk-nemo"), url);
    assert.equal(headers.authorization, `Bearer ${plan.key}`);
    assert.equal(headers.cookie, undefined);
  }
  assert.ok(requests.length >= 2);
  await isInThisTabAlone(context, page, plan.key);

  await page.reload();
  await page.getByText(`Key ending …${plan.key.slice(-4)} is in this tab`).waitFor();
  await say(page, "Hello again");

  // Another tab by its address, one from a link, and a copy as the browser makes it.
  const fresh = await openPlayground(context, plan);
  assert.equal(await keyOf(fresh), null);
  const [linked] = await Promise.all([context.waitForEvent("page"), page.locator("a[aria-current=page]").click({ modifiers: ["Control"] })]);
  await startsEmpty(linked, null);
  const [copied] = await Promise.all([context.waitForEvent("page"), page.evaluate(() => { window.open(location.href); })]);
  await startsEmpty(copied, plan.key);
  await copied.getByText("This tab is a copy of another one.").waitFor();
  assert.equal(await keyOf(page), plan.key, "the tab that was copied has it still");
  await say(page, "Still here");
  for (const other of [fresh, linked, copied]) await other.close();

  await page.getByRole("button", { name: "Forget key now" }).click();
  await page.getByText("The key is no longer in this tab.").waitFor();
  assert.deepEqual(await storages(page, plan.key), []);
  assert.ok(await page.locator("#run").isDisabled());

  await useKey(page, plan.key);
  await page.close();
  assert.equal(await keyOf(await openPlayground(context, plan)), null, "closing the tab ended it");
  await idleWipes(browser, plan);
  await forgettingStops(await windowOf(browser), plan, ask);
  noFaults(page);
});

/**
 * @param {Page} page
 * @param {Record<string, any>} plan
 */
async function whatIsNoKeyIsNotKept(page, plan) {
  const cases = [
    [plan.master_key, "That is the master key. It must never be typed into a browser."],
    [`Bearer ${plan.master_key}`, "That is the master key."],
    ["sk-proj-0123456789abcdef", "That is no virtual key of Nemo"],
    [plan.key.slice(0, -1), "it is not whole"],
    ["  ", "Paste a virtual key first."],
  ];
  for (const [pasted, words] of cases) {
    const requests = await heard(page, async () => {
      await page.getByLabel("Virtual key").fill(pasted);
      await page.keyboard.press("Enter");
      await page.locator("#key-wrong").filter({ hasText: words }).waitFor();
    });
    assert.deepEqual(requests, [], "nothing was sent");
    assert.equal(await page.getByLabel("Virtual key").inputValue(), "", "it does not stay in the field");
    assert.deepEqual(await storages(page, pasted.trim() || "sk-nemo"), []);
  }
  // In the form of a key, and none of this gateway: asked for, refused, forgotten.
  await page.getByLabel("Virtual key").fill(plan.stranger);
  await page.keyboard.press("Enter");
  await page.getByText("The gateway does not accept that key").waitFor();
  await page.getByText("401 invalid_api_key").waitFor();
  assert.deepEqual(await storages(page, plan.stranger), []);
}

/**
 * @param {import("playwright-core").BrowserContext} context
 * @param {Page} page
 * @param {string} key
 */
async function isInThisTabAlone(context, page, key) {
  assert.deepEqual(await storages(page, key), ["sessionStorage nemo.playground.key"]);
  assert.deepEqual(await context.cookies(), []);
  assert.ok(!(await page.content()).includes(key.slice(8)), "it is not in the document");
  assert.equal(await page.locator("#key").inputValue(), "");
  assert.ok(!page.url().includes(key.slice(8)));
  const devtools = await context.newCDPSession(page);
  const { entries } = await devtools.send("Page.getNavigationHistory");
  assert.ok(!JSON.stringify(entries).includes(key.slice(8)));
}

/**
 * Every storage of the page that has a text.
 * @param {Page} page
 * @param {string} text
 * @returns {Promise<string[]>}
 */
async function storages(page, text) {
  return page.evaluate(async (text) => {
    const found = [];
    for (const [name, storage] of /** @type {[string, Storage][]} */ ([["sessionStorage", sessionStorage], ["localStorage", localStorage]])) {
      for (const [key, value] of Object.entries(storage)) if ((key + value).includes(text)) found.push(`${name} ${key}`);
    }
    if (document.cookie !== "") found.push("cookie");
    if ((await indexedDB.databases()).length > 0) found.push("IndexedDB");
    if ((await caches.keys()).length > 0) found.push("caches");
    if ((await navigator.serviceWorker.getRegistrations()).length > 0) found.push("service worker");
    if (window.name !== "" || JSON.stringify(history.state)?.includes(text)) found.push("window");
    return found;
  }, text);
}

/** @param {Page} page */
const keyOf = (page) => page.evaluate(() => sessionStorage.getItem("nemo.playground.key"));

/**
 * @param {Page} page
 * @param {string | null} atFirst what the browser gave its storage to begin with
 */
async function startsEmpty(page, atFirst) {
  await page.locator("#use:enabled").waitFor();
  assert.equal(await page.evaluate(() => /** @type {any} */ (window).__atFirst), atFirst);
  assert.equal(await keyOf(page), null);
}

/**
 * What a page asks its gateway's `/v1` while something is done.
 * @param {Page} page
 * @param {() => Promise<unknown>} during
 */
async function heard(page, during) {
  /** @type {Promise<{url: string, headers: Record<string, string>}>[]} */ const requests = [];
  const hear = (/** @type {import("playwright-core").Request} */ request) => {
    if (request.url().includes("/v1/")) requests.push(request.allHeaders().then((headers) => ({ url: request.url(), headers })));
  };
  page.on("request", hear);
  await during();
  page.off("request", hear);
  return Promise.all(requests);
}

/**
 * @param {import("playwright-core").Browser} browser
 * @param {Record<string, any> & import("./lib/story.mjs").Plan} plan
 */
async function idleWipes(browser, plan) {
  const wiped = "Nobody touched this page for 30 minutes";
  const page = await (await windowOf(browser)).newPage();
  await page.clock.install();
  await page.goto(`${plan.inference}/playground`);
  await useKey(page, plan.key);
  await page.clock.fastForward(HALF_AN_HOUR_MS - 60_000);
  await page.keyboard.press("Shift");
  await page.clock.fastForward(HALF_AN_HOUR_MS - 60_000);
  assert.equal(await keyOf(page), plan.key, "whoever touches the page keeps the key");
  await page.clock.fastForward(70_000);
  await page.getByText(wiped).waitFor();
  assert.deepEqual(await storages(page, plan.key), []);
  await page.context().close();

  // A laptop that slept: no timer has run yet, and the first touch does not renew the key.
  const slept = await (await windowOf(browser)).newPage();
  await slept.goto(`${plan.inference}/playground`);
  await useKey(slept, plan.key);
  await slept.evaluate((later) => { Date.now = () => later; }, Date.now() + HALF_AN_HOUR_MS);
  await slept.keyboard.press("Shift");
  assert.equal(await keyOf(slept), null);
  await slept.context().close();

  // A tab that the browser restored after such a time has what it had, and an old date.
  const restored = await (await windowOf(browser)).newPage();
  await restored.goto(`${plan.inference}/playground`);
  await useKey(restored, plan.key);
  await restored.addInitScript((long) => sessionStorage.setItem("nemo.playground.touched", String(Date.now() - long)), HALF_AN_HOUR_MS);
  await restored.reload();
  await restored.getByText(wiped).waitFor();
  assert.equal(await keyOf(restored), null);
  await restored.context().close();
}

/**
 * @param {import("playwright-core").BrowserContext} context
 * @param {Record<string, any> & import("./lib/story.mjs").Plan} plan
 * @param {(step: string, told?: unknown) => Promise<any>} ask
 */
async function forgettingStops(context, plan, ask) {
  await ask("never end");
  const page = await openPlayground(context, plan);
  await useKey(page, plan.key);
  await begin(page, "Go on for ever");
  await page.locator("#talk .turn .said").last().filter({ hasText: "one" }).waitFor();
  await page.getByRole("button", { name: "Forget key now" }).click();
  await page.getByText("Stopped, because the key was removed from this tab.").waitFor();
  await context.close();
}
