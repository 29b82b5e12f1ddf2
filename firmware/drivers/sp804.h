/* SP804 dual timer, Arm DDI 0271. `base` below is that of one of its two timers: SP804_TIMER(device, 0 or 1). */
#ifndef SP804_H
#define SP804_H
#include "types.h"

#define SP804_TIMER(device, n) ((device) + 0x20u * (n))
#define TimerLoad 0x00u
#define TimerValue 0x04u
#define TimerControl 0x08u
#define TimerIntClr 0x0cu
#define TimerRIS 0x10u
#define TimerMIS 0x14u
#define TimerBGLoad 0x18u
#define TimerPeriphID0 0xfe0u
#define TimerPCellID0 0xff0u

#define SP804_ONE_SHOT (1u << 0)
#define SP804_32BIT (1u << 1)
#define SP804_PRESCALE_16 (1u << 2)
#define SP804_PRESCALE_256 (2u << 2)
#define SP804_INT_ENABLE (1u << 5)
#define SP804_PERIODIC (1u << 6)
#define SP804_ENABLE (1u << 7)

void sp804_start(u64 base, u32 load, u32 control);
void sp804_stop(u64 base);
void sp804_clear(u64 base);

#endif
