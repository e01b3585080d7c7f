// A conversation in the playground, from pasting a key to a call that the ledger has.

import { strict as assert } from "node:assert";
import { inspect } from "./lib/inspect.mjs";
import { windowOf } from "./lib/page.mjs";
import { REFUSED, figures, lastTurn, noFaults, openPlayground, say, useKey } from "./lib/playground.mjs";
import { story } from "./lib/story.mjs";

story(async (told) => {
  const { plan, browser, ask } = told;
  const url = `${plan.inference}/playground`;
  await inspect(told, "empty", url, { prepare: (page) => page.locator("#use:enabled").waitFor() });

  const context = await windowOf(browser, { permissions: ["clipboard-read", "clipboard-write"] });
  const page = await openPlayground(context, plan);
  assert.ok(await page.locator("#run").isDisabled(), "nothing can be run without a key");
  await useKey(page, plan.key);
  const models = await page.locator("#model option").allInnerTexts();
  assert.deepEqual(models.filter((model) => model.startsWith("gpt-")).sort(), plan.models);
  await page.locator("#model").selectOption("gpt-test");

  await page.getByLabel("System prompt").fill("Be brief.");
  await page.getByLabel("Temperature").fill("0.5");
  await page.getByLabel("Output limit").fill("300");
  assert.match(await say(page, "First question"), /^Answered for \$/);
  await ask("answered", { ...(await figures(page)), ...(await lastTurn(page)) });

  await page.getByLabel("Stream the answer").uncheck();
  assert.match(await say(page, "Second question"), /^Answered for \$/);
  await ask("answered again", { ...(await figures(page)), ...(await lastTurn(page)) });

  await page.getByLabel("Message").fill("It's \"quoted\" $HOME `id`");
  await page.getByRole("button", { name: "Copy as curl" }).click();
  await page.getByText("Copied. It reads the key from $NEMO_API_KEY.").waitFor();
  const curl = await page.evaluate(() => navigator.clipboard.readText());
  assert.ok(curl.includes("$NEMO_API_KEY") && !curl.includes(plan.key.slice(8)), curl);
  await ask("curl", curl);

  await page.getByRole("button", { name: "Clear" }).click();
  await page.getByText("Nothing has been said yet").waitFor();
  noFaults(page);

  await ask("talk in code");
  const talk = async (/** @type {import("playwright-core").Page} */ page) => {
    await useKey(page, plan.key);
    await page.locator("#model").selectOption("gpt-test");
    await say(page, "How is a key made?");
  };
  await inspect(told, "conversation", url, { prepare: talk });
  await ask("refuse");
  await inspect(told, "refusal", url, { prepare: talk, expected: [REFUSED] });
});
