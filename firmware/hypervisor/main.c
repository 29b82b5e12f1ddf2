/* Start at EL2: which guests, with which devices, from the boot arguments; then their memory, and off they go.
 *   guests=PROGRAM[:trap|:pass|:pass-uart|:pass-timer][,...]   up to four; what is passed is the second UART and timer, each once ("two:trap,two:pass")
 *   slice=N          microseconds (1000)
 *   limit=N[,N...]   microseconds for which each guest may run in all; 0 or nothing: as long as it likes
 * All boot arguments are the guests' too. */
#include "hypervisor.h"
#include "fdt.h"
#include "mmu.h"
#include "pl011.h"
#include "timer.h"

#define CONSOLE_BAUD 1500000u
#define HCR_GUEST (1UL << 0 | 1UL << 1 | 7UL << 3 | 1UL << 9 | 1UL << 13 | 1UL << 19 | 1UL << 21 | 1UL << 31)
/* 32-bit guest-physical addresses from level 1, write-back inner shareable walks, 40-bit physical addresses, RES1. */
#define VTCR (32UL | 1UL << 6 | 1UL << 8 | 1UL << 10 | 3UL << 12 | 2UL << 16 | 1UL << 31)
#define SCTLR_EL1_RESET 0x30d00800UL

extern const char program_two[], program_two_end[], program_work[], program_work_end[], program_wild[], program_wild_end[];
extern const char program_probe[], program_probe_end[];
static const struct {
  const char *name, *start, *end;
} programs[] = { { "two", program_two, program_two_end }, { "work", program_work, program_work_end }, { "wild", program_wild, program_wild_end }, { "probe", program_probe, program_probe_end } };

struct vm vms[MAX_GUESTS] __attribute__((aligned(16)));
u32 guests;
static const char *bootargs = "";

void console_putc(char c) {
  if (c == '\n') pl011_putc(BOARD_UART0_BASE, '\r');
  pl011_putc(BOARD_UART0_BASE, (u8)c);
}

static void off(void) __attribute__((noreturn));
static void off(void) {
  pl011_drain(BOARD_UART0_BASE);
  psci_call(PSCI_SYSTEM_OFF, 0, 0, 0);
  for (;;) wfi();
}

/* A guest's line goes out whole, with its number and name before it. */
void console_flush(struct vm *vm) {
  if (!vm->line_length) return;
  vm->line[vm->line_length] = 0;
  printf("[%u:%s] %s\n", vm->index, vm->name, vm->line);
  vm->line_length = 0;
}

void console_write(struct vm *vm, u8 byte) {
  if (byte == '\r') return;
  if (byte == '\n') {
    if (!vm->line_length) printf("[%u:%s]\n", vm->index, vm->name);
    console_flush(vm);
    return;
  }
  vm->line[vm->line_length++] = (char)byte;
  if (vm->line_length == sizeof vm->line - 1) console_flush(vm);
}

void vm_stop(struct vm *vm, const char *why) {
  console_flush(vm);
  if (why) printf("hypervisor: guest %u %s; it is stopped\n", vm->index, why);
  vm->state = VM_OFF;
}

void finish(void) {
  write_sysreg(cnthp_ctl_el2, CNT_CTL_STOPPED);
  counters_account();
  report();
  off();
}

/* --- boot arguments */

static bool starts(const char *text, const char *with) { return !memcmp(text, with, strlen(with)); }

static const char *argument(const char *name) {
  for (const char *p = bootargs; *p;) {
    u64 length = strlen(name);
    /* bootargs ends with zeros enough: it is copied below. */
    if (!memcmp(p, name, length) && p[length] == '=') return p + length + 1;
    while (*p && *p != ' ') p++;
    while (*p == ' ') p++;
  }
  return NULL;
}

/* The `index`-th of the decimal numbers of an argument, between commas; `otherwise` where it is absent or zero. */
static u64 number(const char *name, u32 index, u64 otherwise) {
  const char *p = argument(name);
  u64 value = 0;
  for (; p && index; p++) {
    if (!*p || *p == ' ') return otherwise;
    if (*p == ',') index--;
  }
  for (; p && *p >= '0' && *p <= '9' && value < 1UL << 40; p++) value = value * 10 + (u64)(*p - '0');
  return value ? value : otherwise;
}

static void refuse(const char *what, const char *which) {
  printf("hypervisor: %s: %s\n", what, which);
  off();
}

