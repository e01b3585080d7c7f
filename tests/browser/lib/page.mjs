// Pages that are watched: whatever a page of ours does that none of them may do is a fault.

import { PATIENCE_MS } from "./story.mjs";

/** The widths at which pages are looked at: a desk and a telephone. */
export const SIZES = { wide: { width: 1360, height: 900 }, narrow: { width: 390, height: 844 } };

/** @typedef {import("playwright-core").Page & {faults: string[]}} WatchedPage */

/**
 * A browser window of its own (no cookies, no storage), whose pages are watched.
 * @param {import("playwright-core").Browser} browser
 * @param {import("playwright-core").BrowserContextOptions} [how] Theme (`colorScheme`), size, cookies …
 */
export async function windowOf(browser, how = {}) {
  const context = await browser.newContext({ viewport: SIZES.wide, reducedMotion: "reduce", ...how });
  context.setDefaultTimeout(PATIENCE_MS);
  return context;
}

/**
 * A page in it. Its `faults` are collected as they happen: errors in the console and in scripts, reports of the
 * content security policy, and requests to anywhere but the origins given (its first address' own by default).
 * @param {import("playwright-core").BrowserContext} context
 * @param {string} url
 * @param {{origins?: string[], expected?: RegExp[]}} [how] `expected`: faults that the story is about.
 * @returns {Promise<WatchedPage>}
 */
export async function open(context, url, how = {}) {
  const page = /** @type {WatchedPage} */ (await context.newPage());
  page.faults = [];
  await watch(page, [new URL(url).origin, ...(how.origins ?? [])], how.expected ?? []);
  await page.goto(url);
  return page;
}

/**
 * @param {WatchedPage} page
 * @param {string[]} origins
 * @param {RegExp[]} expected
 */
async function watch(page, origins, expected) {
  const fault = (/** @type {string} */ text) => {
    if (!expected.some((known) => known.test(text))) page.faults.push(text);
  };
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) fault(`console: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => fault(`script: ${error.stack ?? error}`));
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    const isLocal = ["data:", "blob:", "about:", "chrome-error:"].includes(protocol);
    if (!isLocal && !origins.includes(origin)) fault(`request: ${request.method()} ${request.url()}`);
  });
  // A violation is also told in the console, but not every kind of it, and not in words that stay.
  await page.exposeBinding("__violation", (_source, text) => fault(`policy: ${text}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      const told = `${event.effectiveDirective} blocked ${event.blockedURI} ${event.sample} (${event.sourceFile}:${event.lineNumber})`;
      /** @type {any} */ (window).__violation(told);
    });
  });
}
