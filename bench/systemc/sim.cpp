// The SystemC side of bench/sim.ts: sim WORKLOAD EVENTS prints events and seconds of processor time of the simulation proper.
//   timers        1,000 timers of different periods: an event each, notified again by the method sensitive to it
//   timers-method the same by next_trigger(period)
//   ring          1,000 methods passing a token by delta notification
//   threads       100 threads waiting on time
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <systemc>
#include <vector>

using namespace sc_core;

static unsigned long long events = 0;
static unsigned long long limit = 0;

static inline void count() {
  if (++events == limit) sc_stop();
}

struct Timer : sc_module {
  sc_event due;
  sc_time period;
  SC_HAS_PROCESS(Timer);
  Timer(sc_module_name name, sc_time p) : sc_module(name), period(p) {
    SC_METHOD(fire);
    sensitive << due;
    dont_initialize();
    due.notify(period);
  }
  void fire() {
    count();
    due.notify(period);
  }
};

struct MethodTimer : sc_module {
  sc_time period;
  SC_HAS_PROCESS(MethodTimer);
  MethodTimer(sc_module_name name, sc_time p) : sc_module(name), period(p) { SC_METHOD(fire); }
  void fire() {
    count();
    next_trigger(period);
  }
};

struct Link : sc_module {
  sc_event token;
  Link* next = nullptr;
  SC_HAS_PROCESS(Link);
  explicit Link(sc_module_name name) : sc_module(name) {
    SC_METHOD(pass);
    sensitive << token;
    dont_initialize();
  }
  void pass() {
    count();
    next->token.notify(SC_ZERO_TIME);
  }
};

struct Waiter : sc_module {
  sc_time period;
  SC_HAS_PROCESS(Waiter);
  Waiter(sc_module_name name, sc_time p) : sc_module(name), period(p) { SC_THREAD(run); }
  void run() {
    for (;;) {
      wait(period);
      count();
    }
  }
};

// The periods of bench/sim.ts: 1,000 to 7,993 ticks of 100 ps.
static sc_time period(int i) { return sc_time(100.0 * (1000 + 7 * i), SC_PS); }

int sc_main(int argc, char* argv[]) {
  if (argc != 3) return 2;
  sc_set_time_resolution(100, SC_PS);
  sc_report_handler::set_actions(SC_INFO, SC_DO_NOTHING);
  sc_report_handler::set_actions(SC_WARNING, SC_DO_NOTHING);
  limit = strtoull(argv[2], nullptr, 10);
  std::vector<std::unique_ptr<sc_module>> modules;
  const bool timers = !strcmp(argv[1], "timers"), methods = !strcmp(argv[1], "timers-method");
  if (timers || methods) {
    for (int i = 0; i < 1000; i++) {
      std::string name = "timer" + std::to_string(i);
      if (timers) modules.emplace_back(new Timer(name.c_str(), period(i)));
      else modules.emplace_back(new MethodTimer(name.c_str(), period(i)));
    }
  } else if (!strcmp(argv[1], "ring")) {
    std::vector<Link*> links;
    for (int i = 0; i < 1000; i++) {
      links.push_back(new Link(("link" + std::to_string(i)).c_str()));
      modules.emplace_back(links.back());
    }
    for (int i = 0; i < 1000; i++) links[i]->next = links[(i + 1) % 1000];
    links[0]->token.notify(SC_ZERO_TIME);
  } else if (!strcmp(argv[1], "threads")) {
    for (int i = 0; i < 100; i++) modules.emplace_back(new Waiter(("thread" + std::to_string(i)).c_str(), period(i)));
  } else {
    return 2;
  }
  sc_start(SC_ZERO_TIME);
  const std::clock_t from = std::clock();
  const auto before = events;
  sc_start();
  std::printf("%llu %.6f\n", events - before, double(std::clock() - from) / CLOCKS_PER_SEC);
  return 0;
}
