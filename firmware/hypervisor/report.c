/* The tables at the end. */
#include "hypervisor.h"
#include "timer.h"

static const char *const reasons[EXIT_REASONS] = {
  "UART", "timer", "GICD", "hole", "WFI", "call", "register", "SIMD", "EL2 timer", "maintenance", "virtual timer", "passed device", "other",
};

void report(void) {
  u64 total = 0;
  printf("\nhypervisor: exits     ");
  for (u32 n = 0; n < guests; n++) printf(" %9s", vms[n].name);
  printf("\n");
  for (u32 r = 0; r < EXIT_REASONS; r++) {
    printf("hypervisor: %-13s", reasons[r]);
    for (u32 n = 0; n < guests; n++) printf(" %9u", vms[n].exits[r]);
    printf("\n");
  }
  printf("hypervisor: %-13s", "injected");
  for (u32 n = 0; n < guests; n++) printf(" %9u", vms[n].injected);
  printf("\nhypervisor: %-13s", "switched to");
  for (u32 n = 0; n < guests; n++) printf(" %9u", vms[n].switches);
  printf("\nhypervisor: %-13s", "microseconds");
  for (u32 n = 0; n < guests; n++) printf(" %9lu", timer_microseconds(vms[n].ran));
  printf("\nhypervisor: %-13s", "instructions");
  for (u32 n = 0; n < guests; n++) {
    printf(" %9lu", vms[n].instructions);
    total += vms[n].instructions;
  }
  printf("\n");
  if (!counting || !total) {
    printf("hypervisor: instructions were not counted: the CPU has no event INST_RETIRED\n");
    return;
  }
  u64 hundredths = (hypervisor_instructions * 10000 + total / 2) / total;
  printf("hypervisor: %lu guest instructions, %lu hypervisor instructions, ratio %lu.%02lu %%\n", total, hypervisor_instructions, hundredths / 100,
         hundredths % 100);
}
