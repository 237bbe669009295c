// The page in a real browser against a running network of two chains: what is done in each view, and what the browser says.

import assert from "node:assert/strict";
import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { cameraOf, codesOf } from "./camera.js";
import { go, LOOKS, seriousFaults, SHOTS, startBrowser, visit } from "./browser.js";
import { rpc, startNetwork } from "./network.js";
import { dataOutput, psbtOf } from "./psbt.js";

let [network, browser] = [];

before(async () => {
  [network, browser] = await Promise.all([startNetwork(), startBrowser()]);
  await waitFor(async () => (await rpc(network.nodes.dev, "getblockcount")) > 2);
});

after(async () => {
  await browser?.close();
  await network?.stop();
});

async function waitFor(holds, milliseconds = 120_000) {
  const end = Date.now() + milliseconds;
  while (!(await holds())) {
    assert.ok(Date.now() < end, `in ${milliseconds} ms it did not become so: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

/** Calls what the page may call, in the page's own session. */
function inPage(page, to, method, params, wallet) {
  return page.evaluate(
    ([to, method, params, wallet, token]) =>
      new Promise((resolve, reject) => {
        const socket = new WebSocket(`ws://${location.host}/ws`);
        socket.onopen = () => socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "page_call", params: { to, method, params, wallet, token } }));
        socket.onmessage = ({ data }) => {
          const { result, error } = JSON.parse(data);
          socket.close();
          if (error === undefined) resolve(result);
          else reject(new Error(`${method}: ${error.message}`));
        };
      }),
    [to, method, params, wallet, network.token],
  );
}

/** Stands between the page and its server; `change` may put other answers in the place of the true ones. */
async function between(page, change) {
  const sockets = [];
  await page.routeWebSocket(/\/ws$/, (socket) => {
    const server = socket.connectToServer();
    const asked = new Map();
    socket.onMessage((text) => {
      const message = JSON.parse(text);
      asked.set(message.id, message);
      server.send(text);
    });
    server.onMessage((text) => {
      const answer = JSON.parse(text);
      socket.send(change === undefined ? text : (change(asked.get(answer.id)?.params ?? {}, answer) ?? text));
    });
    sockets.push(socket);
  });
  return sockets;
}

/** Each view: its place, and what is there once it has its data. */
async function places() {
  const tip = await rpc(network.nodes.dev, "getblockcount");
  const block = await rpc(network.nodes.dev, "getblockhash", [tip]);
  const genesis = await rpc(network.nodes.dev, "getblock", [await rpc(network.nodes.dev, "getblockhash", [0]), 2]);
  const address = genesis.tx.flatMap((tx) => tx.vout).find((output) => output.scriptPubKey.address !== undefined).scriptPubKey.address;
  const { tx, farmer } = await rpc(network.nodes.dev, "getblock", [block, 1]);
  return [
    ["farm", "farm", "table.earnings tbody tr"],
    ["blocks", "explorer/dev", "table.blocks tbody tr"],
    ["block", `explorer/dev/block/${block}`, ".seal"],
    ["transaction", `explorer/dev/tx/${tx[0]}`, "#outputs"],
    ["address", `explorer/dev/address/${address}`, "#history"],
    ["farmer", `explorer/dev/farmer/${farmer}`, "#pending"],
    ["mempool", "explorer/dev/mempool", "#bands"],
    ["charts", "explorer/dev/charts", ".chart canvas"],
    ["forks", "explorer/dev/forks", "svg.forks circle"],
    ["bans", "explorer/dev/bans", "#bans"],
    ["wallet", "wallet/dev", "#history"],
    ["peers", "peers/dev", "svg.map .peer"],
  ];
}

describe("every view", () => {
  for (const look of Object.keys(LOOKS)) {
    test(`opens in ${look} without a serious fault of accessibility`, async () => {
      await visit(browser, network, { look }, async (page) => {
        const faults = [];
        for (const [name, place, there] of await places()) {
          await go(page, place);
          await page.locator(there).first().waitFor();
          const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
          if (wide > 0) faults.push(`${name} is ${wide} pixels too wide`);
          await page.screenshot({ path: join(SHOTS, `${name}-${look}.png`), fullPage: true });
          faults.push(...(await seriousFaults(page)).map((fault) => `${name}: ${fault}`));
        }
        assert.deepEqual(faults, []);
      });
    });
  }
});

