/* PL031 real-time clock, Arm DDI 0224. */
#ifndef PL031_H
#define PL031_H

#define RTCDR 0x000u
#define RTCMR 0x004u
#define RTCLR 0x008u
#define RTCCR 0x00cu
#define RTCIMSC 0x010u
#define RTCRIS 0x014u
#define RTCMIS 0x018u
#define RTCICR 0x01cu
#define RTCPeriphID0 0xfe0u
#define RTCPCellID0 0xff0u

#include "types.h"
/* Does nothing when the clock runs already: it cannot be stopped. */
void pl031_start(u64 base);
u32 pl031_seconds(u64 base);
/* Raises the interrupt when the clock reaches `seconds`. */
void pl031_alarm(u64 base, u32 seconds);
void pl031_quiet(u64 base);

#endif
