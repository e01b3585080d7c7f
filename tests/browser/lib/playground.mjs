// The playground as its stories use it: with a keyboard, and with eyes.

import { strict as assert } from "node:assert";
import { open } from "./page.mjs";

/** A refused call is also a line in the browser's console. */
export const REFUSED = /console: Failed to load resource/;

/**
 * @param {import("playwright-core").BrowserContext} context
 * @param {import("./story.mjs").Plan} plan
 * @param {{expected?: RegExp[]}} [how]
 */
export async function openPlayground(context, plan, how = {}) {
  const page = await open(context, `${plan.inference}/playground`, how);
  await page.locator("#use:enabled, #forget:visible").first().waitFor();
  return page;
}

/**
 * Pastes a key and waits until its models are listed.
 * @param {import("playwright-core").Page} page
 * @param {string} secret
 */
export async function useKey(page, secret) {
  await page.getByLabel("Virtual key").fill(secret);
  await page.keyboard.press("Enter");
  await page.getByText(`Key ending …${secret.slice(-4)} is in this tab`).waitFor();
  await page.locator("#model:enabled").waitFor();
}

/**
 * Says something and does not wait for the answer.
 * @param {import("playwright-core").Page} page
 * @param {string} text
 */
export async function begin(page, text) {
  await page.locator("#model:enabled").waitFor();
  await page.getByLabel("Message").fill(text);
  await page.keyboard.press("Control+Enter");
}

/**
 * Says something and waits until the answer, or its refusal, is there.
 * @param {import("playwright-core").Page} page
 * @param {string} text
 * @returns {Promise<string>} what the page says about how it went
 */
export async function say(page, text) {
  await begin(page, text);
  return ended(page);
}

/**
 * Waits until nothing runs; what the page says about how it went.
 * @param {import("playwright-core").Page} page
 */
export async function ended(page) {
  await page.locator("#status").filter({ hasText: /^(Answered|Stopped[;. ]|Refused)(?!.*…)/ }).waitFor({ state: "attached" });
  await page.locator("#run").waitFor({ state: "visible" });
  return (await page.locator("#status").textContent()) ?? "";
}

/**
 * What the last turn shows.
 * @param {import("playwright-core").Page} page
 */
export async function lastTurn(page) {
  const turn = page.locator("#talk .turn").last();
  const said = await turn.locator(".said").innerText();
  return { said, whole: await turn.innerText(), busy: await turn.getAttribute("aria-busy") };
}

/**
 * The figures below the conversation.
 * @param {import("playwright-core").Page} page
 * @returns {Promise<Record<string, string>>}
 */
export async function figures(page) {
  return page.evaluate(() => Object.fromEntries([...document.querySelectorAll(".figures dd")].map((dd) => [dd.id.slice("figure-".length), dd.textContent ?? ""])));
}

/** @param {import("./page.mjs").WatchedPage} page */
export function noFaults(page) {
  assert.deepEqual(page.faults, []);
}
