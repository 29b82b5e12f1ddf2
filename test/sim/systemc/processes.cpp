// Processes: initialization, sensitivity, next_trigger, wait, control (IEEE 1666-2011 clauses 4.2, 5.2 and 5.6).
#include "cases.hpp"

CASE(initialization_methods_then_threads_as_declared) {
  thread("t1", [&] { say("t1"); });
  method("m1", [&] { say("m1"); });
  thread("t2", [&] { say("t2"); });
  method("m2", [&] { say("m2"); });
  method("m3", [&] { say("m3"); });
  sc_start();
}

CASE(dont_initialize) {
  sc_event e;
  method("later", [&] { say("later"); }, {{&e}, LATER});
  thread("later_thread", [&] { say("thread starts"); wait(); say("thread goes on"); }, {{&e}, LATER});
  method("now", [&] { say("now"); e.notify(T(10)); });
  thread("again", [&] { wait(T(20)); e.notify(); });
  sc_start();
}

CASE(next_trigger_time) {
  method("m", [&] { say("m"); if (ticks() < 30) next_trigger(T(10)); });
  sc_start();
}

CASE(next_trigger_zero_is_the_next_delta) {
  int n = 0;
  method("m", [&] { say("m"); if (n++ < 3) next_trigger(SC_ZERO_TIME); });
  method("other", [&] { say("other"); next_trigger(T(1)); if (ticks() > 1) next_trigger(); });
  sc_start(T(10));
}

CASE(next_trigger_hides_the_static_sensitivity_once) {
  sc_event fixed, dynamic;
  int n = 0;
  method("m", [&] { say("m"); if (n++ == 0) next_trigger(dynamic); }, {{&fixed}});
  thread("driver", [&] {
    wait(T(10)); say("fixed"); fixed.notify();
    wait(T(10)); say("dynamic"); dynamic.notify();
    wait(T(10)); say("dynamic"); dynamic.notify();
    wait(T(10)); say("fixed"); fixed.notify();
  });
  sc_start();
}

CASE(the_last_next_trigger_counts) {
  sc_event a, b;
  int n = 0;
  method("m", [&] {
    say("m");
    if (n == 0) { next_trigger(T(5)); next_trigger(a); next_trigger(b); }
    if (n == 1) { next_trigger(b); next_trigger(T(7)); }
    if (n == 2) { next_trigger(T(3)); next_trigger(); }
    n++;
  }, {{&a}});
  thread("driver", [&] { for (;;) { wait(T(10)); say("a"); a.notify(); wait(T(1)); say("b"); b.notify(); } });
  sc_start(T(60));
}

CASE(next_trigger_any_of) {
  sc_event a, b;
  method("m", [&] { say("m"); next_trigger(a | b); });
  thread("driver", [&] { wait(T(1)); a.notify(); wait(T(1)); b.notify(); wait(T(1)); a.notify(); b.notify(); wait(T(1)); });
  sc_start();
}

CASE(next_trigger_all_of) {
  sc_event a, b, c;
  method("m", [&] { say("m"); next_trigger(a & b & c); });
  thread("driver", [&] {
    a.notify(); wait(T(1)); a.notify(); wait(T(1)); b.notify(); wait(T(1)); b.notify(); wait(T(1)); c.notify(); say("met");
    wait(T(1)); c.notify(T(3)); a.notify(T(1)); b.notify(T(2));
  });
  sc_start();
}

CASE(next_trigger_event_or_time_out) {
  sc_event e;
  method("m", [&] { say("m"); next_trigger(T(10), e); });
  thread("driver", [&] { wait(T(4)); e.notify(); wait(T(20)); e.notify(); wait(T(3)); e.notify(SC_ZERO_TIME); });
  sc_start(T(50));
}

CASE(next_trigger_lists_with_time_out) {
  sc_event a, b;
  int n = 0;
  method("m", [&] { say("m"); if (n++ % 2) next_trigger(T(10), a | b); else next_trigger(T(10), a & b); });
  thread("driver", [&] {
    for (int i = 0; i < 4; i++) { wait(T(6)); a.notify(); say("a"); wait(T(3)); b.notify(); say("b"); wait(T(8)); }
  });
  sc_start(T(90));
}

CASE(dynamic_triggers_wait_out_a_static_event) {
  sc_event e;
  method("m", [&] { say("m"); next_trigger(T(10)); }, {{&e}});
  method("driver", [&] { e.notify(); next_trigger(T(4)); });
  sc_start(T(40));
}

CASE(wait_for_time_event_and_static) {
  sc_event e, fixed;
  thread("t", [&] {
    say("start"); wait(T(10)); say("time"); wait(e); say("event"); wait(); say("static"); wait(SC_ZERO_TIME); say("delta");
  }, {{&fixed}});
  thread("driver", [&] { wait(T(15)); fixed.notify(); e.notify(SC_ZERO_TIME); wait(T(5)); e.notify(); wait(T(5)); fixed.notify(); });
  sc_start();
}

