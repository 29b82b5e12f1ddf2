/** Twins of the cases of processes.cpp about spawning, process control and resets. */
import { type Event, type ProcessOptions, type Thread, type ThreadProcess, wait } from "../../../src/sim/index.ts";
import { type Bench, type Case, later, on } from "./bench.ts";

function counter(b: Bench, name: string, options: ProcessOptions): ThreadProcess {
  return b.thread(
    name,
    function* () {
      b.say("reset state");
      for (let n = 1; ; n++) {
        yield wait();
        b.say(`count ${n}`);
      }
    },
    options,
  );
}

function ticking(b: Bench, clk: Event, times: number): void {
  b.thread("clock", function* () {
    for (let i = 0; i < times; i++) {
      yield wait(10);
      clk.notify();
    }
  });
}

/** The body with its unwinding announced; SystemC tells a reset from a kill in the exception it throws. */
function* announced(b: Bench, self: ThreadProcess, body: () => Thread): Thread {
  let done = false;
  try {
    yield* body();
    done = true;
  } finally {
    if (!done) b.say(self.killed ? "killed" : "reset");
  }
}

export const controlCases: Record<string, Case> = {
  spawned_processes_run_in_the_same_evaluation(b) {
    const e = b.event();
    b.method("parent", (self) => {
      if (b.ticks === 0) {
        self.nextTrigger(10);
        return;
      }
      b.say("parent");
      b.method("child_method", () => b.say("child method"));
      b.thread("child_thread", function* () {
        b.say("child thread");
        yield wait(1);
        b.say("child thread again");
      });
      b.method("child_later", () => b.say("child later"), later(e));
      e.notify(0);
      b.say("parent done");
    });
    b.startAll();
  },

  suspend_and_resume(b) {
    const e = b.event();
    const m = b.method("m", () => b.say("m"), on(e));
    const t = b.thread("t", function* () {
      for (;;) {
        yield wait(10);
        b.say("t");
      }
    });
    b.thread("driver", function* () {
      yield wait(5);
      m.suspend();
      t.suspend();
      b.say("suspended");
      e.notify();
      yield wait(10);
      e.notify();
      b.say("resume");
      m.resume();
      t.resume();
      b.say("resumed");
      yield wait(20);
      m.suspend();
      m.resume();
      b.say("nothing missed");
      yield wait(5);
      t.kill();
    });
    b.startAll();
  },

  disable_and_enable(b) {
    const e = b.event();
    const m = b.method("m", () => b.say("m"), on(e));
    const t = b.thread("t", function* () {
      for (;;) {
        yield wait(e);
        b.say("t");
      }
    });
    b.thread("driver", function* () {
      yield wait(5);
      m.disable();
      t.disable();
      e.notify();
      yield wait(5);
      m.enable();
      t.enable();
      b.say("enabled");
      yield wait(5);
      e.notify();
      m.disable();
      b.say("due already");
    });
    b.startAll();
  },

  kill(b) {
    const e = b.event();
    const m = b.method("m", () => b.say("m"), on(e));
    const t = b.thread("t", (self) =>
      announced(b, self, function* () {
        for (;;) {
          yield wait(e);
          b.say("t");
        }
      }),
    );
    b.method("watcher", () => b.say("t has ended"), later(t.terminatedEvent));
    b.thread("driver", function* () {
      yield wait(5);
      e.notify();
      yield wait(5);
      b.say("kill");
      t.kill();
      m.kill();
      b.say("done");
      yield wait(5);
      e.notify();
    });
    b.startAll();
  },

  kill_before_the_first_run(b) {
    let t: ThreadProcess | undefined;
    b.method("driver", () => {
      b.say("kill");
      t?.kill();
    });
    t = b.thread("t", function* () {
      b.say("runs all the same");
      yield wait(1);
      b.say("and goes on");
    });
    b.startAll();
  },

  reset_by_call(b) {
    const e = b.event();
    const t = b.thread("t", function* (self) {
      b.say("start");
      yield* announced(b, self, function* () {
        yield wait(e);
        b.say("event");
        yield wait(100);
        b.say("late");
      });
    });
    b.thread("driver", function* () {
      yield wait(5);
      b.say("reset now");
      t.resetProcess();
      b.say("done");
      yield wait(5);
      e.notify();
      yield wait(5);
      t.resetProcess();
    });
    b.start(50);
  },

  synchronous_reset_of_a_thread(b) {
    const rst = b.boolean("rst");
    const clk = b.event();
    counter(b, "t", { sensitive: [clk], reset: [{ signal: rst, level: true }] });
    ticking(b, clk, 9);
    b.thread("driver", function* () {
      yield wait(25);
      rst.write(true);
      b.say("rst up");
      yield wait(20);
      rst.write(false);
      b.say("rst down");
    });
    b.startAll();
  },

  synchronous_reset_ends_a_long_wait_only_at_its_end(b) {
    const rst = b.boolean("rst");
    b.thread(
      "t",
      function* () {
        b.say("start");
        yield wait(40);
        b.say("waited");
        yield wait(40);
        b.say("end");
      },
      { reset: [{ signal: rst, level: true }] },
    );
    b.thread("driver", function* () {
      for (const [ticks, level] of [
        [10, true],
        [10, false],
        [30, true],
        [50, false],
      ] as const) {
        yield wait(ticks);
        rst.write(level);
      }
    });
    b.startAll();
  },

  asynchronous_reset_of_a_thread(b) {
    const rst = b.boolean("rst");
    const clk = b.event();
    rst.write(true);
    counter(b, "t", { sensitive: [clk], asyncReset: [{ signal: rst, level: false }] });
    ticking(b, clk, 8);
    b.thread("driver", function* () {
      yield wait(25);
      rst.write(false);
      b.say("rst");
      yield wait(20);
      rst.write(true);
      b.say("released");
    });
    b.startAll();
  },

  asynchronous_reset_of_a_method(b) {
    const rst = b.boolean("rst");
    const clk = b.event();
    let n = 0;
    b.method(
      "m",
      () => {
        if (rst.read()) {
          n = 0;
          b.say("reset");
        } else b.say(`count ${++n}`);
      },
      { sensitive: [clk], asyncReset: [{ signal: rst, level: true }] },
    );
    ticking(b, clk, 6);
    b.thread("driver", function* () {
      yield wait(25);
      rst.write(true);
      yield wait(20);
      rst.write(false);
    });
    b.startAll();
  },

  reset_while_the_reset_is_active_from_the_start(b) {
    const rst = b.boolean("rst", true);
    const clk = b.event();
    counter(b, "t", { sensitive: [clk], reset: [{ signal: rst, level: true }] });
    ticking(b, clk, 6);
    b.thread("driver", function* () {
      yield wait(25);
      rst.write(false);
    });
    b.startAll();
  },

  sync_reset_on_and_off(b) {
    const clk = b.event();
    const t = counter(b, "t", on(clk));
    ticking(b, clk, 7);
    b.thread("driver", function* () {
      yield wait(25);
      t.syncResetOn();
      yield wait(20);
      t.syncResetOff();
    });
    b.startAll();
  },

  two_resets_of_one_thread(b) {
    const [soft, hard] = [b.boolean("soft"), b.boolean("hard")];
    const clk = b.event();
    counter(b, "t", {
      sensitive: [clk],
      reset: [{ signal: soft, level: true }],
      asyncReset: [{ signal: hard, level: true }],
    });
    ticking(b, clk, 9);
    b.thread("driver", function* () {
      yield wait(15);
      soft.write(true);
      yield wait(10);
      hard.write(true);
      yield wait(10);
      soft.write(false);
      yield wait(10);
      hard.write(false);
    });
    b.startAll();
  },
};
