// systemc-cases            lists the cases
// systemc-cases NAME       runs one and prints "<tick> <delta count> <text>" lines
#include "cases.hpp"

std::map<std::string, Body>& cases() {
  static std::map<std::string, Body> all;
  return all;
}

int sc_main(int argc, char* argv[]) {
  sc_set_time_resolution(100, SC_PS);
  sc_report_handler::set_actions(SC_INFO, SC_DO_NOTHING);
  sc_report_handler::set_actions(SC_WARNING, SC_DO_NOTHING);
  if (argc < 2) {
    for (auto& c : cases()) std::cout << c.first << "\n";
    return 0;
  }
  auto found = cases().find(argv[1]);
  if (found == cases().end()) return 1;
  found->second();
  return 0;
}
