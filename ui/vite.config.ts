import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

// The server puts <base href="…"> into the page it serves; in development nobody else does.
const devBase: Plugin = {
  name: "dev-base",
  apply: "serve",
  transformIndexHtml: (html) => html.replace("<head>", '<head><base href="/">'),
};

export default defineConfig({
  base: "./",
  plugins: [react(), tailwindcss(), devBase],
  server: { proxy: { "/api": process.env["FEATLAS_DEV_API"] ?? "http://127.0.0.1:8000" } },
  build: { outDir: "../src/featlas/web", emptyOutDir: true, target: "es2022", reportCompressedSize: true },
  test: { include: ["tests/**/*.test.{ts,tsx}"] },
});
