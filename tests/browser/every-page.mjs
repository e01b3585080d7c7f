// Every page of the table of pages, in both themes, on a desk and on a telephone: accessible, without a fault, and
// no wider than the window. A new page is in the table, and so in here, by itself.

import { strict as assert } from "node:assert";
import { inspect } from "./lib/inspect.mjs";
import { open, windowOf } from "./lib/page.mjs";
import { story } from "./lib/story.mjs";

const PASSWORD = "Seven-Quiet-Herons";
/** A page that has nothing to show has a status that says so, and browsers note that. */
const REFUSED = [/console: Failed to load resource: the server responded with a status of 4/];

story(async (told) => {
  const { plan, browser, ask } = told;
  const context = await windowOf(browser);
  const page = await open(context, plan.url + plan.link);
  await page.locator("#name").fill("Ada");
  await page.locator("#password").fill(PASSWORD);
  await page.locator("#again").fill(PASSWORD);
  await page.locator("#again").press("Enter");
  await page.waitForURL((url) => url.pathname === "/");
  const { key, org, person } = await ask("ids");
  const signedIn = { storageState: await context.storageState() };
  const ids = /** @type {const} */ ([["/orgs/", org], ["/operators/", person], ["/keys/", key]]);
  /** @type {unknown[]} */
  const wrong = [];
  for (const { path, anybody } of plan.pages) {
    const id = ids.find(([beginning]) => path.startsWith(beginning))?.[1] ?? "";
    const name = path === "/" ? "overview" : path.slice(1).replaceAll("{id}", "one").replaceAll(/[^a-z]+/g, "-");
    const how = { context: anybody ? {} : signedIn, expected: REFUSED };
    // All that is wrong is told at once, at the end.
    await inspect(told, name, plan.url + path.replace("{id}", id), how).catch((fault) => wrong.push(...(fault.actual ?? [fault])));
    await ask("looked", path);
  }
  assert.deepEqual(wrong, []);
});
