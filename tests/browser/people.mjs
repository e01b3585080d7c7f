// People: the first link, signing in with what it stands for, inviting, and what a browser never sends.

import { strict as assert } from "node:assert";
import { inspect } from "./lib/inspect.mjs";
import { open, windowOf } from "./lib/page.mjs";
import { story } from "./lib/story.mjs";

const PASSWORD = "Seven-Quiet-Herons";
/** A form that is refused is a page with that status, which the browser's console notes. */
const REFUSED = [/console: Failed to load resource: the server responded with a status of 4/];

story(async (told) => {
  const { plan, browser } = told;
  const ada = await windowOf(browser);

  // The first link, by keyboard alone. A slip costs nothing: the code is still there.
  const setup = await open(ada, plan.url + plan.link, { expected: REFUSED });
  assert.equal(await setup.locator("#code").isVisible(), false);
  assert.equal(await setup.locator("#code").inputValue(), plan.link.split("#")[1]);
  const sent = requests(setup);
  await setup.locator("#name").focus();
  await type(setup, ["<img src=x onerror=alert(1)>", PASSWORD, "something else"]);
  await setup.locator("#again-wrong").waitFor();
  assert.equal(await setup.locator("#code").inputValue(), plan.link.split("#")[1]);
  assert.equal(await setup.locator("#password").inputValue(), "", "a password never comes back");
  await setup.locator("#password").focus();
  await type(setup, [PASSWORD, PASSWORD]);
  await setup.waitForURL((url) => url.pathname !== "/setup");
  assert.ok(sent.every((url) => !url.includes(plan.link.split("#")[1])), "the code is in no address that was sent");
  assert.equal(new URL(setup.url()).hash, "");
  const [cookie] = await ada.cookies();
  const { name, httpOnly, secure, sameSite, path } = cookie ?? {};
  assert.deepEqual({ name, httpOnly, secure, sameSite, path },
    { name: "__Host-nemo-session", httpOnly: true, secure: true, sameSite: "Strict", path: "/" });
  assert.equal(await setup.evaluate(() => document.cookie), "");

  // Inviting, in a dialog; the link works in a window of somebody else, once.
  await setup.goto(`${plan.url}/operators`);
  assert.match(await setup.locator("tbody tr").innerText(), /<img src=x onerror=alert\(1\)>/);
  await setup.locator("a.in-dialog", { hasText: "Invite" }).press("Enter");
  await setup.locator("dialog select[name=role]").selectOption("auditor");
  await setup.locator("dialog button.main").press("Enter");
  const invitation = await setup.locator("dialog .copyable code").innerText();
  assert.ok(invitation.startsWith(`${plan.url}/setup#`), invitation);
  const bo = await windowOf(browser);
  const joining = await open(bo, invitation, { expected: REFUSED });
  await joining.locator("#name").focus();
  await type(joining, ["Bo", PASSWORD, PASSWORD]);
  await joining.waitForURL((url) => url.pathname !== "/setup");
  await joining.goto(`${plan.url}/operators`);
  assert.match(await joining.locator("main").innerText(), /auditor, does not include this/);
  await setup.goto(`${plan.url}/operators`);
  assert.equal(await setup.locator("tbody tr").count(), 2);

  // Signing out and in. The master key is refused before anything is sent.
  await setup.goto(`${plan.url}/account`);
  await setup.locator("form[action='/account/sign-out'] button").press("Enter");
  await setup.waitForURL(/\/login/);
  assert.deepEqual(await ada.cookies(), []);
  await setup.goto(`${plan.url}/operators`);
  await setup.waitForURL(/\/login\?next=\/operators/);
  const forms = posts(setup);
  await setup.locator("#name").fill("<img src=x onerror=alert(1)>");
  await setup.locator("#password").fill(plan.master_key);
  await setup.locator("#password").press("Enter");
  await setup.getByText("That is the master key. It must never be typed into a browser.").waitFor();
  assert.equal(await setup.locator("#password").inputValue(), "");
  assert.deepEqual(forms, [], "nothing was sent");
  await setup.locator("#password").fill("not the password");
  await setup.locator("#password").press("Enter");
  await setup.getByText("do not belong together").waitFor();
  assert.equal(await setup.locator("#name").inputValue(), "<img src=x onerror=alert(1)>");
  await setup.locator("#password").fill(PASSWORD);
  await setup.locator("#password").press("Enter");
  await setup.waitForURL(/\/operators/);
  assert.deepEqual([...setup.faults, ...joining.faults], []);

  // How it all looks.
  const context = { storageState: await ada.storageState() };
  const at = (/** @type {string} */ path) => plan.url + path;
  await inspect(told, "login", at("/login"));
  await inspect(told, "setup", at("/setup#0123456789"));
  await inspect(told, "setup-without-code", at("/setup"), { once: true });
  await inspect(told, "new-password", at("/setup/password#0123456789"), { once: true });
  await inspect(told, "operators", at("/operators"), { context });
  await inspect(told, "account", at("/account"), { context });
  const id = await setup.locator("tbody a", { hasText: "Role" }).getAttribute("href");
  for (const [name, path] of [["invite", "/operators/invite"], ["role", id ?? ""],
    ["remove", (id ?? "").replace("/role", "/remove")], ["sign-out", "/operators/sign-out"]]) {
    await inspect(told, name, at(path), { context, once: true });
  }
  await inspect(told, "login-refused", at("/login"), {
    once: true, expected: REFUSED,
    prepare: async (page) => {
      await page.locator("#name").fill("Nobody");
      await page.locator("#password").fill("not the password");
      await page.locator("#password").press("Enter");
      await page.getByText("do not belong together").waitFor();
    },
  });
});

/**
 * Types into fields one after the other, by keyboard, and sends the form.
 * @param {import("playwright-core").Page} page
 * @param {string[]} texts
 */
async function type(page, texts) {
  for (const [n, text] of texts.entries()) {
    if (n > 0) await page.keyboard.press("Tab");
    await page.keyboard.press("Control+A");
    await page.keyboard.type(text);
  }
  await page.keyboard.press("Enter");
}

/**
 * The addresses of all forms that a page sends from now on.
 * @param {import("playwright-core").Page} page
 */
function posts(page) {
  /** @type {string[]} */
  const urls = [];
  page.on("request", (request) => { if (request.method() === "POST") urls.push(request.url()); });
  return urls;
}

/**
 * Every address that a page asks for from now on.
 * @param {import("playwright-core").Page} page
 */
function requests(page) {
  /** @type {string[]} */
  const urls = [];
  page.on("request", (request) => urls.push(request.url()));
  return urls;
}
