// Orgs by keyboard, and the chart of the overview read with the arrow keys.

import { strict as assert } from "node:assert";
import { open, windowOf } from "./lib/page.mjs";
import { story } from "./lib/story.mjs";

const PASSWORD = "Seven-Quiet-Herons";

story(async ({ plan, browser, ask }) => {
  const page = await open(await windowOf(browser), plan.url + plan.link);
  await page.locator("#name").fill("Ada");
  await page.locator("#password").fill(PASSWORD);
  await page.locator("#again").fill(PASSWORD);
  await page.locator("#again").press("Enter");
  await page.waitForURL((url) => url.pathname === "/");

  const plot = page.locator(".plot");
  const reading = page.locator("output[data-reading]");
  const whole = await reading.textContent();
  assert.match(whole ?? "", /^30 days, total \$/);
  await plot.focus();
  await page.keyboard.press("ArrowLeft");
  assert.match((await reading.textContent()) ?? "", new RegExp(`^${plan.today}: \\$.+ chat \\$`), "today comes first");
  await page.keyboard.press("ArrowLeft");
  assert.match((await reading.textContent()) ?? "", /^\d{4}-\d\d-\d\d: \$0\.00\.$/);
  await page.keyboard.press("Escape");
  assert.equal(await reading.textContent(), whole);
  await page.locator(".as-table summary").press("Enter");
  assert.ok(await page.locator(".as-table td", { hasText: "chat" }).first().isVisible());

  await page.locator("body").press("g");
  await page.keyboard.press("r");
  await page.waitForURL((url) => url.pathname === "/orgs");
  await page.locator("a", { hasText: "Create org" }).press("Enter");
  const dialog = page.locator("dialog.loaded");
  await dialog.locator("[name=name]").fill(plan.hostile);
  await page.keyboard.press("Enter");
  await page.waitForURL((url) => /^\/orgs\/[0-9a-f-]+$/.test(url.pathname));
  assert.equal(await page.locator("h1").getByText(plan.hostile).count(), 1, "a name is text");

  await page.locator("a", { hasText: "Set bounds" }).press("Enter");
  await dialog.locator("[name=budget_month]").fill("50");
  await page.keyboard.press("Enter");
  await page.locator("dd", { hasText: "$50.00" }).waitFor();
  await page.locator("a", { hasText: "Set defaults" }).press("Enter");
  await dialog.locator("[name=budget_month]").fill("51");
  await page.keyboard.press("Enter");
  await dialog.getByText("A month budget of at most $50 is needed (the month budget is $51).").waitFor();
  assert.equal(await dialog.locator("[name=budget_month]").inputValue(), "51", "what was entered stays");
  await page.keyboard.press("Escape");
  await page.locator("dialog[open]").waitFor({ state: "detached" });

  await page.locator("a", { hasText: "Archive" }).press("Enter");
  await dialog.locator("[name=name]").fill("another");
  await dialog.locator("[name=reason]").fill("contract ended");
  await page.keyboard.press("Enter");
  await dialog.getByText("This is not the org's name.").waitFor();
  assert.equal(await dialog.locator("[name=reason]").inputValue(), "contract ended");
  await ask("still there");
  await dialog.locator("[name=name]").fill(plan.hostile);
  await page.keyboard.press("Enter");
  await page.locator("h1 .status", { hasText: "Archived" }).waitFor();
  assert.deepEqual(page.faults.filter((fault) => !/status of 4/.test(fault)), []);
});
