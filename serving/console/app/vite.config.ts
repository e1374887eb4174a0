import { defineConfig } from "vite";

// The bundle is committed: no dates, no absolute paths, nothing that differs from one machine to the next.
export default defineConfig({
  base: "/",
  publicDir: false,
  build: {
    outDir: "../static",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    reportCompressedSize: true,
  },
});
