/**
 * Starts src/host/main.ts. The sources are TypeScript that Node runs as it is from version 24 on; under an older Node the program starts itself
 * again with the one that the npm package "node" has put beside it. This file runs on any Node that knows modules.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire, enableCompileCache } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const OLDEST = 24;

export async function launch(program) {
  const version = Number(process.versions.node.split(".")[0]);
  if (version >= OLDEST) {
    // the sources are read as TypeScript: what that gives is kept for the next start
    enableCompileCache?.();
    const { main } = await import("../src/host/main.ts");
    process.exit(await main(program, process.argv.slice(2)));
  }
  const node = process.env.ARMATURE_RESTARTED ? null : pinnedNode();
  if (node === null) {
    process.stderr.write(
      `${program}: Node ${process.versions.node} is too old: expected ${OLDEST} or later; "npm ci" in ${root()} brings one along\n`,
    );
    process.exit(2);
  }
  const child = spawn(node, process.argv.slice(1), {
    stdio: "inherit",
    env: { ...process.env, ARMATURE_RESTARTED: "1" },
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    process.stderr.write(`${program}: ${node}: cannot be started: ${error.message}\n`);
    process.exit(2);
  });
  child.on("exit", (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : code));
}

function root() {
  return dirname(dirname(fileURLToPath(import.meta.url)));
}

function pinnedNode() {
  try {
    const require = createRequire(import.meta.url);
    const path = join(dirname(require.resolve("node/package.json")), "bin", "node");
    return existsSync(path) ? path : null;
  } catch {
    return null;
  }
}
