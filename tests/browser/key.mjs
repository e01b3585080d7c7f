// The page of a key: in both themes and at both widths, its slider by keyboard and by mouse, its links without script,
// and how it follows the ledger.

import { strict as assert } from "node:assert";
import { picture, tooWide, unreachable } from "./lib/inspect.mjs";
import { open, windowOf } from "./lib/page.mjs";
import { story } from "./lib/story.mjs";

story(async (told) => {
  const { plan, browser, ask } = told;
  const url = `${plan.url}/keys/${plan.key}`;
  const cookies = [{ name: "__Host-nemo-session", value: plan.session, url: plan.url.replace("http:", "https:"), secure: true, httpOnly: true, sameSite: /** @type {const} */ ("Strict") }];
  const signedIn = { storageState: { cookies: [], origins: [] } };
  const window = async (/** @type {import("playwright-core").BrowserContextOptions} */ how = {}) => {
    const context = await windowOf(browser, { ...signedIn, ...how });
    await context.addCookies(cookies);
    return context;
  };
  const visit = async (/** @type {import("playwright-core").BrowserContextOptions} */ how, /** @type {string} */ address) => open(await window(how), address);

  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    for (const [size, viewport] of Object.entries({ wide: { width: 1360, height: 900 }, narrow: { width: 390, height: 844 } })) {
      for (const [name, address] of [["key", url], ["key-then", `${url}?at=@${plan.middle}`], ["key-none", `${url}?model=none`]]) {
        const page = await visit({ colorScheme, viewport }, address);
        await page.locator("details.event > summary").first().click({ timeout: 2000 }).catch(() => {});
        await picture(page, `${plan.pictures}/${name}-${colorScheme}-${size}.png`);
        const wrong = [...(await unreachable(page)), ...(await tooWide(page)), ...page.faults];
        assert.deepEqual(wrong, [], `${name}, ${colorScheme}, ${size}`);
        await page.context().close();
      }
    }
  }

  // By keyboard: each step is the key behind another event, and the address names it.
  const page = await visit({}, url);
  const slider = page.getByRole("slider");
  const shows = async (/** @type {number} */ revision) => {
    await page.locator(`section[data-replay][data-at="${revision}"]:not([aria-busy])`).waitFor();
    await page.waitForURL((now) => now.searchParams.get("at") === `@${revision}`);
  };
  await slider.focus();
  await page.keyboard.press("Home");
  await shows(0);
  assert.equal(await page.locator("section[data-replay] [data-spend]").getAttribute("data-spend"), "0");
  assert.ok(await slider.evaluate((it) => it === document.activeElement), "the slider keeps the focus");
  for (let revision = 1; revision <= 3; revision += 1) {
    await page.keyboard.press("ArrowRight");
    await shows(revision);
  }
  await page.getByRole("link", { name: "Back: event before" }).click();
  await shows(2);
  await page.getByRole("link", { name: "Forward: next event" }).press("Enter");
  await shows(3);
  const then = await page.locator("section[data-replay]").innerText();
  await page.reload();
  assert.equal(await page.locator("section[data-replay]").innerText(), then, "the address shows the same again");
  await page.getByRole("link", { name: "Now" }).click();
  await page.waitForURL(url);
  assert.deepEqual(page.faults, []);
  await page.context().close();

  // At the head it follows the ledger.
  const live = await visit({}, `${plan.url}/keys/${plan.live}`);
  const calls = async () => Number(await live.locator("section[data-replay] [data-calls]").getAttribute("data-calls"));
  const before = await calls();
  await ask("one more call");
  await live.waitForFunction((was) => Number(document.querySelector("section[data-replay] [data-calls]")?.getAttribute("data-calls")) > was, before);
  assert.deepEqual(live.faults, []);
  await live.context().close();

  // Without script its links and forms do the same.
  const plain = await visit({ javaScriptEnabled: false }, url);
  await plain.getByLabel("Jump to an event, a time or a position").fill("@1");
  await plain.getByRole("button", { name: "Go" }).click();
  assert.equal(await plain.locator("section[data-replay]").getAttribute("data-at"), "1");
  await plain.getByRole("link", { name: "Forward: next event" }).click();
  assert.equal(await plain.locator("section[data-replay]").getAttribute("data-at"), "2");
  await plain.getByLabel("Type of event").selectOption("KeyCreated");
  await plain.getByRole("button", { name: "Filter" }).click();
  assert.equal(await plain.locator("details.event").count(), 1);
  await plain.context().close();
});
