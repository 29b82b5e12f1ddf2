/** Twins of events.cpp, name by name. */
import { type Event, wait } from "../../../src/sim/index.ts";
import { type Case, later, on } from "./bench.ts";

export const eventCases: Record<string, Case> = {
  immediate_runs_in_the_same_evaluation(b) {
    const e = b.event();
    b.method("woken", () => b.say("woken"), later(e));
    b.method("notifier", () => {
      b.say("before");
      e.notify();
      b.say("after");
    });
    b.startAll();
  },

  delta_runs_in_the_next_delta_cycle(b) {
    const e = b.event();
    b.method("woken", () => b.say("woken"), later(e));
    b.method("notifier", () => {
      e.notify(0);
      b.say("notified");
    });
    b.startAll();
  },

  timed_runs_at_its_time(b) {
    const e = b.event();
    b.method("woken", () => b.say("woken"), later(e));
    b.method("notifier", () => {
      e.notify(25);
      b.say("notified");
    });
    b.startAll();
  },

  immediate_replaces_delta(b) {
    const e = b.event();
    b.method("woken", () => b.say("woken"), later(e));
    b.method("notifier", () => {
      e.notify(0);
      e.notify();
    });
    b.startAll();
    b.say("end");
  },

  immediate_replaces_timed(b) {
    const e = b.event();
    b.method("woken", () => b.say("woken"), later(e));
    b.method("notifier", () => {
      e.notify(10);
      e.notify();
    });
    b.start(100);
    b.say("end");
  },

  delta_replaces_timed(b) {
    const e = b.event();
    b.method("woken", () => b.say("woken"), later(e));
    b.method("notifier", () => {
      e.notify(10);
      e.notify(0);
    });
    b.start(100);
    b.say("end");
  },

  timed_after_delta_is_dropped(b) {
    const e = b.event();
    b.method("woken", () => b.say("woken"), later(e));
    b.method("notifier", () => {
      e.notify(0);
      e.notify(10);
    });
    b.start(100);
    b.say("end");
  },

  the_earlier_timed_notification_wins(b) {
    const [e, f, g] = [b.event(), b.event(), b.event()];
    b.method("e", () => b.say("e"), later(e));
    b.method("f", () => b.say("f"), later(f));
    b.method("g", () => b.say("g"), later(g));
    b.method("notifier", () => {
      e.notify(50);
      e.notify(20);
      f.notify(30);
      f.notify(60);
      g.notify(40);
      g.notify(40);
    });
    b.start(100);
  },

  a_notification_is_pending_once(b) {
    const e = b.event();
    b.method("woken", () => b.say("woken"), later(e));
    b.method("one", () => e.notify(0));
    b.method("two", () => e.notify(0));
    b.thread("three", function* () {
      e.notify(0);
      yield wait(5);
      e.notify(5);
      yield wait(1);
      e.notify(4);
    });
    b.startAll();
  },

  cancel_delta(b) {
    const e = b.event();
    b.method("woken", () => b.say("woken"), later(e));
    b.method("notifier", () => {
      e.notify(0);
      e.cancel();
      b.say("cancelled");
    });
    b.start(10);
    b.say("end");
  },

  cancel_timed_then_notify_again(b) {
    const e = b.event();
    b.method("woken", () => b.say("woken"), later(e));
    b.thread("notifier", function* () {
      e.notify(10);
      yield wait(5);
      e.cancel();
      b.say("cancelled");
      yield wait(10);
      e.notify(3);
      e.cancel();
      e.notify(4);
    });
    b.startAll();
  },

  cancel_does_not_undo_immediate(b) {
    const e = b.event();
    b.method("woken", () => b.say("woken"), later(e));
    b.method("notifier", () => {
      e.notify();
      e.cancel();
      b.say("cancelled");
    });
    b.startAll();
  },

  delta_events_fire_last_notified_first(b) {
    const [x, y, z] = [b.event(), b.event(), b.event()];
    b.method("on_a", () => b.say("a"), later(x));
    b.method("on_b", () => b.say("b"), later(y));
    b.method("on_c", () => b.say("c"), later(z));
    b.method("notifier", () => {
      y.notify(0);
      x.notify(0);
      z.notify(0);
    });
    b.startAll();
  },

  cancel_among_delta_events_moves_the_last(b) {
    const events: Event[] = [];
    for (const name of ["a", "b", "c", "d"]) {
      const e = b.event();
      events.push(e);
      b.method(`on_${name}`, () => b.say(name), later(e));
    }
    b.method("notifier", () => {
      for (const e of events) e.notify(0);
      events[0]?.cancel();
    });
    b.startAll();
  },

  two_timed_events_of_one_instant(b) {
    const [x, y] = [b.event(), b.event()];
    b.method("on_a", () => b.say("a"), later(x));
    b.method("on_b", () => b.say("b"), later(y));
    b.method("notifier", () => {
      y.notify(10);
      x.notify(10);
    });
    b.startAll();
  },

  three_timed_events_of_one_instant(b) {
    const [x, y, z] = [b.event(), b.event(), b.event()];
    b.method("on_a", () => b.say("a"), later(x));
    b.method("on_b", () => b.say("b"), later(y));
    b.method("on_c", () => b.say("c"), later(z));
    b.method("notifier", () => {
      x.notify(10);
      y.notify(10);
      z.notify(10);
    });
    b.startAll();
  },

  three_threads_of_one_period(b) {
    for (const name of ["a", "b", "c"]) {
      b.thread(name, function* () {
        for (let i = 0; i < 3; i++) {
          yield wait(10);
          b.say(name);
        }
      });
    }
    b.startAll();
  },

  timed_events_of_one_instant_share_a_delta_cycle(b) {
    const [x, y] = [b.event(), b.event()];
    let n = 0;
    b.method("either", () => b.say(`run ${++n}`), later(x, y));
    b.method("notifier", () => {
      x.notify(10);
      y.notify(10);
    });
    b.startAll();
  },

  static_sensitivity_runs_last_declared_first(b) {
    const e = b.event();
    b.method("first", () => b.say("first"), later(e));
    b.method("second", () => b.say("second"), later(e));
    b.method("third", () => b.say("third"), later(e));
    for (const name of ["fourth", "fifth"]) {
      b.thread(
        name,
        function* () {
          for (;;) {
            yield wait();
            b.say(name);
          }
        },
        on(e),
      );
    }
    b.method("notifier", () => e.notify(1));
    b.startAll();
  },

  dynamic_waits_fill_the_gap_with_the_last(b) {
    const e = b.event();
    for (const name of ["a", "b", "c", "d", "e"]) {
      b.thread(name, function* () {
        yield wait(e);
        b.say(name);
        yield wait(e);
        b.say(name);
      });
    }
    b.method("notifier", (self) => {
      self.nextTrigger(10);
      if (b.ticks > 0 && b.ticks < 30) e.notify();
    });
    b.start(40);
  },

  static_before_dynamic_methods_before_threads(b) {
    const e = b.event();
    b.thread(
      "static_thread",
      function* () {
        for (;;) {
          yield wait();
          b.say("static thread");
        }
      },
      on(e),
    );
    b.thread("dynamic_thread", function* () {
      for (;;) {
        yield wait(e);
        b.say("dynamic thread");
      }
    });
    b.method("dynamic_method", (self) => {
      b.say("dynamic method");
      self.nextTrigger(e);
    });
    b.method("static_method", () => b.say("static method"), on(e));
    b.method("notifier", () => e.notify(1));
    b.startAll();
  },

  own_immediate_notification_does_not_start_a_method(b) {
    const e = b.event();
    let n = 0;
    b.method(
      "self",
      () => {
        b.say("self");
        if (n++ < 3) e.notify();
      },
      on(e),
    );
    b.method("other", () => {
      b.say("other");
      e.notify();
    });
    b.startAll();
  },

  own_immediate_notification_leaves_the_dynamic_wait(b) {
    const e = b.event();
    let n = 0;
    b.method("self", (self) => {
      b.say("self");
      self.nextTrigger(e);
      if (n++ < 2) e.notify();
    });
    b.method("kick", (self) => {
      self.nextTrigger(10);
      if (b.ticks > 0) e.notify();
    });
    b.start(25);
  },

  own_delta_notification_starts_a_method_again(b) {
    const e = b.event();
    let n = 0;
    b.method(
      "self",
      () => {
        b.say("self");
        if (n++ < 3) e.notify(0);
      },
      on(e),
    );
    b.startAll();
  },

  immediate_chain_within_one_evaluation(b) {
    const [x, y, z] = [b.event(), b.event(), b.event()];
    b.method(
      "on_a",
      () => {
        b.say("a");
        y.notify();
      },
      later(x),
    );
    b.method(
      "on_b",
      () => {
        b.say("b");
        z.notify();
      },
      later(y),
    );
    b.thread(
      "on_c",
      function* () {
        for (;;) {
          yield wait();
          b.say("c");
        }
      },
      on(z),
    );
    b.method("on_c_too", () => b.say("c too"), later(z));
    b.thread("start", function* () {
      yield wait(5);
      b.say("start");
      x.notify();
      b.say("started");
    });
    b.startAll();
  },

  runnable_process_is_not_queued_twice(b) {
    const [x, y] = [b.event(), b.event()];
    b.method("both", () => b.say("both"), later(x, y));
    b.method("notifier", () => {
      x.notify();
      y.notify();
      x.notify(0);
    });
    b.startAll();
  },

  notify_from_outside_between_runs(b) {
    const e = b.event();
    b.method("woken", () => b.say("woken"), later(e));
    b.start(10);
    e.notify(0);
    b.start(10);
    e.notify();
    b.start(10);
    e.notify(10);
    b.start(10);
    b.say("held");
    b.start(10);
  },

  ping_pong_by_delta(b) {
    const [ping, pong] = [b.event(), b.event()];
    let n = 0;
    b.method(
      "ping",
      () => {
        b.say("ping");
        if (n++ < 4) pong.notify(0);
      },
      on(ping),
    );
    b.method(
      "pong",
      () => {
        b.say("pong");
        ping.notify(0);
      },
      later(pong),
    );
    b.startAll();
  },

  delta_notification_before_the_start(b) {
    const e = b.event();
    b.method("woken", () => b.say("woken"), later(e));
    b.method("init", () => b.say("init"));
    e.notify(0);
    b.start(10);
    b.say("end");
  },
};
