// What every page must stand: both themes, a desk's and a telephone's width, accessibility, no fault, nothing
// wider than the window. Leaves a picture of each.

import { strict as assert } from "node:assert";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { SIZES, open, windowOf } from "./page.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** In pixels. */
const HIGHEST_PICTURE = 3000;
const THEMES = /** @type {const} */ (["light", "dark"]);

/**
 * Looks at one page in each theme and width, and fails with all that is wrong with it.
 * @param {import("./story.mjs").Told} told
 * @param {string} name Of the pictures: `NAME-light.png`, `NAME-dark-narrow.png` …
 * @param {string} url
 * @param {object} [how]
 * @param {(page: import("./page.mjs").WatchedPage) => Promise<void>} [how.prepare] Brings it into the state to look at.
 * @param {import("playwright-core").BrowserContextOptions} [how.context] `storageState` of who signed in, for example.
 * @param {RegExp[]} [how.expected] Faults that belong to that state.
 * @param {boolean} [how.once] Each theme and each width once, not each with each: for pages that take long.
 */
export async function inspect({ plan, browser }, name, url, how = {}) {
  const wrong = [];
  for (const colorScheme of THEMES) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      if (how.once && (colorScheme === "light") !== (size === "wide")) continue;
      const context = await windowOf(browser, { colorScheme, viewport, ...how.context });
      const page = await open(context, url, { expected: how.expected });
      await how.prepare?.(page);
      await picture(page, `${plan.pictures}/${name}-${colorScheme}${size === "narrow" ? "-narrow" : ""}.png`);
      const found = [...(await unreachable(page)), ...(await tooWide(page)), ...page.faults];
      wrong.push(...found.map((fault) => `${name}, ${colorScheme}, ${size}: ${fault}`));
      await context.close();
    }
  }
  assert.deepEqual(wrong, []);
}

/**
 * A picture of a page, as far as people scroll.
 * @param {import("playwright-core").Page} page
 * @param {string} path
 */
export async function picture(page, path) {
  const { width, height } = await page.evaluate(() => ({ width: innerWidth, height: document.documentElement.scrollHeight }));
  await page.screenshot({ path, fullPage: true, clip: { x: 0, y: 0, width, height: Math.min(height, HIGHEST_PICTURE) } });
}

/**
 * Violations of accessibility, as axe finds them. It runs in a world of its own beside the page's, where the
 * page's policy does not bind it and the page does not see it.
 * @param {import("playwright-core").Page} page
 * @returns {Promise<string[]>}
 */
export async function unreachable(page) {
  const devtools = await page.context().newCDPSession(page);
  const { frameTree } = await devtools.send("Page.getFrameTree");
  const { executionContextId } = await devtools.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id, worldName: "axe" });
  const run = { contextId: executionContextId, awaitPromise: true, returnByValue: true };
  await devtools.send("Runtime.evaluate", { ...run, expression: `${AXE}; null` });
  const { result, exceptionDetails } = await devtools.send("Runtime.evaluate", { ...run, expression: "axe.run(document)" });
  await devtools.detach();
  assert.equal(exceptionDetails, undefined);
  assert.ok(result.value.passes.length > 0, "axe looked at nothing");
  return result.value.violations.flatMap(told);
}

/** @param {{id: string, help: string, nodes: {target: unknown[], failureSummary?: string}[]}} violation */
function told({ id, help, nodes }) {
  const [first, ...others] = nodes.map((node) => `${node.target.join(" ")} (${node.failureSummary?.replaceAll(/\s+/g, " ")})`);
  return [`axe ${id}: ${help}: ${first}${others.length > 0 ? ` and ${others.length} more` : ""}`];
}

/**
 * What makes the page scroll sideways.
 * @param {import("playwright-core").Page} page
 * @returns {Promise<string[]>}
 */
export async function tooWide(page) {
  return page.evaluate(() => {
    const room = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= room) return [];
    const out = [...document.querySelectorAll("body *")].filter((element) => element.getBoundingClientRect().right > room + 1);
    const names = out.slice(0, 5).map((element) => `<${element.tagName.toLowerCase()} class="${element.className}">`);
    return [`wider than the window (${document.documentElement.scrollWidth} > ${room}): ${names.join(" ")}`];
  });
}