CASE(wait_static_cycles) {
  sc_event tick;
  thread("t", [&] { wait(3); say("three"); wait(1); say("one"); wait(2); say("two"); }, {{&tick}});
  thread("driver", [&] { for (int i = 0; i < 8; i++) { wait(T(10)); say("tick"); tick.notify(); } });
  sc_start();
}

CASE(wait_any_of) {
  sc_event a, b, c;
  thread("t", [&] { for (;;) { wait(a | b | c); say("t"); } });
  thread("driver", [&] { wait(T(1)); c.notify(); wait(T(1)); a.notify(SC_ZERO_TIME); b.notify(SC_ZERO_TIME); wait(T(1)); b.notify(); a.notify(); });
  sc_start();
}

CASE(wait_all_of_over_time_and_delta) {
  sc_event a, b;
  thread("t", [&] { for (;;) { wait(a & b); say("t"); } });
  thread("driver", [&] {
    wait(T(1)); a.notify(); wait(T(1)); a.notify(); wait(T(1)); b.notify(); wait(SC_ZERO_TIME); say("next");
    b.notify(SC_ZERO_TIME); a.notify(T(5));
  });
  sc_start();
}

CASE(wait_with_time_out) {
  sc_event a, b;
  thread("t", [&] {
    wait(T(10), a); say("1"); wait(T(10), a); say("2"); wait(T(10), a | b); say("3"); wait(T(10), a & b); say("4");
    wait(T(10), a & b); say("5"); wait(SC_ZERO_TIME, a); say("6");
  });
  thread("driver", [&] { wait(T(5)); a.notify(); wait(T(13)); b.notify(); wait(T(5)); a.notify(); wait(T(1)); b.notify(); });
  sc_start();
}

CASE(time_out_and_event_at_one_instant) {
  sc_event a;
  method("notifier", [&] { a.notify(T(10)); });
  thread("t", [&] { wait(T(10), a); say("once"); wait(T(1)); say("next"); wait(a); say("never"); });
  sc_start(T(40));
}

CASE(thread_ends) {
  sc_event e;
  sc_process_handle h = thread("t", [&] { wait(e); say("last"); });
  method("watcher", [&] { say(h.terminated() ? "terminated" : "alive"); next_trigger(h.terminated_event()); });
  thread("driver", [&] { wait(T(5)); e.notify(); wait(T(5)); e.notify(); say(h.terminated() ? "yes" : "no"); });
  sc_start();
}

CASE(methods_run_before_threads_each_round) {
  sc_event e, f;
  thread("t1", [&] { wait(T(1)); say("t1"); e.notify(); });
  thread("t2", [&] { wait(T(1)); say("t2"); });
  method("m", [&] { say("m"); f.notify(); }, {{&e}, LATER});
  thread("t3", [&] { wait(f); say("t3"); });
  sc_start();
}

CASE(spawned_processes_run_in_the_same_evaluation) {
  sc_event e;
  method("parent", [&] {
    if (ticks() == 0) { next_trigger(T(10)); return; }
    say("parent");
    method("child_method", [&] { say("child method"); });
    thread("child_thread", [&] { say("child thread"); wait(T(1)); say("child thread again"); });
    method("child_later", [&] { say("child later"); }, {{&e}, LATER});
    e.notify(SC_ZERO_TIME);
    say("parent done");
  });
  sc_start();
}

CASE(suspend_and_resume) {
  sc_event e;
  sc_process_handle m = method("m", [&] { say("m"); }, {{&e}});
  sc_process_handle t = thread("t", [&] { for (;;) { wait(T(10)); say("t"); } });
  thread("driver", [&] {
    wait(T(5)); m.suspend(); t.suspend(); say("suspended"); e.notify(); wait(T(10)); e.notify(); say("resume");
    m.resume(); t.resume(); say("resumed"); wait(T(20)); m.suspend(); m.resume(); say("nothing missed"); wait(T(5)); t.kill();
  });
  sc_start();
}

CASE(disable_and_enable) {
  sc_event e;
  sc_process_handle m = method("m", [&] { say("m"); }, {{&e}});
  sc_process_handle t = thread("t", [&] { for (;;) { wait(e); say("t"); } });
  thread("driver", [&] {
    wait(T(5)); m.disable(); t.disable(); e.notify(); wait(T(5)); m.enable(); t.enable(); say("enabled"); wait(T(5)); e.notify();
    m.disable(); say("due already");
  });
  sc_start();
}

CASE(kill) {
  sc_event e;
  sc_process_handle m = method("m", [&] { say("m"); }, {{&e}});
  sc_process_handle t = thread("t", [&] {
    try { for (;;) { wait(e); say("t"); } } catch (const sc_unwind_exception& x) { say(x.is_reset() ? "reset" : "killed"); throw; }
  });
  method("watcher", [&] { say("t has ended"); }, {{&t.terminated_event()}, LATER});
  thread("driver", [&] {
    wait(T(5)); e.notify(); wait(T(5)); say("kill"); t.kill(); m.kill(); say("done"); wait(T(5)); e.notify();
  });
  sc_start();
}