test("a block appears without a reload", async () => {
  await visit(browser, network, {}, async (page) => {
    await go(page, "explorer/dev");
    const top = page.locator("table.blocks tbody tr td").first();
    await top.waitFor();
    await page.evaluate(() => (globalThis.sameDocument = true));
    const first = Number((await top.textContent()).replaceAll(",", ""));
    await page.waitForFunction((first) => Number(document.querySelector("table.blocks tbody td").textContent.replaceAll(",", "")) > first, first, { timeout: 120_000 });
    assert.equal(await page.evaluate(() => globalThis.sameDocument), true);
  });
});

test("a payment is sent and seen to confirm", async () => {
  await visit(browser, network, {}, async (page) => {
    await go(page, "wallet/dev");
    await page.getByRole("button", { name: "friend", exact: true }).click();
    await page.locator("section:has(#receive) input").fill("from the test");
    await page.getByRole("button", { name: "New address" }).click();
    const address = await page.getByTestId("address").textContent();
    await page.getByRole("button", { name: "faucet", exact: true }).click();
    const send = page.locator("section:has(#send)");
    await send.getByLabel("To", { exact: true }).fill(address);
    await send.getByLabel("Amount").fill("12.3456789");
    await send.getByRole("button", { name: "Review" }).click();
    assert.ok((await send.locator(".review").textContent()).includes("12.3456789"));
    await send.getByRole("button", { name: "Sign and send" }).click();
    await send.getByText("sent", { exact: true }).waitFor();
    await page.getByRole("button", { name: "friend", exact: true }).click();
    const row = page.locator("table.history tbody tr", { hasText: "12.3456789" });
    await row.getByText("from the test").waitFor();
    await row.getByText(/^confirmed/).waitFor({ timeout: 120_000 });
  });
});

test("a wallet that is closed stays closed, for another program, until it is opened again", async () => {
  await visit(browser, network, {}, async (page) => {
    await go(page, "wallet/dev");
    await page.getByRole("button", { name: "friend", exact: true }).click();
    await page.getByRole("button", { name: "Close this wallet" }).click();
    const open = page.getByRole("button", { name: "Open", exact: true });
    await open.waitFor();
    assert.ok(!(await inPage(page, "wallet:dev", "listwallets", [])).includes("friend"));
    await open.click();
    await page.locator("#history").waitFor();
  });
});

test("a PSBT comes through the camera, code by code, and is signed", async () => {
  const wallet = "wallet:dev";
  const dir = await mkdtemp(join(tmpdir(), "mass-camera-"));
  let psbt;
  await visit(browser, network, {}, async (page) => {
    await inPage(page, wallet, "loadwallet", ["faucet"]).catch(() => undefined);
    const address = await inPage(page, wallet, "getnewaddress", [], "faucet");
    ({ psbt } = await inPage(page, wallet, "walletcreatefundedpsbt", [[], [{ [address]: 3.21 }]], "faucet"));
  });
  const [codes, torn] = [codesOf(psbt, 3), "B$2P0100THIS IS NOT BASE 32: 0189"];
  const seeing = await startBrowser(await cameraOf(join(dir, "codes.y4m"), [torn, ...codes.toReversed()]));
  try {
    await visit(seeing, network, {}, async (page) => {
      await go(page, "wallet/dev");
      await page.getByRole("button", { name: "faucet", exact: true }).click();
      const card = page.locator("section:has(#psbt)");
      await card.getByRole("button", { name: "Scan a QR code" }).click();
      await card.getByText("the code has a sign that is not of base 32").waitFor();
      await card.getByText("3.21", { exact: false }).first().waitFor();
      assert.ok(await card.locator("video").isHidden(), "the camera is off");
      await card.getByRole("button", { name: "Sign", exact: true }).click();
      await card.getByRole("button", { name: "Send", exact: true }).waitFor();
    });
  } finally {
    await seeing.close();
    await rm(dir, { recursive: true });
  }
});

