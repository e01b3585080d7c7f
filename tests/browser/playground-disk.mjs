// What a browser writes to its profile directory; the test searches it.

import { say, useKey } from "./lib/playground.mjs";
import { storyOnDisk } from "./lib/story.mjs";

storyOnDisk(async ({ plan, ask, open }) => {
  const context = await open();
  const page = await context.newPage();
  await page.goto(`${plan.inference}/playground`);
  await useKey(page, plan.key);
  await say(page, plan.prompt);
  await page.reload();
  await say(page, plan.prompt);
  await ask("open");
  await page.close();
  await ask("tab closed");
  await context.close();
  await ask("closed");
  const again = await open();
  const other = await again.newPage();
  await other.goto(`${plan.inference}/playground`);
  await other.locator("#use:enabled").waitFor();
  await again.close();
  await ask("opened again");
});
