/* PL061 GPIO, Arm DDI 0190. */
#ifndef PL061_H
#define PL061_H
#include "types.h"

/* Address bits 9 to 2 are the mask of the access. */
#define GPIODATA(mask) ((u32)(mask) << 2)
#define GPIODIR 0x400u
#define GPIOIS 0x404u
#define GPIOIBE 0x408u
#define GPIOIEV 0x40cu
#define GPIOIE 0x410u
#define GPIORIS 0x414u
#define GPIOMIS 0x418u
#define GPIOIC 0x41cu
#define GPIOAFSEL 0x420u
#define GPIOPeriphID0 0xfe0u
#define GPIOPCellID0 0xff0u

void pl061_direction(u64 base, u8 outputs);
void pl061_write(u64 base, u8 mask, u8 value);
u8 pl061_read(u64 base, u8 mask);

#endif
