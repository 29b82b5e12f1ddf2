/* Cooperative threads: each has a stack of its own and runs until it waits. */
#ifndef FIBER_H
#define FIBER_H
#include "types.h"

#ifndef FIBER_STACK
#define FIBER_STACK 0x3000u
#endif

/* Starts `entry(argument)`; false where there is no room for another. Stacks come from `memory_take`. */
bool fiber_start(void (*entry)(void *), void *argument);
/* Others run; returns when *flag is true. */
void fiber_wait(volatile bool *flag);
/* Returns at that value of the virtual counter or later. */
void fiber_sleep_until(u64 count);
/* Runs fibers until none is left. `idle` is called, interrupts masked, when all wait; it takes what has happened, or sleeps. */
void fiber_run(void (*idle)(void));
/* The earliest instant that a fiber sleeps until; all ones where none does. */
u64 fiber_deadline(void);

#endif
