// Signals and clocks (IEEE 1666-2011 clauses 6.4 and 6.7), run, pause and stop (4.3).
#include "cases.hpp"

static std::string n(int v) { return std::to_string(v); }

CASE(a_signal_is_read_from_the_next_delta_on) {
  sc_signal<int> s("s");
  method("writer", [&] { s = 7; say("wrote, reads " + n(s)); });
  method("reader", [&] { say("changed to " + n(s)); }, {{&s.value_changed_event()}, LATER});
  sc_start();
}

CASE(the_last_write_counts) {
  sc_signal<int> s("s");
  method("writer", [&] { s = 1; s = 2; s = 3; });
  method("reader", [&] { say("changed to " + n(s)); }, {{&s.value_changed_event()}, LATER});
  sc_start();
}

CASE(writing_back_the_value_is_no_change) {
  sc_signal<int, SC_MANY_WRITERS> s("s", 5);
  method("writer", [&] { s = 1; s = 5; });
  method("reader", [&] { say("changed to " + n(s)); }, {{&s.value_changed_event()}, LATER});
  thread("later", [&] { wait(T(5)); s.write(5); wait(T(5)); say("end " + n(s)); });
  sc_start();
}

CASE(signals_update_last_written_first) {
  sc_signal<int> a("a"), b("b"), c("c");
  method("writer", [&] { b = 1; a = 1; c = 1; b = 2; });
  method("on_a", [&] { say("a"); }, {{&a.value_changed_event()}, LATER});
  method("on_b", [&] { say("b"); }, {{&b.value_changed_event()}, LATER});
  method("on_c", [&] { say("c"); }, {{&c.value_changed_event()}, LATER});
  sc_start();
}

CASE(edges_of_a_boolean_signal) {
  sc_signal<bool> s("s");
  method("changed", [&] { say(s ? "changed to 1" : "changed to 0"); }, {{&s.value_changed_event()}, LATER});
  method("rose", [&] { say("rose"); }, {{&s.posedge_event()}, LATER});
  method("fell", [&] { say("fell"); }, {{&s.negedge_event()}, LATER});
  thread("driver", [&] { s = true; wait(T(10)); s = false; wait(T(10)); s = true; s = false; wait(T(10)); s = true; });
  sc_start();
}

CASE(event_tells_which_signal_changed) {
  sc_signal<bool> a("a"), b("b");
  method("m", [&] { say(std::string(a.event() ? "a " : "- ") + (b.event() ? "b" : "-")); },
         {{&a.value_changed_event(), &b.value_changed_event()}});
  thread("driver", [&] { wait(T(1)); a = true; wait(T(1)); b = true; wait(T(1)); a = false; b = false; wait(SC_ZERO_TIME); say(a.event() ? "yes" : "no"); wait(SC_ZERO_TIME); say(a.event() ? "yes" : "no"); });
  sc_start();
}

CASE(written_before_the_start) {
  sc_signal<int> s("s", 1);
  method("reader", [&] { say("reads " + n(s)); }, {{&s.value_changed_event()}});
  s.write(9);
  say("still " + n(s));
  sc_start();
}

CASE(shift_register) {
  sc_signal<int> a("a"), b("b"), c("c");
  sc_event clk;
  method("first", [&] { b = a.read(); }, {{&clk}, LATER});
  method("second", [&] { c = b.read(); }, {{&clk}, LATER});
  thread("driver", [&] { for (int i = 1; i < 5; i++) { a = i; wait(T(10)); clk.notify(); wait(T(1)); say(n(a) + n(b) + n(c)); } });
  sc_start();
}

CASE(combinational_chain_settles_by_deltas) {
  sc_signal<int> a("a"), b("b"), c("c");
  method("b", [&] { b = a + 1; say("b"); }, {{&a.value_changed_event()}});
  method("c", [&] { c = a + b; say("c"); }, {{&a.value_changed_event(), &b.value_changed_event()}});
  thread("driver", [&] { wait(T(10)); a = 5; wait(T(10)); say(n(a) + " " + n(b) + " " + n(c)); });
  sc_start();
}

CASE(many_writers_the_last_counts) {
  sc_signal<int, SC_MANY_WRITERS> s("s");
  thread("one", [&] { wait(T(1)); s = 1; wait(T(5)); s = 4; });
  thread("two", [&] { wait(T(2)); s = 2; });
  method("reader", [&] { say(n(s)); }, {{&s.value_changed_event()}, LATER});
  sc_start();
}