static void boot(struct vm *vm, u32 program) {
  u64 ram = GUEST_MEMORY(vm->index), size = (u64)(programs[program].end - programs[program].start);
  memcpy((void *)(ram + (GUEST_ENTRY - BOARD_RAM_BASE)), programs[program].start, size);
  tree_build((void *)ram, BOARD_RAM_BASE, GUEST_RAM, bootargs);
  /* The guest starts with its caches off: what lies in ours has to be in memory. */
  for (u64 at = ram; at < ram + GUEST_RAM; at += 16) {
    if (at == ram + 8192) at = ram + (GUEST_ENTRY - BOARD_RAM_BASE);
    if (at >= ram + (GUEST_ENTRY - BOARD_RAM_BASE) + size) break;
    __asm__ volatile("dc civac, %0" ::"r"(at) : "memory");
  }
  memcpy(vm->name, programs[program].name, strlen(programs[program].name) + 1);
  vm->elr = GUEST_ENTRY;
  vm->spsr = 0x3c5;
  vm->x[0] = BOARD_RAM_BASE;
  vm->sctlr = SCTLR_EL1_RESET;
  /* Its count begins at zero. */
  vm->cntvoff = now();
  vm->deadline = NEVER;
  u64 most = number("limit", vm->index, 0);
  vm->limit = most ? timer_ticks(most) : NEVER;
  stage2_build(vm);
  vgic_reset(vm);
  vuart_reset(vm);
  vtimer_reset(vm);
}

static void configure(const char *list, bool second_uart, bool second_timer) {
  bool uart_given = false, timer_given = false;
  const char *p = list;
  while (*p && *p != ' ') {
    u32 program = 0;
    if (guests == MAX_GUESTS) refuse("more than four guests", list);
    while (program < ARRAY_SIZE(programs) && !starts(p, programs[program].name)) program++;
    if (program == ARRAY_SIZE(programs)) refuse("no such program", p);
    p += strlen(programs[program].name);
    struct vm *vm = &vms[guests];
    vm->index = guests;
    if (starts(p, ":pass")) {
      vm->pass_uart = !starts(p, ":pass-timer");
      vm->pass_timer = !starts(p, ":pass-uart");
      if ((vm->pass_uart && !second_uart) || (vm->pass_timer && !second_timer)) refuse("the board has no second one to pass", p);
      if ((vm->pass_uart && uart_given) || (vm->pass_timer && timer_given)) refuse("passed to two guests", p);
      uart_given = uart_given || vm->pass_uart;
      timer_given = timer_given || vm->pass_timer;
      p += vm->pass_uart && vm->pass_timer ? 5 : vm->pass_uart ? 10 : 11;
    } else if (starts(p, ":trap")) {
      p += 5;
    }
    if (*p == ',') p++;
    else if (*p && *p != ' ') refuse("not understood", p);
    guests++;
    boot(vm, program);
  }
  if (!guests) refuse("no guests", list);
}

void firmware_start(u64 argument_of_boot);
void firmware_start(u64 argument_of_boot) {
  static char copy[512];
  const void *tree = NULL;
  struct fdt_node node;
  bool second_uart = false, second_timer = false;
  pl011_init(BOARD_UART0_BASE, BOARD_UART0_CLOCK_HZ, CONSOLE_BAUD);
  if (boot_el != 2) {
    printf("hypervisor: started at EL%u; it needs EL2 (-M virt,virtualization=on)\n", boot_el);
    off();
  }
  if (argument_of_boot >= BOARD_RAM_BASE && fdt_check((const void *)argument_of_boot)) tree = (const void *)argument_of_boot;
  else if (fdt_check((const void *)BOARD_RAM_BASE)) tree = (const void *)BOARD_RAM_BASE;
  if (tree) {
    u32 length;
    second_uart = fdt_compatible(tree, "arm,pl011", 1, &node);
    second_timer = fdt_compatible(tree, "arm,sp804", 1, &node);
    const char *text = fdt_named(tree, "chosen", &node) ? fdt_property(tree, &node, "bootargs", &length) : NULL;
    if (text && length && length < sizeof copy - 64 && !text[length - 1]) {
      memcpy(copy, text, length);
      bootargs = copy;
    }
  }
  mmu_start(64UL << 20);
  const char *list = argument("guests");
  slice = number("slice", 0, 1000);
  printf("hypervisor: slice %lu us\n", slice);
  slice = timer_ticks(slice);
  configure(list ? list : second_uart && second_timer ? "two:trap,two:pass" : "two:trap,two:trap", second_uart, second_timer);
  for (u32 n = 0; n < guests; n++)
    printf("hypervisor: guest %u is %s, UART %s, timer %s\n", n, vms[n].name, vms[n].pass_uart ? "passed" : "trapped", vms[n].pass_timer ? "passed" : "trapped");

  write_sysreg(hcr_el2, HCR_GUEST);
  write_sysreg(vtcr_el2, VTCR);
  write_sysreg(hstr_el2, 0);
  /* EL1 may read the physical counter, but the physical timer traps. */
  write_sysreg(cnthctl_el2, 1);
  write_sysreg(vpidr_el2, read_sysreg(midr_el1));
  write_sysreg(vmpidr_el2, 1UL << 31);
  dsb();
  __asm__ volatile("tlbi alle1\n ic iallu");
  dsb();
  isb();
  physical_gic_start();
  counters_start();
  world_load(&vms[0]);
  timers_changed();
  settle();
  enter_guest();
}
