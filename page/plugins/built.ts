// After a build: writes down which sources it came from and what it made, so that a machine without Node.js can tell
// whether the one still belongs to the other, and holds what a browser loads at first to its limit.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

import type { Plugin } from "vite";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const LIST = "page/built.sha256";

/** All that a build reads, as `xtask/src/tidy/page.rs` knows it too. */
const SOURCES = [
  "page/index.html",
  "page/languages",
  "page/package-lock.json",
  "page/package.json",
  "page/plugins",
  "page/public",
  "page/src",
  "page/tsconfig.json",
  "page/vite.config.ts",
  "verifier-js/src",
];
const DIST = "page/dist";

/** Bytes that the first view may load, uncompressed. */
const FIRST_BYTES_MAX = 300_000;

function filesUnder(path: string): string[] {
  const full = join(ROOT, path);
  if (!statSync(full).isDirectory()) return [path];
  return readdirSync(full, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)).split(sep).join("/"));
}

function line(path: string): string {
  return `${createHash("sha256").update(readFileSync(join(ROOT, path))).digest("hex")}  ${path}\n`;
}

interface Chunk {
  readonly type: string;
  readonly fileName: string;
  readonly isEntry?: boolean;
  readonly imports?: readonly string[];
  readonly code?: string;
  readonly source?: string | Uint8Array;
}

/** What a browser loads before anybody has clicked: the page, its scripts with what they import at once, its styles. */
function firstBytes(bundle: Readonly<Record<string, Chunk>>): number {
  const wanted = new Set<string>();
  const want = (name: string): void => {
    if (wanted.has(name)) return;
    wanted.add(name);
    for (const other of bundle[name]?.imports ?? []) want(other);
  };
  for (const chunk of Object.values(bundle)) {
    if (chunk.isEntry === true || /(^|\/)index\.(html|css)$/.test(chunk.fileName)) want(chunk.fileName);
    if (/\/(Farm|en)\.(js|css)$/.test(chunk.fileName)) want(chunk.fileName);
  }
  return [...wanted].reduce((sum, name) => sum + Buffer.byteLength(bundle[name]?.code ?? bundle[name]?.source ?? ""), 0);
}

export function built(): Plugin {
  let first = 0;
  return {
    name: "built",
    apply: "build",
    writeBundle(_, bundle) {
      first = firstBytes(bundle as unknown as Readonly<Record<string, Chunk>>);
    },
    closeBundle() {
      const all = [...SOURCES, DIST].flatMap(filesUnder).sort();
      writeFileSync(join(ROOT, LIST), all.map(line).join(""));
      console.log(`the first view loads ${first} bytes, of ${FIRST_BYTES_MAX} allowed`);
      if (first > FIRST_BYTES_MAX) throw new Error(`the first view loads ${first} bytes`);
    },
  };
}
