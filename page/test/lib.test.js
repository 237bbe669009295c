// The page's own arithmetic and texts, as Vite gives them to a browser.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { createServer } from "vite";

const root = fileURLToPath(new URL("..", import.meta.url));
let server;
const load = (name) => server.ssrLoadModule(`/src/lib/${name}.ts`);

before(async () => {
  // What a browser has and Node.js has not.
  globalThis.localStorage ??= { getItem: () => null };
  server = await createServer({ root, logLevel: "error", server: { middlewareMode: true, ws: false, hmr: false, watch: null }, optimizeDeps: { noDiscovery: true } });
});
after(() => server.close());

test("every language has the same words with the same holes", async () => {
  const files = (await readdir(`${root}/languages`)).filter((name) => name.endsWith(".json"));
  const all = await Promise.all(files.map(async (name) => [name, JSON.parse(await readFile(`${root}/languages/${name}`, "utf8"))]));
  const english = all.find(([name]) => name === "en.json")[1];
  const holes = (text) => [...text.matchAll(/\{\w+\}/g)].map(([hole]) => hole).sort().join();
  assert.ok(all.length >= 2);
  for (const [name, words] of all) {
    assert.deepEqual(Object.keys(words).sort(), Object.keys(english).sort(), name);
    for (const [key, text] of Object.entries(words)) assert.equal(holes(text), holes(english[key]), `${name}: ${key}`);
  }
});

test("every word of the languages is used", async () => {
  const files = (await readdir(`${root}/src`, { recursive: true })).filter((name) => /\.(svelte|ts)$/.test(name));
  const source = (await Promise.all(files.map((name) => readFile(`${root}/src/${name}`, "utf8")))).join("\n");
  const english = JSON.parse(await readFile(`${root}/languages/en.json`, "utf8"));
  // Names of nodes and of lists are put together while the page runs.
  const made = /^(finding|tip|category|check|nav|line|theme|explorer|send|rounds)\./;
  const unused = Object.keys(english).filter((key) => !made.test(key) && !source.includes(`"${key}"`) && !source.includes(`'${key}'`));
  assert.deepEqual(unused, []);
});

test("amounts are exact", async () => {
  const { coinsOf, coinText, unitsOf } = await load("format");
  for (const [units, text] of [[0, "0.0000000"], [1, "0.0000001"], [-12_345_678n, "-1.2345678"], [2_064_384_000_000_000n, "206438400.0000000"]]) {
    assert.equal(coinsOf(units), text);
    assert.equal(unitsOf(text.replace("-", "")), BigInt(units) < 0n ? -BigInt(units) : BigInt(units));
  }
  assert.equal(coinText(0.0000281), "0.0000281");
  assert.equal(coinText(206_438_399.9999999), "206438399.9999999");
  let dice = 1n;
  for (let n = 0; n < 20_000; n++) {
    dice = (dice * 6_364_136_223_846_793_005n + 1n) % 2n ** 64n;
    const units = (dice >> 12n) % 2_064_384_000_000_000n;
    assert.equal(coinText(Number(coinsOf(units))), coinsOf(units), "what JSON carries is what is shown");
  }
  for (const wrong of ["", "1.00000001", "-1", "1e5", "0x10", "1.2.3", "9".repeat(13)]) assert.equal(unitsOf(wrong), undefined, wrong);
});

test("whole numbers that no double holds stay whole", async () => {
  const { parse } = await load("json");
  const { slot, near } = parse('{"slot":18446744073709551615,"near":7}');
  // Browsers show the digits to the reader; where they are not shown, the nearest double comes.
  assert.ok(slot === 18_446_744_073_709_551_615n || slot === 2 ** 64);
  assert.equal(near, 7);
});

test("bytes from the chain are shown without signs that steer", async () => {
  const { textOf } = await load("format");
  assert.equal(textOf(Buffer.from("a\u202eb\u0000c\u200b").toString("hex")), "a\ufffdb\ufffdc\ufffd");
  assert.equal(textOf("fffe41"), "\ufffd\ufffdA");
  assert.equal(textOf(Buffer.from("大众").toString("hex")), "大众");
  assert.equal(textOf("zz"), "\ufffd");
});

test("a PSBT goes through QR codes and back, in any order", async () => {
  const { Joiner, split, toBase64, isPsbt } = await load("bbqr");
  const { default: encode } = await server.ssrLoadModule("qr");
  const { default: decode } = await server.ssrLoadModule("qr/decode.js");
  for (const length of [5, 299, 300, 301, 4_000]) {
    const psbt = toBase64(Uint8Array.from({ length }, (_, at) => (at < 5 ? [0x70, 0x73, 0x62, 0x74, 0xff][at] : (at * 7) & 255)));
    const codes = split(psbt).reverse();
    const joiner = new Joiner();
    let whole;
    for (const code of codes) {
      assert.ok(encode(code, "raw").length <= 97, "a code that a camera reads");
      whole = await joiner.take(code);
      assert.equal(whole === undefined, joiner.got < codes.length);
    }
    assert.equal(whole, psbt);
  }
  assert.equal(await new Joiner().take("B$2P0105AAAA"), undefined, "a part beyond the last");
  assert.equal(isPsbt("<script>"), false);
  const rows = encode("B$2P0100OBZWE5H7", "raw", { border: 4 });
  const scale = 4;
  const side = rows.length * scale;
  const data = new Uint8Array(side * side * 4).map((_, at) => {
    const [pixel, part] = [Math.floor(at / 4), at % 4];
    const dark = rows[Math.floor(Math.floor(pixel / side) / scale)][Math.floor((pixel % side) / scale)];
    return part === 3 ? 255 : dark ? 0 : 255;
  });
  assert.equal(decode({ width: side, height: side, data }), "B$2P0100OBZWE5H7");
});

test("BBQr codes of other makers are read: hexadecimal and deflated", async () => {
  const { Joiner, toBase64 } = await load("bbqr");
  const { deflateRawSync } = await import("node:zlib");
  const bytes = Uint8Array.from([0x70, 0x73, 0x62, 0x74, 0xff, ...Array(200).fill(7)]);
  assert.equal(await new Joiner().take(`B$HP0100${Buffer.from(bytes).toString("hex").toUpperCase()}`), toBase64(bytes));
  const base32 = (buffer) => {
    const bits = [...buffer].map((byte) => byte.toString(2).padStart(8, "0")).join("");
    return bits.match(/.{1,5}/g).map((five) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[Number.parseInt(five.padEnd(5, "0"), 2)]).join("");
  };
  assert.equal(await new Joiner().take(`B$ZP0100${base32(deflateRawSync(bytes))}`), toBase64(bytes));
  const bomb = deflateRawSync(Buffer.alloc(4 << 20));
  await assert.rejects(new Joiner().take(`B$ZP0100${base32(bomb)}`), /more than/);
});

test("branches have lanes of their own up to where they leave", async () => {
  const { lanesOf } = await load("forks");
  const header = (hash, previousblockhash) => ({ hash, previousblockhash });
  const placed = lanesOf([[header("c", "b"), header("b", "a"), header("a", "x")], [header("d", "b"), header("b", "a")]]);
  assert.deepEqual(placed.map((block) => [block.header.hash, block.lane, block.parent?.header.hash]), [["a", 0, undefined], ["b", 0, "a"], ["c", 0, "b"], ["d", 1, "b"]]);
});
