/** Timing for the benches: the best of several rounds, for the machine is seldom idle. */

/** Millions of operations a second of `run`, which does `operations`; the best of ten rounds after one to warm up. */
export function best(run: () => unknown, operations: number, rounds = 10): number {
  run();
  let shortest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < rounds; i++) {
    const start = performance.now();
    run();
    shortest = Math.min(shortest, performance.now() - start);
  }
  return operations / shortest / 1000;
}

/** As `best`, by processor time of the whole process: other work on the machine disturbs it less, other threads of its own count. */
export function bestProcessor(run: () => unknown, operations: number, rounds = 10): number {
  run();
  let shortest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < rounds; i++) {
    const start = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(start);
    shortest = Math.min(shortest, (user + system) / 1000);
  }
  return operations / shortest / 1000;
}

/** The middle one, of an even number the upper of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** One line: what, how many millions a second, nanoseconds each, and the ratio to the aim where there is one. */
export function report(what: string, millions: number, aim?: number): void {
  const figures = `${millions.toFixed(1).padStart(8)} M/s ${(1000 / millions).toFixed(2).padStart(8)} ns`;
  console.log(
    `${what.padEnd(52)}${figures}${aim === undefined ? "" : `   ${(millions / aim).toFixed(2)} x aim of ${aim} M/s`}`,
  );
}