test("a block is verified in the browser, and a changed one is refused", async () => {
  // The first block, one within a period, one that begins a period, and one that inherits its seeds.
  await waitFor(async () => (await rpc(network.nodes.dev, "getblockcount")) >= 16 && (await rpc(network.nodes.dev2, "getblockcount")) >= 3, 300_000);
  await visit(browser, network, {}, async (page) => {
    for (const [chain, height] of [["dev", 1], ["dev", 5], ["dev", 16], ["dev2", 3]]) {
      const id = await rpc(network.nodes[chain], "getblockhash", [height]);
      await go(page, `explorer/${chain}/block/${id}`);
      await page.getByRole("heading", { level: 1, name: `Block ${height}`, exact: true }).waitFor();
      await page.getByRole("button", { name: "Verify here" }).click();
      await page.locator(".verdict").waitFor();
      assert.deepEqual(await page.locator(".checks li.bad").allTextContents(), [], `${chain} ${height}`);
      assert.equal(await page.locator(".checks li.good").count(), 9);
      await page.locator(".verdict").getByText("holds", { exact: true }).waitFor();
    }
    await page.screenshot({ path: join(SHOTS, "verified-light.png"), fullPage: true });
  });
  const id = await rpc(network.nodes.dev, "getblockhash", [2]);
  const flip = (params, answer) => {
    if (params.method !== "mass_blocks") return undefined;
    // A nibble of the claim, behind the 80 bytes of the header.
    const [hex] = answer.result;
    const changed = hex.slice(0, 400) + (hex[400] === "0" ? "1" : "0") + hex.slice(401);
    return JSON.stringify({ ...answer, result: [changed] });
  };
  await visit(browser, network, { before: (page) => between(page, flip) }, async (page) => {
    await go(page, `explorer/dev/block/${id}`);
    await page.getByRole("button", { name: "Verify here" }).click();
    await page.locator(".verdict").getByText("does not hold").waitFor();
  });
});

test("a disk that is taken away is a finding within a round", async () => {
  const plots = join(network.dir, "plots");
  await visit(browser, network, {}, async (page) => {
    await page.getByText("Nothing was found").or(page.locator(".finding")).first().waitFor();
    await rename(plots, `${plots}-away`);
    const start = Date.now();
    try {
      const finding = page.locator(".finding.error", { hasText: plots });
      await finding.waitFor({ timeout: 60_000 });
      // A round of dev has 16 slots of a second; it begins at any time of the one before.
      assert.ok(Date.now() - start < 32_000, `it took ${Date.now() - start} ms`);
      await finding.getByText("To do:").waitFor();
      await page.screenshot({ path: join(SHOTS, "finding-light.png"), fullPage: true });
    } finally {
      await rename(`${plots}-away`, plots);
    }
    await page.locator(".finding.error", { hasText: plots }).waitFor({ state: "detached", timeout: 90_000 });
  });
});

test("plotting is started, paused, gone on with and ended", async () => {
  await visit(browser, network, {}, async (page) => {
    const plotting = page.locator("section:has(#plotting)");
    // So many that they are not made before somebody pauses.
    await plotting.getByLabel("Plots", { exact: true }).fill("400");
    await plotting.getByRole("button", { name: "Start plotting" }).click();
    await plotting.getByText(/ of 400 plots/).first().waitFor();
    await plotting.getByRole("button", { name: "Pause" }).click();
    await plotting.getByText("paused", { exact: true }).waitFor();
    await plotting.getByRole("button", { name: "Go on" }).click();
    await plotting.getByText("paused", { exact: true }).waitFor({ state: "detached" });
    await page.screenshot({ path: join(SHOTS, "plotting-light.png"), fullPage: true });
    await plotting.getByRole("button", { name: "End" }).click();
    await plotting.getByRole("button", { name: "End" }).waitFor({ state: "detached" });
  });
});

const HOSTILE = [
  Buffer.from('<script>globalThis.stolen = "script"</script><b>bold</b>'),
  Buffer.from("<img src=x onerror=\"globalThis.stolen='image'\"><style>*{display:none}"),
  Buffer.concat([Buffer.from("broken "), Buffer.from([0xff, 0xfe, 0xc0, 0x80, 0xed, 0xa0, 0x80]), Buffer.from(" utf-8")]),
  Buffer.from("\u202e\u2066turned around\u0000\u0007{{7*7}}${1+1}", "utf8"),
];

