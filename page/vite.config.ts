// How the page is built: from `src/` and the sources of the verifier to `dist/`, always to the same bytes.

import { svelte } from "@sveltejs/vite-plugin-svelte";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

import { built } from "./plugins/built.ts";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

export default defineConfig({
  root: path("."),
  plugins: [svelte(), built()],
  resolve: {
    alias: { "mass-verifier": path("../verifier-js/src/index.ts") },
    // The verifier's sources lie outside of this folder; their packages are ours.
    dedupe: ["@noble/curves", "@noble/hashes", "@scure/sr25519"],
  },
  build: {
    target: ["chrome114", "firefox115", "safari16.4"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    license: false,
    // Names without hashes of their content: the built files are committed, and the server has tags for them. What several
    // views share is named apart, since some file systems do not tell `Blocks` from `blocks`.
    rolldownOptions: {
      output: {
        entryFileNames: "app/[name].js",
        chunkFileNames: (chunk) => (chunk.isDynamicEntry ? "app/[name].js" : "app/shared-[name].js"),
        assetFileNames: "app/[name][extname]",
      },
    },
  },
});
