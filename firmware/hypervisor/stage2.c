/* Stage 2 translation, Arm ARM DDI 0487 D8.2: 4 KiB granule, 32-bit guest-physical addresses, start at level 1. What is not mapped traps. */
#include "hypervisor.h"

#define TABLE 3UL
#define BLOCK 1UL
#define PAGE 3UL
#define S2_RW (3UL << 6)
#define S2_INNER (3UL << 8)
#define S2_AF (1UL << 10)
#define S2_XN (1UL << 54)
#define S2_NORMAL (0xfUL << 2)
/* Device-nGnRE. */
#define S2_DEVICE (1UL << 2)
#define RAM_ATTRIBUTES (S2_NORMAL | S2_RW | S2_INNER | S2_AF)
#define DEVICE_ATTRIBUTES (S2_DEVICE | S2_RW | S2_AF | S2_XN)
#define MIB2 (2UL << 20)

enum { LEVEL1, LEVEL2_DEVICES, LEVEL2_RAM, LEVEL3_GIC, LEVEL3_UART, LEVEL3_TIMER, TABLES };
static u64 tables[MAX_GUESTS][TABLES][512] __attribute__((aligned(4096)));

/* Maps one page of a device; `table` serves the 2 MiB around it. */
static void page(struct vm *vm, u32 table, u64 guest, u64 real) {
  u64(*t)[512] = tables[vm->index];
  t[LEVEL2_DEVICES][guest / MIB2] = (u64)t[table] | TABLE;
  t[table][guest / 4096 % 512] = real | DEVICE_ATTRIBUTES | PAGE;
}

void stage2_build(struct vm *vm) {
  u64(*t)[512] = tables[vm->index];
  t[LEVEL1][0] = (u64)t[LEVEL2_DEVICES] | TABLE;
  t[LEVEL1][1] = (u64)t[LEVEL2_RAM] | TABLE;
  for (u64 at = 0; at < GUEST_RAM; at += MIB2) t[LEVEL2_RAM][at / MIB2] = (GUEST_MEMORY(vm->index) + at) | RAM_ATTRIBUTES | BLOCK;
  /* The guest takes the virtual CPU interface for its GICC. */
  page(vm, LEVEL3_GIC, BOARD_GICC_BASE, BOARD_GICV_BASE);
  page(vm, LEVEL3_GIC, BOARD_GICC_BASE + 4096, BOARD_GICV_BASE + 4096);
  if (vm->pass_uart) page(vm, LEVEL3_UART, BOARD_UART0_BASE, BOARD_UART1_BASE);
  if (vm->pass_timer) page(vm, LEVEL3_TIMER, BOARD_SP804_BASE, BOARD_SP804_1_BASE);
  vm->vttbr = (u64)(vm->index + 1) << 48 | (u64)t[LEVEL1];
}
