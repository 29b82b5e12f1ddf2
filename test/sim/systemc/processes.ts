/** Twins of processes.cpp, name by name. */
import { allOf, anyOf, cycles, type Event, type MethodProcess, type Thread, wait } from "../../../src/sim/index.ts";
import { type Bench, type Case, later, on } from "./bench.ts";
import { controlCases } from "./control.ts";

/** Waits for `ticks`, then notifies each event now. */
function* after(ticks: number, ...events: Event[]): Thread {
  yield wait(ticks);
  for (const e of events) e.notify();
}

function sayer(b: Bench, then: (self: MethodProcess) => void): (self: MethodProcess) => void {
  return (self) => {
    b.say("m");
    then(self);
  };
}

export const processCases: Record<string, Case> = {
  ...controlCases,

  initialization_methods_then_threads_as_declared(b) {
    b.thread("t1", function* () {
      b.say("t1");
    });
    b.method("m1", () => b.say("m1"));
    b.thread("t2", function* () {
      b.say("t2");
    });
    b.method("m2", () => b.say("m2"));
    b.method("m3", () => b.say("m3"));
    b.startAll();
  },

  dont_initialize(b) {
    const e = b.event();
    b.method("later", () => b.say("later"), later(e));
    b.thread(
      "later_thread",
      function* () {
        b.say("thread starts");
        yield wait();
        b.say("thread goes on");
      },
      later(e),
    );
    b.method("now", () => {
      b.say("now");
      e.notify(10);
    });
    b.thread("again", () => after(20, e));
    b.startAll();
  },

  next_trigger_time(b) {
    b.method(
      "m",
      sayer(b, (m) => b.ticks < 30 && m.nextTrigger(10)),
    );
    b.startAll();
  },

  next_trigger_zero_is_the_next_delta(b) {
    let n = 0;
    b.method(
      "m",
      sayer(b, (m) => n++ < 3 && m.nextTrigger(0)),
    );
    b.method("other", (self) => {
      b.say("other");
      self.nextTrigger(1);
      if (b.ticks > 1) self.nextTrigger();
    });
    b.start(10);
  },

  next_trigger_hides_the_static_sensitivity_once(b) {
    const [fixed, dynamic] = [b.event(), b.event()];
    let n = 0;
    b.method(
      "m",
      sayer(b, (m) => n++ === 0 && m.nextTrigger(dynamic)),
      on(fixed),
    );
    b.thread("driver", function* () {
      for (const [name, event] of [
        ["fixed", fixed],
        ["dynamic", dynamic],
        ["dynamic", dynamic],
        ["fixed", fixed],
      ] as const) {
        yield wait(10);
        b.say(name);
        event.notify();
      }
    });
    b.startAll();
  },

  the_last_next_trigger_counts(b) {
    const [x, y] = [b.event(), b.event()];
    let n = 0;
    const choose = (m: MethodProcess) => {
      if (n === 0) {
        m.nextTrigger(5);
        m.nextTrigger(x);
        m.nextTrigger(y);
      }
      if (n === 1) {
        m.nextTrigger(y);
        m.nextTrigger(7);
      }
      if (n === 2) {
        m.nextTrigger(3);
        m.nextTrigger();
      }
      n++;
    };
    b.method("m", sayer(b, choose), on(x));
    b.thread("driver", function* () {
      for (;;) {
        yield wait(10);
        b.say("a");
        x.notify();
        yield wait(1);
        b.say("b");
        y.notify();
      }
    });
    b.start(60);
  },

  next_trigger_any_of(b) {
    const [x, y] = [b.event(), b.event()];
    b.method(
      "m",
      sayer(b, (m) => m.nextTrigger(anyOf(x, y))),
    );
    b.thread("driver", function* () {
      yield* after(1, x);
      yield* after(1, y);
      yield* after(1, x, y);
      yield wait(1);
    });
    b.startAll();
  },

  next_trigger_all_of(b) {
    const [x, y, z] = [b.event(), b.event(), b.event()];
    b.method(
      "m",
      sayer(b, (m) => m.nextTrigger(allOf(x, y, z))),
    );
    b.thread("driver", function* () {
      x.notify();
      yield* after(1, x);
      yield* after(1, y);
      yield* after(1, y);
      yield* after(1, z);
      b.say("met");
      yield wait(1);
      z.notify(3);
      x.notify(1);
      y.notify(2);
    });
    b.startAll();
  },

  next_trigger_event_or_time_out(b) {
    const e = b.event();
    b.method(
      "m",
      sayer(b, (m) => m.nextTrigger(wait(10, e))),
    );
    b.thread("driver", function* () {
      yield* after(4, e);
      yield* after(20, e);
      yield wait(3);
      e.notify(0);
    });
    b.start(50);
  },

  next_trigger_lists_with_time_out(b) {
    const [x, y] = [b.event(), b.event()];
    let n = 0;
    b.method(
      "m",
      sayer(b, (m) => m.nextTrigger(wait(10, n++ % 2 ? anyOf(x, y) : allOf(x, y)))),
    );
    b.thread("driver", function* () {
      for (let i = 0; i < 4; i++) {
        yield* after(6, x);
        b.say("a");
        yield* after(3, y);
        b.say("b");
        yield wait(8);
      }
    });
    b.start(90);
  },

  dynamic_triggers_wait_out_a_static_event(b) {
    const e = b.event();
    b.method(
      "m",
      sayer(b, (m) => m.nextTrigger(10)),
      on(e),
    );
    b.method("driver", (self) => {
      e.notify();
      self.nextTrigger(4);
    });
    b.start(40);
  },

  wait_for_time_event_and_static(b) {
    const [e, fixed] = [b.event(), b.event()];
    b.thread(
      "t",
      function* () {
        b.say("start");
        yield wait(10);
        b.say("time");
        yield wait(e);
        b.say("event");
        yield wait();
        b.say("static");
        yield wait(0);
        b.say("delta");
      },
      on(fixed),
    );
    b.thread("driver", function* () {
      yield wait(15);
      fixed.notify();
      e.notify(0);
      yield* after(5, e);
      yield* after(5, fixed);
    });
    b.startAll();
  },

  wait_static_cycles(b) {
    const tick = b.event();
    b.thread(
      "t",
      function* () {
        yield cycles(3);
        b.say("three");
        yield cycles(1);
        b.say("one");
        yield cycles(2);
        b.say("two");
      },
      on(tick),
    );
    b.thread("driver", function* () {
      for (let i = 0; i < 8; i++) {
        yield wait(10);
        b.say("tick");
        tick.notify();
      }
    });
    b.startAll();
  },

  wait_any_of(b) {
    const [x, y, z] = [b.event(), b.event(), b.event()];
    b.thread("t", function* () {
      for (;;) {
        yield wait(anyOf(x, y, z));
        b.say("t");
      }
    });
    b.thread("driver", function* () {
      yield* after(1, z);
      yield wait(1);
      x.notify(0);
      y.notify(0);
      yield* after(1, y, x);
    });
    b.startAll();
  },

  wait_all_of_over_time_and_delta(b) {
    const [x, y] = [b.event(), b.event()];
    b.thread("t", function* () {
      for (;;) {
        yield wait(allOf(x, y));
        b.say("t");
      }
    });
    b.thread("driver", function* () {
      yield* after(1, x);
      yield* after(1, x);
      yield* after(1, y);
      yield wait(0);
      b.say("next");
      y.notify(0);
      x.notify(5);
    });
    b.startAll();
  },

  wait_with_time_out(b) {
    const [x, y] = [b.event(), b.event()];
    b.thread("t", function* () {
      yield wait(10, x);
      b.say("1");
      yield wait(10, x);
      b.say("2");
      yield wait(10, anyOf(x, y));
      b.say("3");
      yield wait(10, allOf(x, y));
      b.say("4");
      yield wait(10, allOf(x, y));
      b.say("5");
      yield wait(0, x);
      b.say("6");
    });
    b.thread("driver", function* () {
      yield* after(5, x);
      yield* after(13, y);
      yield* after(5, x);
      yield* after(1, y);
    });
    b.startAll();
  },

  time_out_and_event_at_one_instant(b) {
    const e = b.event();
    b.method("notifier", () => e.notify(10));
    b.thread("t", function* () {
      yield wait(10, e);
      b.say("once");
      yield wait(1);
      b.say("next");
      yield wait(e);
      b.say("never");
    });
    b.start(40);
  },

  thread_ends(b) {
    const e = b.event();
    const h = b.thread("t", function* () {
      yield wait(e);
      b.say("last");
    });
    b.method("watcher", (self) => {
      b.say(h.terminated ? "terminated" : "alive");
      self.nextTrigger(h.terminatedEvent);
    });
    b.thread("driver", function* () {
      yield* after(5, e);
      yield* after(5, e);
      b.say(h.terminated ? "yes" : "no");
    });
    b.startAll();
  },

  methods_run_before_threads_each_round(b) {
    const [e, f] = [b.event(), b.event()];
    b.thread("t1", function* () {
      yield wait(1);
      b.say("t1");
      e.notify();
    });
    b.thread("t2", function* () {
      yield wait(1);
      b.say("t2");
    });
    b.method(
      "m",
      sayer(b, () => f.notify()),
      later(e),
    );
    b.thread("t3", function* () {
      yield wait(f);
      b.say("t3");
    });
    b.startAll();
  },
};
