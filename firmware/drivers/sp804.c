#include "sp804.h"
#include "io.h"

void sp804_start(u64 base, u32 load, u32 control) {
  /* The size is set before the value: what more than 16 bits mean to a 16-bit counter is left open. */
  write32(base + TimerControl, control & ~(SP804_ENABLE | SP804_INT_ENABLE));
  write32(base + TimerIntClr, 1);
  write32(base + TimerLoad, load);
  write32(base + TimerControl, control | SP804_ENABLE);
}

void sp804_stop(u64 base) {
  write32(base + TimerControl, 0);
  write32(base + TimerIntClr, 1);
}

/* Any value clears. */
void sp804_clear(u64 base) { write32(base + TimerIntClr, 0); }
