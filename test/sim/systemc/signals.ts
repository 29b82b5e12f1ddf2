/** Twins of signals.cpp, name by name. */
import { type Clock, type Event, NS, wait } from "../../../src/sim/index.ts";
import { type Bench, type Case, later, on } from "./bench.ts";

function watch(b: Bench, clk: Clock): void {
  b.method("rose", () => b.say("rose"), later(clk.posedge));
  b.method("fell", () => b.say("fell"), later(clk.negedge));
}

export const signalCases: Record<string, Case> = {
  a_signal_is_read_from_the_next_delta_on(b) {
    const s = b.number("s");
    b.method("writer", () => {
      s.write(7);
      b.say(`wrote, reads ${s.read()}`);
    });
    b.method("reader", () => b.say(`changed to ${s.read()}`), later(s.changed));
    b.startAll();
  },

  the_last_write_counts(b) {
    const s = b.number("s");
    b.method("writer", () => {
      for (const v of [1, 2, 3]) s.write(v);
    });
    b.method("reader", () => b.say(`changed to ${s.read()}`), later(s.changed));
    b.startAll();
  },

  writing_back_the_value_is_no_change(b) {
    const s = b.top.signal("s", 5, "many");
    b.method("writer", () => {
      s.write(1);
      s.write(5);
    });
    b.method("reader", () => b.say(`changed to ${s.read()}`), later(s.changed));
    b.thread("later", function* () {
      yield wait(5);
      s.write(5);
      yield wait(5);
      b.say(`end ${s.read()}`);
    });
    b.startAll();
  },

  signals_update_last_written_first(b) {
    const [x, y, z] = [b.number("a"), b.number("b"), b.number("c")];
    b.method("writer", () => {
      y.write(1);
      x.write(1);
      z.write(1);
      y.write(2);
    });
    b.method("on_a", () => b.say("a"), later(x.changed));
    b.method("on_b", () => b.say("b"), later(y.changed));
    b.method("on_c", () => b.say("c"), later(z.changed));
    b.startAll();
  },

  edges_of_a_boolean_signal(b) {
    const s = b.boolean("s");
    b.method("changed", () => b.say(s.read() ? "changed to 1" : "changed to 0"), later(s.changed));
    b.method("rose", () => b.say("rose"), later(s.posedge));
    b.method("fell", () => b.say("fell"), later(s.negedge));
    b.thread("driver", function* () {
      s.write(true);
      yield wait(10);
      s.write(false);
      yield wait(10);
      s.write(true);
      s.write(false);
      yield wait(10);
      s.write(true);
    });
    b.startAll();
  },

  event_tells_which_signal_changed(b) {
    const [x, y] = [b.boolean("a"), b.boolean("b")];
    b.method("m", () => b.say(`${x.event ? "a" : "-"} ${y.event ? "b" : "-"}`), on(x.changed, y.changed));
    b.thread("driver", function* () {
      yield wait(1);
      x.write(true);
      yield wait(1);
      y.write(true);
      yield wait(1);
      x.write(false);
      y.write(false);
      yield wait(0);
      b.say(x.event ? "yes" : "no");
      yield wait(0);
      b.say(x.event ? "yes" : "no");
    });
    b.startAll();
  },

  written_before_the_start(b) {
    const s = b.number("s", 1);
    b.method("reader", () => b.say(`reads ${s.read()}`), on(s.changed));
    s.write(9);
    b.say(`still ${s.read()}`);
    b.startAll();
  },

  shift_register(b) {
    const [x, y, z] = [b.number("a"), b.number("b"), b.number("c")];
    const clk = b.event();
    b.method("first", () => y.write(x.read()), later(clk));
    b.method("second", () => z.write(y.read()), later(clk));
    b.thread("driver", function* () {
      for (let i = 1; i < 5; i++) {
        x.write(i);
        yield wait(10);
        clk.notify();
        yield wait(1);
        b.say(`${x.read()}${y.read()}${z.read()}`);
      }
    });
    b.startAll();
  },

  combinational_chain_settles_by_deltas(b) {
    const [x, y, z] = [b.number("a"), b.number("b"), b.number("c")];
    b.method(
      "b_driver",
      () => {
        y.write(x.read() + 1);
        b.say("b");
      },
      on(x.changed),
    );
    b.method(
      "c_driver",
      () => {
        z.write(x.read() + y.read());
        b.say("c");
      },
      on(x.changed, y.changed),
    );
    b.thread("driver", function* () {
      yield wait(10);
      x.write(5);
      yield wait(10);
      b.say(`${x.read()} ${y.read()} ${z.read()}`);
    });
    b.startAll();
  },

  many_writers_the_last_counts(b) {
    const s = b.top.signal("s", 0, "many");
    b.thread("one", function* () {
      yield wait(1);
      s.write(1);
      yield wait(5);
      s.write(4);
    });
    b.thread("two", function* () {
      yield wait(2);
      s.write(2);
    });
    b.method("reader", () => b.say(`${s.read()}`), later(s.changed));
    b.startAll();
  },

  clock(b) {
    watch(b, b.clock("clk", { period: NS }));
    b.start(35);
  },

  clock_duty_and_start(b) {
    watch(b, b.clock("clk", { period: 20, duty: 0.25, start: 7 }));
    b.start(60);
  },

  clock_negative_edge_first(b) {
    const clk = b.clock("clk", { period: 20, duty: 0.25, start: 3, posedgeFirst: false });
    watch(b, clk);
    b.method("init", () => b.say(clk.read() ? "1" : "0"));
    b.start(60);
  },

  clock_of_odd_period(b) {
    watch(b, b.clock("clk", { period: 7 }));
    b.start(30);
  },

  clocked_threads_and_signals(b) {
    const clk = b.clock("clk", { period: 10, start: 10 });
    const q = b.number("q");
    b.thread(
      "counter",
      function* () {
        for (;;) {
          yield wait();
          q.write(q.read() + 1);
        }
      },
      on(clk.posedge),
    );
    b.method("monitor", () => b.say(`q ${q.read()}`), on(q.changed));
    b.thread("reader", function* () {
      for (;;) {
        yield wait(clk.negedge);
        b.say(`reads ${q.read()}`);
      }
    });
    b.start(45);
  },

  a_time_out_at_a_clock_edge_reads_the_old_level(b) {
    const clk = b.clock("clk", { period: 10, start: 10 });
    b.thread("t", function* () {
      yield wait(10);
      b.say(clk.read() ? "1" : "0");
      yield wait(0);
      b.say(clk.read() ? "1" : "0");
    });
    b.method("rose", () => b.say("rose"), later(clk.posedge));
    b.start(12);
  },

  pause_ends_the_delta_cycle_first(b) {
    const e = b.event();
    b.method("a", (self) => {
      b.say("a");
      if (b.ticks > 0) b.sim.pause();
      e.notify(0);
      self.nextTrigger(10);
    });
    b.method("b", (self) => {
      b.say("b");
      self.nextTrigger(10);
    });
    b.method("c", () => b.say("c"), later(e));
    b.start(100);
    b.say("paused");
    b.start(3);
    b.say("went on");
  },

  pause_in_a_thread_lets_the_others_run(b) {
    b.thread("a", function* () {
      yield wait(5);
      b.say("a");
      b.sim.pause();
      b.say("a after pause");
      yield wait(0);
      b.say("a next delta");
    });
    b.thread("b", function* () {
      yield wait(5);
      b.say("b");
    });
    b.start(100);
    b.say("paused");
    b.start(100);
  },

  stop_ends_evaluation_and_update_only(b) {
    const e: Event = b.event();
    const s = b.number("s");
    b.method("a", (self) => {
      if (b.ticks === 0) {
        self.nextTrigger(10);
        return;
      }
      b.say("a");
      s.write(1);
      e.notify(0);
      b.sim.stop();
    });
    b.method("b", (self) => {
      if (b.ticks === 0) self.nextTrigger(10);
      else b.say("b");
    });
    b.method("c", () => b.say("c"), later(e));
    b.start(100);
    b.say(`stopped, s is ${s.read()}`);
  },

  a_run_leaves_the_last_evaluation_to_the_next(b) {
    b.method("m", (self) => {
      b.say("m");
      self.nextTrigger(10);
    });
    b.start(10);
    b.say("first");
    b.start(5);
    b.say("second");
    b.start(5);
    b.say("third");
  },

  a_run_of_no_time_is_one_delta_cycle(b) {
    const e = b.event();
    let n = 0;
    b.method(
      "m",
      () => {
        b.say("m");
        if (n++ < 3) e.notify(0);
      },
      on(e),
    );
    b.sim.runDelta();
    b.say("one");
    b.sim.runDelta();
    b.say("two");
    b.start(1);
    b.say("all");
  },

  starvation_leaves_time_at_the_last_event(b) {
    b.thread("t", function* () {
      yield wait(15);
      b.say("t");
    });
    b.startAll();
    b.say("starved");
    b.start(5);
    b.say("to time");
  },
};
