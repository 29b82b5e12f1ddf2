/* The self test of the `virt` board: one line a check, PASS or FAIL, with what was seen. Figures that depend on the speed of
 * the machine are written t=<n>us, so that two runs can be compared without them. */
#ifndef SELFTEST_H
#define SELFTEST_H
#include "arch.h"
#include "board.h"
#include "io.h"
#include "printf.h"
#include "timer.h"

__attribute__((format(printf, 3, 4))) bool check(const char *name, bool passed, const char *format, ...);
void skip(const char *name, const char *reason);
void section(const char *title);

/* Where the device tree is, or NULL. */
extern const void *device_tree;

/* Bytes of the four identification registers at `first`, low byte first in the result. */
u32 identification(u64 first);
#define PRIMECELL_ID 0xb105f00du

/* Counts an interrupt: the argument is a volatile u32. */
void count_irq(u32 intid, void *counter);

void test_cpu(void);
void test_exceptions(void);
void test_mmu(void);
void test_lower_level(void);
void test_device_tree(void);
void test_psci(void);
void test_gic(void);
void test_gic_delivery(void);
void test_gicv2m(void);
void test_timer(void);
void test_uart(void);
void test_uart_errors(void);
void test_sp804(void);
void test_rtc_start(void);
void test_rtc_finish(void);
void test_gpio(void);
void test_fw_cfg(void);
void test_flash(void);
void test_virtio(void);
void test_pcie(void);

#endif