static void watch(sc_clock& clk) {
  method("rose", [&] { say("rose"); }, {{&clk.posedge_event()}, LATER});
  method("fell", [&] { say("fell"); }, {{&clk.negedge_event()}, LATER});
}

CASE(clock) {
  sc_clock clk("clk", T(10));
  watch(clk);
  sc_start(T(35));
}

CASE(clock_duty_and_start) {
  sc_clock clk("clk", T(20), 0.25, T(7), true);
  watch(clk);
  sc_start(T(60));
}

CASE(clock_negative_edge_first) {
  sc_clock clk("clk", T(20), 0.25, T(3), false);
  watch(clk);
  method("init", [&] { say(clk.read() ? "1" : "0"); });
  sc_start(T(60));
}

CASE(clock_of_odd_period) {
  sc_clock clk("clk", T(7), 0.5);
  watch(clk);
  sc_start(T(30));
}

CASE(clocked_threads_and_signals) {
  sc_clock clk("clk", T(10), 0.5, T(10), true);
  sc_signal<int> q("q");
  thread("counter", [&] { for (;;) { wait(); q = q + 1; } }, {{&clk.posedge_event()}});
  method("monitor", [&] { say("q " + n(q)); }, {{&q.value_changed_event()}});
  thread("reader", [&] { for (;;) { wait(clk.negedge_event()); say("reads " + n(q)); } });
  sc_start(T(45));
}

CASE(a_time_out_at_a_clock_edge_reads_the_old_level) {
  sc_clock clk("clk", T(10), 0.5, T(10), true);
  thread("t", [&] { wait(T(10)); say(clk.read() ? "1" : "0"); wait(SC_ZERO_TIME); say(clk.read() ? "1" : "0"); });
  method("rose", [&] { say("rose"); }, {{&clk.posedge_event()}, LATER});
  sc_start(T(12));
}

CASE(pause_ends_the_delta_cycle_first) {
  sc_event e;
  method("a", [&] { say("a"); if (ticks() > 0) sc_pause(); e.notify(SC_ZERO_TIME); next_trigger(T(10)); });
  method("b", [&] { say("b"); next_trigger(T(10)); });
  method("c", [&] { say("c"); }, {{&e}, LATER});
  sc_start(T(100));
  say("paused");
  sc_start(T(3));
  say("went on");
}

CASE(pause_in_a_thread_lets_the_others_run) {
  thread("a", [&] { wait(T(5)); say("a"); sc_pause(); say("a after pause"); wait(SC_ZERO_TIME); say("a next delta"); });
  thread("b", [&] { wait(T(5)); say("b"); });
  sc_start(T(100));
  say("paused");
  sc_start(T(100));
}

CASE(stop_ends_evaluation_and_update_only) {
  sc_event e;
  sc_signal<int> s("s");
  method("a", [&] { if (ticks() == 0) { next_trigger(T(10)); return; } say("a"); s = 1; e.notify(SC_ZERO_TIME); sc_stop(); });
  method("b", [&] { if (ticks() == 0) { next_trigger(T(10)); return; } say("b"); });
  method("c", [&] { say("c"); }, {{&e}, LATER});
  sc_start(T(100));
  say("stopped, s is " + n(s));
}

CASE(a_run_leaves_the_last_evaluation_to_the_next) {
  method("m", [&] { say("m"); next_trigger(T(10)); });
  sc_start(T(10));
  say("first");
  sc_start(T(5));
  say("second");
  sc_start(T(5));
  say("third");
}

CASE(a_run_of_no_time_is_one_delta_cycle) {
  sc_event e;
  int k = 0;
  method("m", [&] { say("m"); if (k++ < 3) e.notify(SC_ZERO_TIME); }, {{&e}});
  sc_start(SC_ZERO_TIME);
  say("one");
  sc_start(SC_ZERO_TIME);
  say("two");
  sc_start(T(1));
  say("all");
}

CASE(starvation_leaves_time_at_the_last_event) {
  thread("t", [&] { wait(T(15)); say("t"); });
  sc_start();
  say("starved");
  sc_start(T(5));
  say("to time");
}
