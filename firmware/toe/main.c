#include "server.h"
#include "arch.h"
#include "board.h"
#include "fdt.h"
#include "fiber.h"
#include "gicv2.h"
#include "io.h"
#include "memory.h"
#include "mmu.h"
#include "pl011.h"
#include "printf.h"
#include "timer.h"

void console_putc(char c) {
  if (c == '\n') pl011_putc(BOARD_UART0_BASE, '\r');
  pl011_putc(BOARD_UART0_BASE, (u8)c);
}

void say(const char *format, ...) {
  va_list list;
  printf("toe: ");
  va_start(list, format);
  vprintf(format, list);
  va_end(list);
  printf("\n");
}

void power_off(void) {
  pl011_drain(BOARD_UART0_BASE);
  psci_call(PSCI_SYSTEM_OFF, 0, 0, 0);
  for (;;) wfi();
}

void fatal(const char *what) {
  say("stopped: %s", what);
  power_off();
}

void toe_block(struct toe *t, volatile bool *done) {
  (void)t;
  fiber_wait(done);
}

static void on_toe(u32 intid, void *unused) {
  (void)intid, (void)unused;
  toe_interrupt(&toe);
}

static void on_timer(u32 intid, void *unused) {
  (void)intid, (void)unused;
  write_sysreg(cntv_ctl_el0, CNT_CTL_IMASK);
  isb();
}

static void idle(void) {
  if (toe_poll(&toe)) return;
  if (server_finished()) power_off();
  u64 deadline = fiber_deadline();
  if (deadline != ~0UL) {
    write_sysreg(cntv_cval_el0, deadline);
    write_sysreg(cntv_ctl_el0, CNT_CTL_ENABLE);
  }
  wfi();
}

static void start_toe(const void *tree) {
  struct fdt_node node;
  u64 base, size;
  u32 interface = parameter("toe.interface", 0);
  if (fdt_compatible(tree, "armature,toe", 0, &node) && fdt_reg(tree, &node, 0, &base, &size)) server_configure(base, interface);
  if (!fdt_compatible(tree, "armature,toe-interface", interface, &node) || !fdt_reg(tree, &node, 0, &base, &size)) fatal("there is no TOE interface");
  void *rings = memory_take(TOE_MEMORY);
  if (!rings || !toe_open(&toe, base, rings)) fatal("the TOE interface is not granted");
  u32 intid = 32 + fdt_cell(tree, &node, "interrupts", 1, 0);
  gic_handle(intid, on_toe, NULL);
  gic_enable(intid);
}

void firmware_start(u64 tree_address);
void firmware_start(u64 tree_address) {
  const void *tree = (const void *)(tree_address >= BOARD_RAM_BASE ? tree_address : BOARD_RAM_BASE);
  struct fdt_node chosen, memory;
  u64 ram = BOARD_RAM_BASE, size = 4UL << 20;
  extern char __image_end[];
  pl011_init(BOARD_UART0_BASE, BOARD_UART0_CLOCK_HZ, 1500000);
  if (!fdt_check(tree)) fatal("there is no device tree");
  if (fdt_named(tree, "chosen", &chosen)) {
    u32 length;
    const char *text = fdt_property(tree, &chosen, "bootargs", &length);
    if (text && length && !text[length - 1]) server_arguments(text);
  }
  if (fdt_named(tree, "memory", &memory)) fdt_reg(tree, &memory, 0, &ram, &size);
  if (size > 1UL << 30) size = 1UL << 30;
  mmu_start(size);
  gic_init(BOARD_GICD_BASE, BOARD_GICC_BASE);
  gic_handle(BOARD_VIRTUAL_TIMER_INTID, on_timer, NULL);
  gic_enable(BOARD_VIRTUAL_TIMER_INTID);
  memory_start(((u64)__image_end + 0x1fffff) & ~0x1fffffUL, ram + size);
  start_toe(tree);
  irq_enable();
  server_begin();
  fiber_run(idle);
  power_off();
}