test("hostile data in a transaction is text and never runs", async () => {
  await visit(browser, network, {}, async (page) => {
    const wallet = "wallet:dev";
    await inPage(page, wallet, "loadwallet", ["faucet"]).catch(() => undefined);
    for (const bytes of HOSTILE) {
      const coins = await inPage(page, wallet, "listunspent", [1], "faucet");
      const coin = coins.toSorted((a, b) => b.amount - a.amount)[0];
      const own = Buffer.from(coin.scriptPubKey, "hex");
      const many = Array.from({ length: 1_500 }, () => ({ amount: 1_000n, script: own }));
      const change = BigInt(Math.round(coin.amount * 1e7)) - 1_500n * 1_000n - 1_000_000n;
      const previous = await rpc(network.nodes.dev, "getrawtransaction", [coin.txid]);
      const psbt = psbtOf(coin, previous, [dataOutput(bytes), { amount: change, script: own }, ...many]);
      const { hex } = await inPage(page, wallet, "walletprocesspsbt", [psbt], "faucet");
      const txid = await inPage(page, "node:dev", "sendrawtransaction", [hex]);
      await go(page, `explorer/dev/tx/${txid}`);
      const shown = page.getByTestId("data");
      await shown.waitFor();
      const expected = new TextDecoder().decode(bytes).replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}]/gu, "\ufffd");
      assert.equal(await shown.textContent(), expected);
      assert.equal(await shown.locator("*").count(), 0, "it is one text");
      await page.getByRole("button", { name: /Show more/ }).click();
      assert.equal(await page.evaluate(() => globalThis.stolen), undefined);
      await waitFor(async () => (await rpc(network.nodes.dev, "getrawtransaction", [txid, 1])).confirmations > 0);
    }
    await page.screenshot({ path: join(SHOTS, "hostile-light.png") });
  });
});

test("a hostile node's answers are text and never run", async () => {
  const evil = '<img src=x onerror="globalThis.stolen=1">\u202e<script>globalThis.stolen=1</script>';
  const output = (n) => ({ n, value: 206_438_400, scriptPubKey: { asm: evil, hex: "6aff", type: n % 2 === 0 ? evil : "nulldata", address: undefined } });
  const change = ({ method }, answer) => {
    if (answer.result === undefined) return undefined;
    if (method === "getrawtransaction") {
      const result = { ...answer.result, txid: evil, size: 1, vsize: 0, version: 0, locktime: 0, vin: [{ coinbase: evil, sequence: 0 }], vout: Array.from({ length: 10_000 }, (_, n) => output(n)) };
      // Numbers that no double holds, written as JSON has them.
      return JSON.stringify({ ...answer, result }).replace('"locktime":0', '"locktime":99999999999999999999999999').replace('"version":0', '"version":-170141183460469231731687303715884105728');
    }
    if (method === "getpeerinfo") {
      const result = answer.result.map((peer) => ({ ...peer, subver: evil, addr: evil, peerid: evil, pingtime: 1e300, bytessent: 1e308 }));
      return JSON.stringify({ ...answer, result });
    }
    if (method === "mass_farmDoctor") {
      const finding = { kind: evil, severity: "error", subject: evil, file: evil, problem: evil.repeat(50), action: evil };
      return JSON.stringify({ ...answer, result: { ...answer.result, findings: [finding] } });
    }
    return undefined;
  };
  await visit(browser, network, { before: (page) => between(page, change) }, async (page) => {
    await page.locator(".finding.error").first().waitFor();
    await go(page, "peers/dev");
    await page.locator("table tbody tr").first().waitFor();
    assert.ok((await page.locator("table tbody tr").first().textContent()).includes("<script>"));
    const id = await rpc(network.nodes.dev, "getblockhash", [1]);
    const { tx } = await rpc(network.nodes.dev, "getblock", [id, 1]);
    await go(page, `explorer/dev/tx/${tx[0]}`);
    await page.getByText("99,999,999,999,999,999,999,999,999").waitFor();
    await page.getByText("170,141,183,460,469,231,731,687,303,715,884,105,728").waitFor();
    assert.equal(await page.locator("section:has(#outputs) li").count(), 50);
    assert.equal(await page.locator("main img, main script").count(), 0);
    assert.equal(await page.evaluate(() => globalThis.stolen), undefined);
  });
});

test("a connection that is lost is said to be, and comes back", async () => {
  let sockets = [];
  await visit(browser, network, { before: async (page) => (sockets = await between(page)) }, async (page) => {
    await page.locator(".state.open").waitFor();
    await sockets.at(-1).close({ code: 1001 });
    await page.locator(".state.lost").waitFor();
    await page.locator(".state.open").waitFor();
    await go(page, "explorer/dev");
    await page.locator("table.blocks tbody tr").first().waitFor();
  });
});

