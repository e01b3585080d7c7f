// A story in a real browser, told by a Rust test: `tests/it/browser/story.rs` is the other side.
//
// One Chromium for each story, in a profile directory that the test made and throws away. What the story needs to
// know (addresses, secrets) comes as the first line of standard input, so that it stands in no command line and in
// no environment. Standard output holds one JSON value a line: `{"step", "with"}` asks the test for something and
// waits for a line in return; `{"end"}` is the last.

import { mkdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

/** Without anything that speaks to the network by itself, which would make stories depend on the machine. */
const QUIET = [
  "--disable-gpu", "--disable-quic", "--no-first-run", "--no-default-browser-check", "--disable-sync",
  "--disable-background-networking", "--disable-component-update", "--disable-domain-reliability",
  "--disable-client-side-phishing-detection", "--metrics-recording-only", "--no-pings",
  "--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication,CertificateTransparencyComponentUpdater",
];

/** How long anything is waited for: the machine may be busy with other stories. */
export const PATIENCE_MS = 60_000;

/**
 * @typedef {object} Plan What every story gets; a test adds what its story needs.
 * @property {string} profile A directory for Chromium.
 * @property {string} pictures Where screenshots go.
 * @property {string} url The gateway's management address, `http://127.0.0.1:PORT`.
 * @property {string} inference Where it takes calls; the same unless configured.
 * @property {string} master_key
 */

/**
 * @typedef {object} Told
 * @property {Plan & Record<string, any>} plan
 * @property {import("playwright-core").Browser} browser
 * @property {(step: string, told?: unknown) => Promise<any>} ask Has the test do a step of its own; what it answers.
 */

/**
 * Tells a story. Whatever it throws fails the test, with its stack.
 * @param {(told: Told) => Promise<unknown>} tell
 * @param {string[]} [more] switches of Chromium
 */
export async function story(tell, more = []) {
  await withPlan(async (plan, ask) => {
    const plain = options(plan);
    const browser = await chromium.launch({ ...plain, args: [...plain.args, ...more] });
    try {
      return await tell({ plan, browser, ask });
    } finally {
      await browser.close();
    }
  });
}

/**
 * The same with a profile on disk, as people have it: what the browser keeps can be searched afterwards, and it
 * can be closed and started again in it.
 * @param {(told: {plan: Told["plan"], ask: Told["ask"],
 *   open: (more?: string[]) => Promise<import("playwright-core").BrowserContext>}) => Promise<unknown>} tell
 */
export async function storyOnDisk(tell) {
  await withPlan(async (plan, ask) => {
    /** @type {import("playwright-core").BrowserContext[]} */
    const opened = [];
    const open = async (/** @type {string[]} */ more = []) => {
      const plain = options(plan);
      const context = await chromium.launchPersistentContext(`${plan.profile}/kept`, { ...plain, args: [...plain.args, ...more] });
      context.setDefaultTimeout(PATIENCE_MS);
      opened.push(context);
      return context;
    };
    try {
      return await tell({ plan, open, ask });
    } finally {
      await Promise.all(opened.map((context) => context.close()));
    }
  });
}

/** @param {(plan: Told["plan"], ask: Told["ask"]) => Promise<unknown>} tell */
async function withPlan(tell) {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const heard = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error("the test has gone");
    return JSON.parse(value);
  };
  const say = (/** @type {unknown} */ message) => process.stdout.write(`${JSON.stringify(message)}\n`);
  const ask = async (/** @type {string} */ step, /** @type {unknown} */ told = null) => {
    say({ step, with: told });
    return heard();
  };
  const plan = await heard();
  mkdirSync(plan.pictures, { recursive: true });
  // Chromium puts its profile where temporary files are.
  process.env.TMPDIR = plan.profile;
  try {
    say({ end: (await tell(plan, ask)) ?? null });
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
    process.exitCode = 1;
  }
  process.stdin.destroy();
}

/** @param {Plan} plan */
function options(plan) {
  return {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: QUIET,
    // Tests may run as root, where Chromium has no sandbox.
    chromiumSandbox: false,
    timeout: PATIENCE_MS,
    downloadsPath: plan.profile,
  };
}
