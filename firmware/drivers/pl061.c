#include "pl061.h"
#include "io.h"

void pl061_direction(u64 base, u8 outputs) { write32(base + GPIODIR, outputs); }
void pl061_write(u64 base, u8 mask, u8 value) { write32(base + GPIODATA(mask), value); }
u8 pl061_read(u64 base, u8 mask) { return (u8)read32(base + GPIODATA(mask)); }