test("the language is the browser's, and can be another", async () => {
  await visit(browser, network, { locale: "zh-CN" }, async (page) => {
    await page.getByRole("link", { name: "农场" }).first().waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.lang), "zh");
    await page.locator(".earnings tbody tr").first().waitFor();
    await page.screenshot({ path: join(SHOTS, "farm-chinese.png"), fullPage: true });
    await page.locator(".foot select").first().selectOption("en");
    await page.getByRole("link", { name: "Farm", exact: true }).first().waitFor();
    await page.locator(".foot select").last().selectOption("dark");
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
    await page.reload();
    await page.getByRole("link", { name: "Farm", exact: true }).first().waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  });
});

test("all can be done with the keyboard, and the search finds anything", async () => {
  const id = await rpc(network.nodes.dev, "getblockhash", [1]);
  const { tx, farmer } = await rpc(network.nodes.dev, "getblock", [id, 1]);
  const genesis = await rpc(network.nodes.dev, "getblock", [await rpc(network.nodes.dev, "getblockhash", [0]), 2]);
  const address = genesis.tx.flatMap((tx) => tx.vout).find((output) => output.scriptPubKey.address !== undefined).scriptPubKey.address;
  await visit(browser, network, {}, async (page) => {
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
    for (let n = 0; n < 6; n++) await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.type), "search");
    for (const [text, heading] of [["1", "Block 1"], [id, "Block 1"], [tx[0], "Transaction"], [address, "Address"], [farmer, "Farmer"]]) {
      await page.locator("input[type=search]").focus();
      await page.keyboard.type(text);
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { level: 1, name: heading, exact: true }).waitFor();
      await go(page, "explorer/dev/bans");
      await page.locator("#bans").waitFor();
    }
    await page.locator("input[type=search]").fill("no such thing");
    await page.keyboard.press("Enter");
    await page.getByText("Nothing of that name").waitFor();
  });
});

test("without the token nothing can be changed", async () => {
  await visit(browser, network, { token: false }, async (page) => {
    await go(page, "wallet/dev");
    await page.getByText("only to who opens the page with its token").waitFor();
    await assert.rejects(inPageWithout(page, "wallet:dev", "listwallets", []), /token/);
    await assert.rejects(inPageWithout(page, "node:dev", "stop", []), /may not call/);
  });
});

function inPageWithout(page, to, method, params) {
  const { token } = network;
  network.token = undefined;
  const answer = inPage(page, to, method, params);
  network.token = token;
  return answer;
}

test("the token leaves the address", async () => {
  await visit(browser, network, {}, async (page) => {
    assert.ok(!page.url().includes(network.token));
    assert.equal(await page.evaluate(() => sessionStorage.getItem("token")), network.token);
  });
});

test("the first paint is quick, little is loaded, and nothing moves", async () => {
  const watch = (page) =>
    page.addInitScript(() => {
      [globalThis.shift, globalThis.moved] = [0, []];
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries().filter((entry) => !entry.hadRecentInput)) {
          globalThis.shift += entry.value;
          const what = entry.sources.map(({ node }) => node?.outerHTML?.slice(0, 80) ?? node?.textContent?.slice(0, 80));
          globalThis.moved.push(`${entry.value.toFixed(4)} at ${Math.round(entry.startTime)} ms: ${what.join(" ")}`);
        }
      }).observe({ type: "layout-shift", buffered: true });
    });
  await visit(browser, network, { before: watch }, async (page) => {
    await page.locator("table.earnings tbody tr").first().waitFor();
    const [paint, bytes] = await page.evaluate(() => [
      performance.getEntriesByName("first-contentful-paint")[0].startTime,
      performance.getEntriesByType("resource").reduce((sum, entry) => sum + entry.decodedBodySize, 0),
    ]);
    for (const place of ["explorer/dev", "explorer/dev/mempool", "peers/dev", "farm"]) {
      await go(page, place);
      // Long enough for blocks to come, and for the half second after a click in which shifts are forgiven.
      const height = await rpc(network.nodes.dev, "getblockcount");
      await waitFor(async () => (await rpc(network.nodes.dev, "getblockcount")) > height + 1);
    }
    const [shift, moved] = await page.evaluate(() => [globalThis.shift, globalThis.moved]);
    console.log(`first paint after ${Math.round(paint)} ms, ${bytes} bytes loaded, layout shift ${shift.toFixed(4)}`);
    assert.ok(bytes < 300_000, `${bytes} bytes`);
    assert.ok(paint < 1_000, `${paint} ms`);
    assert.ok(shift < 0.02, `a shift of ${shift}: ${moved.join("; ")}`);
  });
});
