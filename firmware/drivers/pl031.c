#include "pl031.h"
#include "io.h"

void pl031_start(u64 base) {
  if (!(read32(base + RTCCR) & 1)) write32(base + RTCCR, 1);
}

u32 pl031_seconds(u64 base) { return read32(base + RTCDR); }

void pl031_alarm(u64 base, u32 seconds) {
  write32(base + RTCIMSC, 0);
  write32(base + RTCICR, 1);
  write32(base + RTCMR, seconds);
  write32(base + RTCIMSC, 1);
}

void pl031_quiet(u64 base) {
  write32(base + RTCIMSC, 0);
  write32(base + RTCICR, 1);
}
