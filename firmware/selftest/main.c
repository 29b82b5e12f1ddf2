/* The main job: starts the board, exercises each device, says what it saw, and switches the machine off. */
#include "selftest.h"
#include "fdt.h"
#include "gicv2.h"
#include "mmu.h"
#include "pl011.h"

const void *device_tree;
static u32 passed, failed, skipped;

/* 24 MHz / 16: the highest rate of this clock, ten bit times of 667 ns a character. */
#define CONSOLE_BAUD 1500000u

void console_putc(char c) {
  if (c == '\n') pl011_putc(BOARD_UART0_BASE, '\r');
  pl011_putc(BOARD_UART0_BASE, (u8)c);
}

bool check(const char *name, bool ok, const char *format, ...) {
  va_list arguments;
  printf("%s %-26s ", ok ? "PASS" : "FAIL", name);
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  printf("\n");
  ok ? passed++ : failed++;
  return ok;
}

void skip(const char *name, const char *reason) {
  printf("SKIP %-26s %s\n", name, reason);
  skipped++;
}

void section(const char *title) { printf("\n-- %s\n", title); }

u32 identification(u64 first) {
  u32 value = 0;
  for (u32 i = 0; i < 4; i++) value |= (read32(first + 4 * i) & 0xff) << 8 * i;
  return value;
}

void count_irq(u32 intid, void *counter) {
  (void)intid;
  ++*(volatile u32 *)counter;
}

static void finish(void) __attribute__((noreturn));
static void finish(void) {
  printf("\nselftest: %u passed, %u failed, %u skipped\n", passed, failed, skipped);
  /* Only a run without a failure ends with this line: what a host waits for. */
  if (!failed) printf("selftest: ok\n");
  pl011_drain(BOARD_UART0_BASE);
  psci_call(PSCI_SYSTEM_OFF, 0, 0, 0);
  for (;;) wfi();
}

void fatal(const char *what) __attribute__((noreturn));
void fatal(const char *what) {
  check("fatal", false, "%s that no check expected; the rest was not run", what);
  finish();
}

static u64 ram_size(void) {
  struct fdt_node memory;
  u64 base, size;
  if (device_tree && fdt_named(device_tree, "memory", &memory) && fdt_reg(device_tree, &memory, 0, &base, &size) &&
      base == BOARD_RAM_BASE)
    return size;
  return 64UL << 20;
}

void firmware_start(u64 argument);
void firmware_start(u64 argument) {
  pl011_init(BOARD_UART0_BASE, BOARD_UART0_CLOCK_HZ, CONSOLE_BAUD);
  /* Linux's boot protocol passes the tree in x0; for an ELF it lies at the base of RAM. */
  if (argument >= BOARD_RAM_BASE && fdt_check((const void *)argument)) device_tree = (const void *)argument;
  else if (fdt_check((const void *)BOARD_RAM_BASE)) device_tree = (const void *)BOARD_RAM_BASE;
  mmu_start(ram_size());
  gic_init(BOARD_GICD_BASE, BOARD_GICC_BASE);
  irq_enable();

  printf("\nArmature self test: virt board, EL%u, %lu MiB of RAM\n", boot_el, ram_size() >> 20);
  u64 start = timer_count();
  test_rtc_start();
  test_cpu();
  test_exceptions();
  test_mmu();
  test_lower_level();
  test_device_tree();
  test_psci();
  test_gic();
  test_gic_delivery();
  test_gicv2m();
  test_timer();
  test_uart();
  test_uart_errors();
  test_sp804();
  test_gpio();
  test_fw_cfg();
  test_flash();
  test_virtio();
  test_pcie();
  test_rtc_finish();
  check("interrupts.unclaimed", gic_unclaimed == 0, "%u without a handler", gic_unclaimed);
  printf("\nt=%luus from the first check to the last\n", timer_microseconds(timer_count() - start));
  finish();
}
