// Events: notification, cancellation, order (IEEE 1666-2011 clause 5.10).
#include "cases.hpp"

CASE(immediate_runs_in_the_same_evaluation) {
  sc_event e;
  method("woken", [&] { say("woken"); }, {{&e}, LATER});
  method("notifier", [&] { say("before"); e.notify(); say("after"); });
  sc_start();
}

CASE(delta_runs_in_the_next_delta_cycle) {
  sc_event e;
  method("woken", [&] { say("woken"); }, {{&e}, LATER});
  method("notifier", [&] { e.notify(SC_ZERO_TIME); say("notified"); });
  sc_start();
}

CASE(timed_runs_at_its_time) {
  sc_event e;
  method("woken", [&] { say("woken"); }, {{&e}, LATER});
  method("notifier", [&] { e.notify(T(25)); say("notified"); });
  sc_start();
}

CASE(immediate_replaces_delta) {
  sc_event e;
  method("woken", [&] { say("woken"); }, {{&e}, LATER});
  method("notifier", [&] { e.notify(SC_ZERO_TIME); e.notify(); });
  sc_start();
  say("end");
}

CASE(immediate_replaces_timed) {
  sc_event e;
  method("woken", [&] { say("woken"); }, {{&e}, LATER});
  method("notifier", [&] { e.notify(T(10)); e.notify(); });
  sc_start(T(100));
  say("end");
}

CASE(delta_replaces_timed) {
  sc_event e;
  method("woken", [&] { say("woken"); }, {{&e}, LATER});
  method("notifier", [&] { e.notify(T(10)); e.notify(SC_ZERO_TIME); });
  sc_start(T(100));
  say("end");
}

CASE(timed_after_delta_is_dropped) {
  sc_event e;
  method("woken", [&] { say("woken"); }, {{&e}, LATER});
  method("notifier", [&] { e.notify(SC_ZERO_TIME); e.notify(T(10)); });
  sc_start(T(100));
  say("end");
}

CASE(the_earlier_timed_notification_wins) {
  sc_event e, f, g;
  method("e", [&] { say("e"); }, {{&e}, LATER});
  method("f", [&] { say("f"); }, {{&f}, LATER});
  method("g", [&] { say("g"); }, {{&g}, LATER});
  method("notifier", [&] {
    e.notify(T(50)); e.notify(T(20));
    f.notify(T(30)); f.notify(T(60));
    g.notify(T(40)); g.notify(T(40));
  });
  sc_start(T(100));
}

CASE(a_notification_is_pending_once) {
  sc_event e;
  method("woken", [&] { say("woken"); }, {{&e}, LATER});
  method("one", [&] { e.notify(SC_ZERO_TIME); });
  method("two", [&] { e.notify(SC_ZERO_TIME); });
  thread("three", [&] { e.notify(SC_ZERO_TIME); wait(T(5)); e.notify(T(5)); wait(T(1)); e.notify(T(4)); });
  sc_start();
}

CASE(cancel_delta) {
  sc_event e;
  method("woken", [&] { say("woken"); }, {{&e}, LATER});
  method("notifier", [&] { e.notify(SC_ZERO_TIME); e.cancel(); say("cancelled"); });
  sc_start(T(10));
  say("end");
}

CASE(cancel_timed_then_notify_again) {
  sc_event e;
  method("woken", [&] { say("woken"); }, {{&e}, LATER});
  thread("notifier", [&] {
    e.notify(T(10)); wait(T(5)); e.cancel(); say("cancelled"); wait(T(10)); e.notify(T(3)); e.cancel(); e.notify(T(4));
  });
  sc_start();
}

CASE(cancel_does_not_undo_immediate) {
  sc_event e;
  method("woken", [&] { say("woken"); }, {{&e}, LATER});
  method("notifier", [&] { e.notify(); e.cancel(); say("cancelled"); });
  sc_start();
}

CASE(delta_events_fire_last_notified_first) {
  sc_event a, b, c;
  method("on_a", [&] { say("a"); }, {{&a}, LATER});
  method("on_b", [&] { say("b"); }, {{&b}, LATER});
  method("on_c", [&] { say("c"); }, {{&c}, LATER});
  method("notifier", [&] { b.notify(SC_ZERO_TIME); a.notify(SC_ZERO_TIME); c.notify(SC_ZERO_TIME); });
  sc_start();
}

CASE(cancel_among_delta_events_moves_the_last) {
  sc_event a, b, c, d;
  method("on_a", [&] { say("a"); }, {{&a}, LATER});
  method("on_b", [&] { say("b"); }, {{&b}, LATER});
  method("on_c", [&] { say("c"); }, {{&c}, LATER});
  method("on_d", [&] { say("d"); }, {{&d}, LATER});
  method("notifier", [&] {
    a.notify(SC_ZERO_TIME); b.notify(SC_ZERO_TIME); c.notify(SC_ZERO_TIME); d.notify(SC_ZERO_TIME); a.cancel();
  });
  sc_start();
}

CASE(two_timed_events_of_one_instant) {
  sc_event a, b;
  method("on_a", [&] { say("a"); }, {{&a}, LATER});
  method("on_b", [&] { say("b"); }, {{&b}, LATER});
  method("notifier", [&] { b.notify(T(10)); a.notify(T(10)); });
  sc_start();
}

