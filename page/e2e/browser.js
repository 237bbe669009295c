// Debian's Chromium, and pages of it in which every console error and every request to elsewhere is a failure.

import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
export const SHOTS = process.env.SHOTS ?? fileURLToPath(new URL("../screenshots", import.meta.url));
/** For the first answer of a view, on a machine that does other things, too. */
const PATIENCE = 30_000;

export const LOOKS = {
  light: { colorScheme: "light", viewport: { width: 1360, height: 900 } },
  dark: { colorScheme: "dark", viewport: { width: 1360, height: 900 } },
  phone: { colorScheme: "light", viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true },
};

export async function startBrowser(more = []) {
  await mkdir(SHOTS, { recursive: true });
  // Root runs the tests in containers, where Chromium's sandbox cannot be had.
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage", ...more] });
}

/** Opens the page in a context of its own, runs `test` with it, and then judges what the browser said meanwhile. */
export async function visit(browser, network, options, test) {
  const { look = "light", token = true, locale = "en-US", expected = [], before } = options;
  const context = await browser.newContext({ ...LOOKS[look], locale });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  const origin = new URL(network.url).origin;
  page.on("request", (request) => {
    if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith("blob:") && !request.url().startsWith("data:")) complaints.push(`a request to ${request.url()}`);
  });
  page.on("websocket", (socket) => {
    if (socket.url() !== `${origin.replace("http", "ws")}/ws`) complaints.push(`a socket to ${socket.url()}`);
  });
  try {
    await before?.(page);
    await page.goto(token ? `${network.url}#token=${network.token}` : network.url);
    await page.locator("main h1").first().waitFor({ state: "attached" });
    await test(page);
  } finally {
    await context.close();
  }
  const unexpected = complaints.filter((complaint) => !expected.some((one) => one.test(complaint)));
  assert.deepEqual(unexpected, [], "the browser complained");
}

/** Goes to a place within the page, without loading it anew. */
export async function go(page, place) {
  await page.evaluate((hash) => (location.hash = hash), `#/${place}`);
}

/** Faults that axe-core finds serious. */
export async function seriousFaults(page) {
  // Through the debugger, as the page's policy lets no script in.
  await page.evaluate(await readFile(AXE, "utf8"));
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations
    .filter((violation) => ["serious", "critical"].includes(violation.impact))
    .map((violation) => `${violation.id}: ${violation.nodes.map((node) => `${node.target} ${node.failureSummary}`).join(" | ")}`);
}
