// Runs one program of program.ts, given as numbers on standard input, and prints "<tick> <delta count> <process> <signals>"
// for each activation of a process.
#define SC_INCLUDE_DYNAMIC_PROCESSES
#include <functional>
#include <iostream>
#include <memory>
#include <systemc>
#include <vector>

using namespace sc_core;
using Numbers = std::vector<int>;

struct Step {
  std::vector<Numbers> operations;
  Numbers wait;
};
struct Proc {
  bool thread, initialize;
  Numbers sensitive;
  std::vector<Step> steps;
  int runs = 0;
  sc_process_handle handle;
};

static int number() {
  int n = 0;
  std::cin >> n;
  return n;
}
static Numbers numbers() {
  Numbers list(number());
  for (auto& n : list) n = number();
  return list;
}
static sc_time T(int ticks) { return sc_time(ticks * 100.0, SC_PS); }

static std::vector<std::unique_ptr<sc_event>> events;
static std::vector<std::unique_ptr<sc_signal<bool, SC_UNCHECKED_WRITERS>>> signals;
static std::vector<Proc> procs;
const int LIMIT = 12;

static const sc_event& event(int i) {
  const int e = events.size(), s = signals.size();
  if (i < e) return *events[i];
  i -= e;
  if (i < s) return signals[i]->value_changed_event();
  if (i < 2 * s) return signals[i - s]->posedge_event();
  return signals[i - 2 * s]->negedge_event();
}

static void say(int p) {
  std::cout << sc_time_stamp().value() << " " << sc_delta_count() << " " << p << " ";
  for (auto& s : signals) std::cout << (s->read() ? 1 : 0);
  std::cout << "\n";
}

static void perform(int self, const Numbers& op) {
  switch (op[0]) {
    case 0: events[op[1]]->notify(); break;
    case 1: events[op[1]]->notify(SC_ZERO_TIME); break;
    case 2: events[op[1]]->notify(T(op[2])); break;
    case 3: events[op[1]]->cancel(); break;
    case 4: signals[op[1]]->write(op[2] != 0); break;
    default: {
      sc_process_handle& target = procs[op[1]].handle;
      if (target.terminated()) break;
      if (op[0] == 5 && !(op[1] == self && procs[self].thread)) target.suspend();
      if (op[0] == 6) target.resume();
      // SystemC 2.3.4 still runs a thread that was killed before its first run: a case of its own in processes.cpp.
      if (op[0] == 7 && !(procs[op[1]].thread && procs[op[1]].runs == 0)) target.kill();
    }
  }
}

// Lists live as long as the program: a process may wait for one until the end.
static const sc_event_or_list& any(const Numbers& w, size_t from) {
  auto* list = new sc_event_or_list;
  for (size_t i = from; i < w.size(); i++) *list |= event(w[i]);
  return *list;
}
static const sc_event_and_list& all(const Numbers& w, size_t from) {
  auto* list = new sc_event_and_list;
  for (size_t i = from; i < w.size(); i++) *list &= event(w[i]);
  return *list;
}

static void await(const Numbers& w) {
  switch (w[0]) {
    case 0: wait(); break;
    case 1: wait(T(w[1])); break;
    case 2: wait(event(w[1])); break;
    case 3: wait(any(w, 1)); break;
    case 4: wait(all(w, 1)); break;
    case 5: wait(T(w[1]), event(w[2])); break;
    case 6: wait(T(w[1]), any(w, 2)); break;
    case 7: wait(T(w[1]), all(w, 2)); break;
    case 8: wait(w[1]); break;
  }
}
static void trigger(const Numbers& w) {
  switch (w[0]) {
    case 1: next_trigger(T(w[1])); break;
    case 2: next_trigger(event(w[1])); break;
    case 3: next_trigger(any(w, 1)); break;
    case 4: next_trigger(all(w, 1)); break;
    case 5: next_trigger(T(w[1]), event(w[2])); break;
    case 6: next_trigger(T(w[1]), any(w, 2)); break;
    case 7: next_trigger(T(w[1]), all(w, 2)); break;
  }
}

static const Step* activate(int self) {
  Proc& p = procs[self];
  say(self);
  if (p.runs == LIMIT) return nullptr;
  const Step& step = p.steps[p.runs++ % p.steps.size()];
  for (auto& op : step.operations) perform(self, op);
  return &step;
}

int sc_main(int, char*[]) {
  sc_set_time_resolution(100, SC_PS);
  sc_report_handler::set_actions(SC_INFO, SC_DO_NOTHING);
  sc_report_handler::set_actions(SC_WARNING, SC_DO_NOTHING);
  for (int n = number(); n > 0; n--) events.emplace_back(new sc_event);
  for (int n = number(); n > 0; n--) signals.emplace_back(new sc_signal<bool, SC_UNCHECKED_WRITERS>);
  procs.resize(number());
  for (auto& p : procs) {
    p.thread = number();
    p.initialize = number();
    p.sensitive = numbers();
    p.steps.resize(number());
    for (auto& s : p.steps) {
      s.operations.resize(number());
      for (auto& op : s.operations) op = numbers();
      s.wait = numbers();
    }
  }
  for (size_t i = 0; i < procs.size(); i++) {
    Proc& p = procs[i];
    sc_spawn_options options;
    if (!p.thread) options.spawn_method();
    if (!p.initialize) options.dont_initialize();
    for (int e : p.sensitive) options.set_sensitivity(&event(e));
    const int self = i;
    std::function<void()> body;
    if (p.thread) body = [self] { while (const Step* s = activate(self)) await(s->wait); };
    else body = [self] { if (const Step* s = activate(self)) trigger(s->wait); };
    p.handle = sc_spawn(body, ("p" + std::to_string(i)).c_str(), &options);
  }
  for (int ticks : numbers()) {
    if (ticks == 0) sc_start(SC_ZERO_TIME);
    else sc_start(T(ticks));
    std::cout << "run " << sc_time_stamp().value() << "\n";
  }
  return 0;
}
