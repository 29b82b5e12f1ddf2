/* Guest programs: bare metal at EL1, one binary for every setting: alone on the board, under a hypervisor that traps the devices, or with the
 * devices passed through. A program prints nothing that depends on the setting or on the machine's speed.
 * Guest-physical map: that of the board, with at least 4 MiB of RAM at 0x40000000; the device tree, if there is one, at its start. */
#ifndef VM_H
#define VM_H
#include "arch.h"
#include "board.h"
#include "gicv2.h"
#include "io.h"
#include "pl011.h"
#include "printf.h"
#include "sp804.h"
#include "timer.h"

#define VM_RAM (4UL << 20)
#define PRIMECELL_ID 0xb105f00du
/* An SPI that nothing on the board drives. */
#define FREE_SPI 232u

/* Given by the program. */
extern const char program_name[];
void program(void);

/* A line of the transcript, begun with the program's name. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);
/* "yes", or "NO" for what should have been so: easy to see. */
const char *yes(bool so);
/* Bytes of the four identification registers at `first`, low byte first in the result. */
u32 identification(u64 first);
/* Asleep until *counter reaches `target`, at most `microseconds` by the virtual timer; false when that passed first. */
bool wait_for(volatile u32 *counter, u32 target, u64 microseconds);
void delay(u64 microseconds);
/* Counts an interrupt: the argument is a volatile u32. */
void count_irq(u32 intid, void *counter);
/* The number behind `name=` in the boot arguments of the device tree; `otherwise` where there is none. */
u32 parameter(const char *name, u32 otherwise);
void power_off(void) __attribute__((noreturn));

#endif
