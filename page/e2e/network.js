// A running `mass dev` of two chains in a directory of its own, and what tests ask of it beside the page.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const PROGRAM = process.env.MASS ?? fileURLToPath(new URL("../../target/debug/mass", import.meta.url));
const START_MILLISECONDS = 180_000;

/** Starts a network; resolves once the address of its page is printed. */
export async function startNetwork() {
  const dir = await mkdtemp(join(tmpdir(), "mass-page-"));
  const child = spawn(PROGRAM, ["dev", "--chains", "2", "--plots", "24", "--dir", dir], { stdio: ["ignore", "pipe", "pipe"] });
  const lines = [];
  const nodes = {};
  const page = new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no page: ${lines.join("\n")}`)), START_MILLISECONDS);
    child.once("exit", (code) => reject(new Error(`mass dev ended with ${code}: ${lines.join("\n")}`)));
    const hear = (line) => {
      lines.push(line);
      const node = /^nodes of (\S+): (\S+)/.exec(line);
      if (node !== null) nodes[node[1]] = { url: node[2], cookie: join(dir, node[1], "node-1", ".cookie") };
      const found = /(http:\/\/127\.0\.0\.1:\d+\/)#token=([\w-]+)/.exec(line);
      if (found === null) return;
      clearTimeout(timer);
      resolve({ url: found[1], token: found[2] });
    };
    createInterface(child.stdout).on("line", hear);
    createInterface(child.stderr).on("line", hear);
  });
  try {
    const { url, token } = await page;
    return { dir, url, token, nodes, lines, stop: () => stop(child, dir) };
  } catch (error) {
    await stop(child, dir);
    throw error;
  }
}

async function stop(child, dir) {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill("SIGINT");
    await once(child, "exit");
  }
  await rm(dir, { recursive: true, force: true });
}

/** Calls a method of a node's own RPC, with the cookie that it wrote beside its data. */
export async function rpc({ url, cookie }, method, params = []) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Basic ${Buffer.from(await readFile(cookie, "utf8")).toString("base64")}` },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  const { result, error } = await answer.json();
  if (error !== undefined) throw new Error(`${method}: ${error.message}`);
  return result;
}
