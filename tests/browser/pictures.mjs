// The README's pictures: a demo as people see it first, in both themes.

import { open, windowOf } from "./lib/page.mjs";
import { story } from "./lib/story.mjs";

/** What a README has room for. */
const VIEWPORT = { width: 1360, height: 780 };
const LEAKED = "key_DemoPartner";
/** Of a demo that is thrown away. */
const PASSWORD = "a demo's password, for nothing else";
const QUESTION = "Why does one key for each job make a leak survivable?";

story(async ({ plan, browser }) => {
  const signedIn = await signIn(browser, plan);
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    const context = await windowOf(browser, { colorScheme, viewport: VIEWPORT, storageState: signedIn });
    const picture = (/** @type {import("playwright-core").Page} */ page, /** @type {string} */ name) =>
      page.screenshot({ path: `${plan.pictures}/${name}-${colorScheme}.png` });
    for (const [name, path] of [["overview", "/"], ["keys", "/keys"], ["replay", `/keys/${LEAKED}?at=@${plan.revision}`]]) {
      await picture(await open(context, plan.url + path), name);
    }
    const playground = await open(context, `${plan.inference}/playground`);
    await playground.getByLabel("Virtual key").fill(plan.key);
    await playground.keyboard.press("Enter");
    await playground.locator("#model:enabled").waitFor();
    await playground.locator("#model").selectOption("claude-sonnet-4-5");
    await playground.getByLabel("Message").fill(QUESTION);
    await playground.keyboard.press("Control+Enter");
    await playground.locator("#status").filter({ hasText: /^Answered/ }).waitFor({ state: "attached" });
    await picture(playground, "playground");
    await context.close();
  }
});

/**
 * Becomes the demo's first admin by its link.
 * @param {import("playwright-core").Browser} browser
 * @param {import("./lib/story.mjs").Told["plan"]} plan
 */
async function signIn(browser, plan) {
  const context = await windowOf(browser);
  const page = await open(context, plan.link);
  await page.locator("#name").fill("Dana");
  await page.locator("#password").fill(PASSWORD);
  await page.locator("#again").fill(PASSWORD);
  await page.locator("#again").press("Enter");
  await page.waitForURL((url) => url.pathname === "/");
  const state = await context.storageState();
  await context.close();
  return state;
}