CASE(three_timed_events_of_one_instant) {
  sc_event a, b, c;
  method("on_a", [&] { say("a"); }, {{&a}, LATER});
  method("on_b", [&] { say("b"); }, {{&b}, LATER});
  method("on_c", [&] { say("c"); }, {{&c}, LATER});
  method("notifier", [&] { a.notify(T(10)); b.notify(T(10)); c.notify(T(10)); });
  sc_start();
}

CASE(three_threads_of_one_period) {
  for (auto name : {"a", "b", "c"}) thread(name, [=] { for (int i = 0; i < 3; i++) { wait(T(10)); say(name); } });
  sc_start();
}

CASE(timed_events_of_one_instant_share_a_delta_cycle) {
  sc_event a, b;
  int n = 0;
  method("either", [&] { n++; say("run " + std::to_string(n)); }, {{&a, &b}, LATER});
  method("notifier", [&] { a.notify(T(10)); b.notify(T(10)); });
  sc_start();
}

CASE(static_sensitivity_runs_last_declared_first) {
  sc_event e;
  method("first", [&] { say("first"); }, {{&e}, LATER});
  method("second", [&] { say("second"); }, {{&e}, LATER});
  method("third", [&] { say("third"); }, {{&e}, LATER});
  thread("fourth", [&] { for (;;) { wait(); say("fourth"); } }, {{&e}});
  thread("fifth", [&] { for (;;) { wait(); say("fifth"); } }, {{&e}});
  method("notifier", [&] { e.notify(T(1)); });
  sc_start();
}

CASE(dynamic_waits_fill_the_gap_with_the_last) {
  sc_event e;
  for (auto name : {"a", "b", "c", "d", "e"}) thread(name, [&e, name] { wait(e); say(name); wait(e); say(name); });
  method("notifier", [&] { next_trigger(T(10)); if (ticks() > 0 && ticks() < 30) e.notify(); });
  sc_start(T(40));
}

CASE(static_before_dynamic_methods_before_threads) {
  sc_event e;
  thread("static_thread", [&] { for (;;) { wait(); say("static thread"); } }, {{&e}});
  thread("dynamic_thread", [&] { for (;;) { wait(e); say("dynamic thread"); } });
  method("dynamic_method", [&] { say("dynamic method"); next_trigger(e); });
  method("static_method", [&] { say("static method"); }, {{&e}});
  method("notifier", [&] { e.notify(T(1)); });
  sc_start();
}

CASE(own_immediate_notification_does_not_start_a_method) {
  sc_event e;
  int n = 0;
  method("self", [&] { say("self"); if (n++ < 3) e.notify(); }, {{&e}});
  method("other", [&] { say("other"); e.notify(); }, {{}, true});
  sc_start();
}

CASE(own_immediate_notification_leaves_the_dynamic_wait) {
  sc_event e;
  int n = 0;
  method("self", [&] { say("self"); next_trigger(e); if (n++ < 2) e.notify(); });
  method("kick", [&] { next_trigger(T(10)); if (ticks() > 0) e.notify(); });
  sc_start(T(25));
}

CASE(own_delta_notification_starts_a_method_again) {
  sc_event e;
  int n = 0;
  method("self", [&] { say("self"); if (n++ < 3) e.notify(SC_ZERO_TIME); }, {{&e}});
  sc_start();
}

CASE(immediate_chain_within_one_evaluation) {
  sc_event a, b, c;
  method("on_a", [&] { say("a"); b.notify(); }, {{&a}, LATER});
  method("on_b", [&] { say("b"); c.notify(); }, {{&b}, LATER});
  thread("on_c", [&] { for (;;) { wait(); say("c"); } }, {{&c}});
  method("on_c_too", [&] { say("c too"); }, {{&c}, LATER});
  thread("start", [&] { wait(T(5)); say("start"); a.notify(); say("started"); });
  sc_start();
}

CASE(runnable_process_is_not_queued_twice) {
  sc_event a, b;
  method("both", [&] { say("both"); }, {{&a, &b}, LATER});
  method("notifier", [&] { a.notify(); b.notify(); a.notify(SC_ZERO_TIME); });
  sc_start();
}

CASE(notify_from_outside_between_runs) {
  sc_event e;
  method("woken", [&] { say("woken"); }, {{&e}, LATER});
  sc_start(T(10));
  e.notify(SC_ZERO_TIME);
  sc_start(T(10));
  e.notify();
  sc_start(T(10));
  e.notify(T(10));
  sc_start(T(10));
  say("held");
  sc_start(T(10));
}

CASE(ping_pong_by_delta) {
  sc_event ping, pong;
  int n = 0;
  method("ping", [&] { say("ping"); if (n++ < 4) pong.notify(SC_ZERO_TIME); }, {{&ping}});
  method("pong", [&] { say("pong"); ping.notify(SC_ZERO_TIME); }, {{&pong}, LATER});
  sc_start();
}

CASE(delta_notification_before_the_start) {
  sc_event e;
  method("woken", [&] { say("woken"); }, {{&e}, LATER});
  method("init", [&] { say("init"); });
  e.notify(SC_ZERO_TIME);
  sc_start(T(10));
  say("end");
}
