import vm from "node:vm";
import { build } from "esbuild";
import { expect, it } from "vitest";
import { ROOT, sources } from "./sources.ts";

/** Everything below src/host in one script for a browser; esbuild fails where a file asks for a module of Node. */
async function bundle(): Promise<{ text: string; inputs: string[] }> {
  const files = sources("src", "platform").filter((s) => !s.path.startsWith("src/host/"));
  const entry = files.map((s, i) => `export * as m${i} from ${JSON.stringify(`./${s.path}`)};`).join("\n");
  const names = files.map((s) => s.path);
  const result = await build({
    stdin: { contents: `${entry}\nexport const paths = ${JSON.stringify(names)};`, resolveDir: ROOT },
    bundle: true,
    format: "iife",
    globalName: "armature",
    platform: "browser",
    target: "es2024",
    write: false,
    metafile: true,
    logLevel: "silent",
  });
  return { text: result.outputFiles[0]?.text ?? "", inputs: Object.keys(result.metafile.inputs) };
}

it("the core bundles for the browser, and runs where there is nothing but ECMAScript and WebAssembly", async () => {
  const { text, inputs } = await bundle();
  expect(inputs.filter((path) => path.startsWith("src/host/"))).toEqual([]);
  // What every browser has beside ECMAScript; no process, Buffer, timers or clock.
  const globals = { WebAssembly, TextDecoder, TextEncoder };
  const context = vm.createContext({ ...globals });
  vm.runInContext(text, context, { filename: "armature.js" });
  const reached = vm.runInContext(
    `(() => {
      const module = (path) => armature["m" + armature.paths.indexOf(path)];
      const { Simulation } = module("src/sim/index.ts");
      const { Arena, Memory, Port, Router } = module("src/bus/index.ts");
      const { Sp804 } = module("src/devices/sp804/index.ts");
      const simulation = new Simulation({ seed: 3 });
      const arena = new Arena();
      const bus = new Router(simulation, "bus");
      bus.map({ name: "ram", base: 0x40000000, size: 0x100000, target: new Memory(simulation, "ram", arena, { size: 0x100000 }) });
      const timer = new Sp804(simulation, "timer0", { timclk: 1000000 });
      bus.map({ name: "timer0", base: 0xc000000, size: 0x1000, target: timer.registers });
      simulation.reset();
      const port = new Port(bus, arena);
      port.write(0xc000000, 4, 1000);
      port.write(0xc000008, 4, 0xe2);
      simulation.run(20000000);
      port.write(0x40000100, 4, port.read(0xc000010, 4) + 41);
      return [port.read(0x40000100, 4), simulation.now];
    })()`,
    context,
  );
  // 1,000 cycles of 1 MHz have passed within 2 ms, so the raw interrupt status reads 1.
  expect([...(reached as number[])]).toEqual([42, 20_000_000]);
});