CASE(kill_before_the_first_run) {
  sc_process_handle t;
  method("driver", [&] { say("kill"); t.kill(); });
  t = thread("t", [&] { say("runs all the same"); wait(T(1)); say("and goes on"); });
  sc_start();
}

CASE(reset_by_call) {
  sc_event e;
  sc_process_handle t = thread("t", [&] {
    say("start");
    try { wait(e); say("event"); wait(T(100)); say("late"); } catch (const sc_unwind_exception& x) { say(x.is_reset() ? "reset" : "killed"); throw; }
  });
  thread("driver", [&] { wait(T(5)); say("reset now"); t.reset(); say("done"); wait(T(5)); e.notify(); wait(T(5)); t.reset(); });
  sc_start(T(50));
}

CASE(synchronous_reset_of_a_thread) {
  sc_signal<bool> rst("rst");
  sc_event clk;
  Options o{{&clk}};
  o.more = [&](sc_spawn_options& s) { s.reset_signal_is(rst, true); };
  thread("t", [&] { say("reset state"); for (int n = 1;; n++) { wait(); say("count " + std::to_string(n)); } }, o);
  thread("clock", [&] { for (int i = 0; i < 9; i++) { wait(T(10)); clk.notify(); } });
  thread("driver", [&] { wait(T(25)); rst = true; say("rst up"); wait(T(20)); rst = false; say("rst down"); });
  sc_start();
}

CASE(synchronous_reset_ends_a_long_wait_only_at_its_end) {
  sc_signal<bool> rst("rst");
  Options o;
  o.more = [&](sc_spawn_options& s) { s.reset_signal_is(rst, true); };
  thread("t", [&] { say("start"); wait(T(40)); say("waited"); wait(T(40)); say("end"); }, o);
  thread("driver", [&] { wait(T(10)); rst = true; wait(T(10)); rst = false; wait(T(30)); rst = true; wait(T(50)); rst = false; });
  sc_start();
}

CASE(asynchronous_reset_of_a_thread) {
  sc_signal<bool> rst("rst");
  sc_event clk;
  Options o{{&clk}};
  o.more = [&](sc_spawn_options& s) { s.async_reset_signal_is(rst, false); };
  rst.write(true);
  sc_process_handle t = thread("t", [&] { say("reset state"); for (int n = 1;; n++) { wait(); say("count " + std::to_string(n)); } }, o);
  thread("clock", [&] { for (int i = 0; i < 8; i++) { wait(T(10)); clk.notify(); } });
  thread("driver", [&] { wait(T(25)); rst = false; say("rst"); wait(T(20)); rst = true; say("released"); });
  sc_start();
}

CASE(asynchronous_reset_of_a_method) {
  sc_signal<bool> rst("rst");
  sc_event clk;
  int n = 0;
  Options o{{&clk}};
  o.more = [&](sc_spawn_options& s) { s.async_reset_signal_is(rst, true); };
  method("m", [&] { if (rst.read()) { n = 0; say("reset"); } else say("count " + std::to_string(++n)); }, o);
  thread("clock", [&] { for (int i = 0; i < 6; i++) { wait(T(10)); clk.notify(); } });
  thread("driver", [&] { wait(T(25)); rst = true; wait(T(20)); rst = false; });
  sc_start();
}

CASE(reset_while_the_reset_is_active_from_the_start) {
  sc_signal<bool> rst("rst", true);
  sc_event clk;
  Options o{{&clk}};
  o.more = [&](sc_spawn_options& s) { s.reset_signal_is(rst, true); };
  thread("t", [&] { say("reset state"); for (int n = 1;; n++) { wait(); say("count " + std::to_string(n)); } }, o);
  thread("clock", [&] { for (int i = 0; i < 6; i++) { wait(T(10)); clk.notify(); } });
  thread("driver", [&] { wait(T(25)); rst = false; });
  sc_start();
}

CASE(sync_reset_on_and_off) {
  sc_event clk;
  sc_process_handle t = thread("t", [&] { say("reset state"); for (int n = 1;; n++) { wait(); say("count " + std::to_string(n)); } }, {{&clk}});
  thread("clock", [&] { for (int i = 0; i < 7; i++) { wait(T(10)); clk.notify(); } });
  thread("driver", [&] { wait(T(25)); t.sync_reset_on(); wait(T(20)); t.sync_reset_off(); });
  sc_start();
}

CASE(two_resets_of_one_thread) {
  sc_signal<bool> soft("soft"), hard("hard");
  sc_event clk;
  Options o{{&clk}};
  o.more = [&](sc_spawn_options& s) { s.reset_signal_is(soft, true); s.async_reset_signal_is(hard, true); };
  thread("t", [&] { say("reset state"); for (int n = 1;; n++) { wait(); say("count " + std::to_string(n)); } }, o);
  thread("clock", [&] { for (int i = 0; i < 9; i++) { wait(T(10)); clk.notify(); } });
  thread("driver", [&] {
    wait(T(15)); soft = true; wait(T(10)); hard = true; wait(T(10)); soft = false; wait(T(10)); hard = false;
  });
  sc_start();
}
