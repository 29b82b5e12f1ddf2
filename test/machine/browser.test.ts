import vm from "node:vm";
import { expect, it } from "vitest";
import { bundle, sample } from "./browser.ts";

it("a snapshot of Node's goes on where there is nothing but ECMAScript and WebAssembly, to the same state", async () => {
  const { file, kernel, expected } = sample();
  expect(expected.output).toContain(", 0 failed");
  // What every browser has; no process, Buffer, timers or clock.
  const context = vm.createContext({ WebAssembly, TextDecoder, TextEncoder, file, kernel });
  vm.runInContext(await bundle(), context, { filename: "armature.js" });
  expect({ ...(vm.runInContext("armature.goOn(file, kernel)", context) as object) }).toEqual(expected);
});
