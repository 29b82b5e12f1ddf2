#include "vm.h"
#include "fdt.h"
#include "mmu.h"

/* 24 MHz / 16: the highest rate of this clock, ten bit times of 667 ns a character. */
#define CONSOLE_BAUD 1500000u

static const char *arguments;

void console_putc(char c) {
  if (c == '\n') pl011_putc(BOARD_UART0_BASE, '\r');
  pl011_putc(BOARD_UART0_BASE, (u8)c);
}

void say(const char *format, ...) {
  va_list list;
  printf("%s: ", program_name);
  va_start(list, format);
  vprintf(format, list);
  va_end(list);
  printf("\n");
}

const char *yes(bool so) { return so ? "yes" : "NO"; }

u32 identification(u64 first) {
  u32 value = 0;
  for (u32 i = 0; i < 4; i++) value |= (read32(first + 4 * i) & 0xff) << 8 * i;
  return value;
}

void count_irq(u32 intid, void *counter) {
  (void)intid;
  ++*(volatile u32 *)counter;
}

void delay(u64 microseconds) {
  u64 start = timer_virtual_count(), ticks = timer_ticks(microseconds);
  while (timer_virtual_count() - start < ticks) {
  }
}

static void on_deadline(u32 intid, void *argument) {
  (void)intid, (void)argument;
  write_sysreg(cntv_ctl_el0, CNT_CTL_IMASK);
  isb();
}

bool wait_for(volatile u32 *counter, u32 target, u64 microseconds) {
  u64 deadline = timer_virtual_count() + timer_ticks(microseconds);
  bool done;
  gic_handle(BOARD_VIRTUAL_TIMER_INTID, on_deadline, NULL);
  write_sysreg(cntv_cval_el0, deadline);
  write_sysreg(cntv_ctl_el0, CNT_CTL_ENABLE);
  gic_enable(BOARD_VIRTUAL_TIMER_INTID);
  for (;;) {
    /* Masked from the test to WFI, so that no wake-up is lost: WFI ends on a pending interrupt, masked or not. */
    irq_disable();
    done = (s32)(*counter - target) >= 0;
    if (done || timer_virtual_count() >= deadline) break;
    wfi();
    irq_enable();
  }
  write_sysreg(cntv_ctl_el0, 0);
  isb();
  gic_disable(BOARD_VIRTUAL_TIMER_INTID);
  irq_enable();
  return done;
}

u32 parameter(const char *name, u32 otherwise) {
  u64 length = strlen(name);
  for (const char *p = arguments; p && *p;) {
    if (!memcmp(p, name, length) && p[length] == '=') {
      u32 value = 0;
      for (p += length + 1; *p >= '0' && *p <= '9'; p++) value = value * 10 + (u32)(*p - '0');
      return value;
    }
    while (*p && *p != ' ') p++;
    while (*p == ' ') p++;
  }
  return otherwise;
}

void power_off(void) {
  pl011_drain(BOARD_UART0_BASE);
  psci_call(PSCI_SYSTEM_OFF, 0, 0, 0);
  for (;;) wfi();
}

void fatal(const char *what) __attribute__((noreturn));
void fatal(const char *what) {
  say("stopped by an %s that it did not expect", what);
  power_off();
}

void firmware_start(u64 argument);
void firmware_start(u64 argument) {
  const void *tree = NULL;
  struct fdt_node chosen;
  pl011_init(BOARD_UART0_BASE, BOARD_UART0_CLOCK_HZ, CONSOLE_BAUD);
  if (argument >= BOARD_RAM_BASE && argument < BOARD_RAM_BASE + VM_RAM && fdt_check((const void *)argument)) tree = (const void *)argument;
  else if (fdt_check((const void *)BOARD_RAM_BASE)) tree = (const void *)BOARD_RAM_BASE;
  if (tree && fdt_named(tree, "chosen", &chosen)) {
    u32 length;
    const char *text = fdt_property(tree, &chosen, "bootargs", &length);
    if (text && length && !text[length - 1]) arguments = text;
  }
  mmu_start(VM_RAM);
  gic_init(BOARD_GICD_BASE, BOARD_GICC_BASE);
  irq_enable();
  program();
  power_off();
}
