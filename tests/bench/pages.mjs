// Opens pages in a real Chromium, each in a window of its own, and tells what that took. What to open comes on
// standard input, as one line of JSON: {url, session, pages}.

import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const { chromium } = createRequire(new URL("../browser/package.json", import.meta.url))("playwright-core");
const QUIET = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
/** How often each page is opened; the median is told. */
const TIMES = 5;

const lines = createInterface({ input: process.stdin });
const plan = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);
lines.close();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: QUIET });
await look("/docs");
for (const page of plan.pages) {
  const looks = [];
  for (let n = 0; n < TIMES; n += 1) looks.push(await look(page));
  looks.sort((a, b) => a.paint - b.paint);
  const { status, paint, answered, requests, bytes } = looks[Math.floor(TIMES / 2)];
  console.log(`${page}: ${status}, first paint ${paint.toFixed(0)} ms (slowest ${looks[TIMES - 1].paint.toFixed(0)} ms), `
    + `answered after ${answered.toFixed(0)} ms, ${requests} requests, ${(bytes / 1000).toFixed(0)} kB`);
}
await browser.close();

/** @param {string} path */
async function look(path) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 } });
  await context.addCookies([{ name: "__Host-nemo-session", value: plan.session, url: plan.url.replace("http:", "https:"), secure: true, httpOnly: true, sameSite: "Strict" }]);
  const page = await context.newPage();
  let requests = 0;
  let bytes = 0;
  const sizes = [];
  page.on("requestfinished", (request) => {
    requests += 1;
    sizes.push(request.sizes().then((size) => { bytes += size.responseBodySize; }));
  });
  const reply = await page.goto(plan.url + path, { waitUntil: "load" });
  await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length > 0);
  const { paint, answered } = await page.evaluate(() => ({
    paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
    answered: performance.getEntriesByType("navigation")[0].responseEnd,
  }));
  await Promise.all(sizes);
  await context.close();
  return { status: reply.status(), paint, answered, requests, bytes };
}
