import { defineConfig } from "vite";

// Names without hashes: the build is committed, and the server forbids stale caches.
export default defineConfig({
  base: "./",
  build: {
    outDir: "../bailando/engine/viewer/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rollupOptions: {
      output: {
        entryFileNames: "assets/[name].js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
      },
    },
  },
  server: { proxy: { "/ws": { target: "ws://127.0.0.1:8060", ws: true, changeOrigin: true } } },
});
