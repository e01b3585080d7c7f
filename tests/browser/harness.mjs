// The harness itself: each kind of fault is found where it is planted.

import { strict as assert } from "node:assert";
import { tooWide, unreachable } from "./lib/inspect.mjs";
import { open, windowOf } from "./lib/page.mjs";
import { story } from "./lib/story.mjs";

story(async ({ plan, browser, ask }) => {
  const context = await windowOf(browser);
  const page = await open(context, `${plan.url}/docs`);
  assert.deepEqual([...page.faults, ...(await unreachable(page)), ...(await tooWide(page))], []);

  await page.evaluate(() => {
    const image = document.createElement("img");
    image.src = "http://nowhere.test/pixel.png";
    const wide = document.createElement("hr");
    wide.style.width = "5000px";
    document.body.append(image, wide);
    console.error("planted");
    setTimeout(() => { throw new Error("planted too"); });
  });
  const found = () => page.faults.join("\n");
  for (const fault of [/console: planted/, /script: .*planted too/, /policy: img-src blocked http:\/\/nowhere.test/]) {
    await until(() => fault.test(found()), `${fault} in ${found()}`);
  }
  assert.match((await unreachable(page)).join(), /axe image-alt/);
  assert.match((await tooWide(page)).join(), /wider than the window.*<hr/);

  const elsewhere = await open(context, `${plan.url}/docs`, { expected: [/policy/, /console/] });
  await elsewhere.goto(plan.elsewhere).catch(() => {});
  assert.match(elsewhere.faults.join(), /request: GET http:\/\/127\.0\.0\.1/);
  assert.deepEqual(await ask("ping", { a: 1 }), { pong: { a: 1 } });
  return "told";
});

/**
 * @param {() => boolean} holds
 * @param {string} what
 */
async function until(holds, what) {
  const start = Date.now();
  while (!holds()) {
    assert.ok(Date.now() - start < 10_000, `waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
