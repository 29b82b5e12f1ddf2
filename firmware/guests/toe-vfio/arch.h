/* In place of include/arch.h for a program of Linux: what of it exists at EL0. */
#ifndef ARCH_H
#define ARCH_H
#include "types.h"

#define read_sysreg(name)                                         \
  ({                                                              \
    u64 value_;                                                   \
    __asm__ volatile("mrs %0, " #name : "=r"(value_)::"memory");  \
    value_;                                                       \
  })

static inline void isb(void) { __asm__ volatile("isb" ::: "memory"); }
/* Interrupts are counted by an eventfd: none is lost, and nothing is to be masked. */
static inline void irq_enable(void) {}
static inline void irq_disable(void) {}

#endif
