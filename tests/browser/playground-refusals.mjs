// Refusals: the ones that can be brought about as they come from the gateway, and every code that there is.

import { strict as assert } from "node:assert";
import { windowOf } from "./lib/page.mjs";
import { REFUSED, openPlayground, say, noFaults, useKey } from "./lib/playground.mjs";
import { story } from "./lib/story.mjs";

story(async ({ plan, browser, ask }) => {
  const page = await openPlayground(await windowOf(browser), plan, { expected: [REFUSED] });
  await useKey(page, plan.keys[0]);
  await page.locator("#model").selectOption("gpt-test");
  for (const code of plan.real) {
    if (code === "key_revoked") {
      await page.getByRole("button", { name: "Forget key now" }).click();
      await useKey(page, plan.keys[1]);
      await page.locator("#model").selectOption("gpt-test");
    }
    await ask(`bring about ${code}`);
    if (code === "output_limit_too_high") await page.getByLabel("Output limit").fill("1000000");
    assert.match(await say(page, `Until ${code}`), /^Refused/, code);
    await isTold(page, code);
    if (code === "rate_limit_exceeded") await page.getByRole("button", { name: /^Try again in \d+ s$/ }).waitFor();
    await page.getByLabel("Output limit").fill("");
    await page.getByRole("button", { name: "Clear" }).click({ force: true, timeout: 1000 }).catch(() => {});
    await ask("restore");
  }
  await page.getByText("The gateway does not accept that key").waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.getItem("nemo.playground.key")), null);

  const told = await everyCode(page, plan);
  noFaults(page);
  return { codes: told };
});

/**
 * @param {import("./lib/page.mjs").WatchedPage} page
 * @param {Record<string, any>} plan
 */
async function everyCode(page, plan) {
  const known = await page.locator("#codes [data-code]").evaluateAll((rows) => rows.map((row) => row.getAttribute("data-code")));
  let next = { code: "", status: 500 };
  await page.route("**/v1/chat/completions", (route) => {
    const body = { error: { message: `Because of ${next.code}.`, type: "x", param: null, code: next.code } };
    return route.fulfill({ status: next.status, json: body, headers: { "x-request-id": "request-7" } });
  });
  let told = 0;
  for (const { code, status } of plan.codes) {
    if (!known.includes(code)) continue;
    if (!(await page.locator("#has-key").isVisible())) await useKey(page, plan.keys[2]);
    next = { code, status: status ?? 500 };
    await say(page, `Once more, ${code}`);
    await isTold(page, code);
    await page.locator("#talk .refusal, #no-key-refused .refusal").getByText(`Because of ${code}.`).first().waitFor();
    await page.locator("#talk").getByText("request-7").first().waitFor();
    told += 1;
  }
  // Something in between answers, or nothing does.
  await page.unroute("**/v1/chat/completions");
  if (!(await page.locator("#has-key").isVisible())) await useKey(page, plan.keys[2]);
  await page.route("**/v1/chat/completions", (route) => route.fulfill({ status: 502, contentType: "text/html", body: "<b>Bad gateway</b>" }));
  assert.match(await say(page, "Through a proxy"), /answered 502/);
  await page.unroute("**/v1/chat/completions");
  await page.route("**/v1/chat/completions", (route) => route.abort("connectionrefused"));
  await say(page, "Into the void");
  await isTold(page, "gateway_unreachable");
  return told;
}

/**
 * The box says the code, and what the reference of errors says about it.
 * @param {import("playwright-core").Page} page
 * @param {string} code
 */
async function isTold(page, code) {
  const box = page.locator("#talk .refusal").last();
  const row = page.locator(`#codes [data-code="${code}"]`);
  assert.equal(await box.locator("strong").first().textContent(), await row.locator("[data-title]").textContent());
  assert.equal(await box.locator(".fix").textContent(), await row.locator("[data-fix]").textContent());
  assert.match((await box.locator(".marks").textContent()) ?? "", new RegExp(`(^|\\s)${code}`));
  assert.ok(((await box.locator(".cause").textContent()) ?? "").length > 10);
}
