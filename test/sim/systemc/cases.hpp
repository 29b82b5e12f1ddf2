// What the cases of cases.cpp have in common. Each case is a function; a run of the program runs the one it is given by
// name, since SystemC elaborates once a process. Time is in ticks of 100 ps, as in src/sim/time.ts.
#pragma once
#define SC_INCLUDE_DYNAMIC_PROCESSES
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <systemc>
#include <vector>

using namespace sc_core;
using Events = std::vector<const sc_event*>;
using Body = std::function<void()>;

inline sc_time T(double ticks) { return sc_time(ticks * 100, SC_PS); }
inline long long ticks() { return sc_time_stamp().value(); }

inline void say(const std::string& text) {
  std::cout << ticks() << " " << sc_delta_count() << " " << text << "\n";
}

struct Options {
  Events sensitive;
  bool initialize = true;
  std::function<void(sc_spawn_options&)> more;
};

inline sc_process_handle spawn(const char* name, Body body, const Options& o, bool method) {
  sc_spawn_options options;
  if (method) options.spawn_method();
  if (!o.initialize) options.dont_initialize();
  for (auto e : o.sensitive) options.set_sensitivity(e);
  if (o.more) o.more(options);
  return sc_spawn(body, name, &options);
}
inline sc_process_handle method(const char* name, Body body, const Options& o = {}) { return spawn(name, body, o, true); }
inline sc_process_handle thread(const char* name, Body body, const Options& o = {}) { return spawn(name, body, o, false); }
const bool LATER = false;

std::map<std::string, Body>& cases();
struct Register {
  Register(const char* name, Body body) { cases()[name] = body; }
};
#define CASE(name)                              \
  static void case_##name();                    \
  static Register register_##name(#name, case_##name); \
  static void case_##name()
