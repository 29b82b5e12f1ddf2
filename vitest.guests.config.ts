import { defineConfig } from "vitest/config";

/** The suite of real software: needs what `npm run guests` fetches. */
export default defineConfig({
  test: {
    include: ["test/guests/**/*.test.ts"],
    testTimeout: 180_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    reporters: ["verbose"],
  },
});
