#include "mmu.h"
#include "arch.h"
#include "board.h"

/* Descriptor bits, Arm ARM DDI 0487 D8.3. */
#define TABLE 3UL
#define BLOCK 1UL
#define PAGE 3UL
#define ATTR_NORMAL (0UL << 2)
#define ATTR_DEVICE (1UL << 2)
#define AP_EL0 (1UL << 6)
#define AP_RO (1UL << 7)
#define SH_INNER (3UL << 8)
#define AF (1UL << 10)
#define PXN (1UL << 53)
#define XN (1UL << 54)

#define GIB 0x40000000UL
#define MIB2 0x200000UL

static u64 level1[512] __attribute__((aligned(4096)));
static u64 level2_low[512] __attribute__((aligned(4096)));
static u64 level2_ram[512] __attribute__((aligned(4096)));
static u64 level2_window[512] __attribute__((aligned(4096)));
static u64 level3_image[512] __attribute__((aligned(4096)));
static u64 level3_window[512] __attribute__((aligned(4096)));

extern char __image_start[], __rodata_start[], __data_start[], __image_end[];

static u64 descriptor(u32 attributes) {
  u64 value = 0;
  if (!(attributes & PAGE_NO_ACCESS_FLAG)) value |= AF;
  value |= attributes & PAGE_DEVICE ? ATTR_DEVICE : ATTR_NORMAL | SH_INNER;
  if (attributes & PAGE_READ_ONLY) value |= AP_RO;
  if (boot_el == 2) {
    /* One privilege level: AP[1] is RES1, one XN bit. */
    value |= AP_EL0;
    if (!(attributes & PAGE_EXECUTE)) value |= XN;
  } else {
    if (attributes & PAGE_EL0) value |= AP_EL0;
    if (!(attributes & PAGE_EXECUTE) || !(attributes & PAGE_EL0)) value |= XN;
    if (!(attributes & PAGE_EXECUTE) || (attributes & PAGE_EL0)) value |= PXN;
  }
  return value;
}

static void invalidate_all(void) {
  dsb();
  if (boot_el == 2) __asm__ volatile("tlbi alle2");
  else __asm__ volatile("tlbi vmalle1");
  dsb();
  isb();
}

static void invalidate_page(u64 address) {
  u64 operand = (address >> 12) & 0xfffffffffffUL;
  dsb();
  if (boot_el == 2) __asm__ volatile("tlbi vae2, %0" ::"r"(operand));
  else __asm__ volatile("tlbi vaae1, %0" ::"r"(operand));
  dsb();
  isb();
}

void mmu_start(u64 ram_size) {
  u64 image = (u64)__image_start;
  level1[0] = (u64)level2_low | TABLE;
  level1[1] = (u64)level2_ram | TABLE;
  level1[WINDOW_BASE / GIB] = (u64)level2_window | TABLE;
  level1[BOARD_PCIE_ECAM_BASE / GIB] = (BOARD_PCIE_ECAM_BASE & ~(GIB - 1)) | descriptor(PAGE_DEVICE) | BLOCK;
  level2_window[0] = (u64)level3_window | TABLE;
  for (u32 i = 0; i < 512; i++) {
    level2_low[i] = i * MIB2 | descriptor(PAGE_DEVICE) | BLOCK;
    if (i * MIB2 < ram_size) level2_ram[i] = (BOARD_RAM_BASE + i * MIB2) | descriptor(PAGE_NORMAL) | BLOCK;
    u64 page = image + i * 4096UL;
    u32 attributes = PAGE_NORMAL;
    if (page < (u64)__rodata_start) attributes |= PAGE_EXECUTE | PAGE_READ_ONLY;
    else if (page < (u64)__data_start) attributes |= PAGE_READ_ONLY;
    level3_image[i] = page | descriptor(attributes) | PAGE;
  }
  level2_ram[(image - BOARD_RAM_BASE) / MIB2] = (u64)level3_image | TABLE;

  /* Attribute 0: normal write-back; 1: device nGnRE. 40-bit physical addresses, inner shareable write-back walks. */
  write_sysreg_el(mair, 0x04ff);
  u64 common = 25 | 1UL << 8 | 1UL << 10 | 3UL << 12;
  if (boot_el == 2) write_sysreg(tcr_el2, common | 2UL << 16 | 1UL << 23 | 1UL << 31);
  else write_sysreg(tcr_el1, common | 1UL << 23 | 2UL << 32);
  write_sysreg_el(ttbr0, level1);
  invalidate_all();
  /* RES1 bits, then M, C, I, and SA: alignment of the stack pointer is checked. */
  u64 control = boot_el == 2 ? 0x30c50830UL : 0x30d00800UL;
  write_sysreg_el(sctlr, control | 1 | 1UL << 2 | 1UL << 3 | 1UL << 12);
  isb();
}

void mmu_unmap(u32 index) {
  ((volatile u64 *)level3_window)[index] = 0;
  invalidate_page(WINDOW_BASE + index * 4096UL);
}

void mmu_window(u32 index, u64 physical, u32 attributes) {
  mmu_unmap(index);
  ((volatile u64 *)level3_window)[index] = physical | descriptor(attributes) | PAGE;
  dsb();
  isb();
}

u64 mmu_probe(u64 address, bool write) {
  if (boot_el == 2) {
    if (write) __asm__ volatile("at s1e2w, %0" ::"r"(address));
    else __asm__ volatile("at s1e2r, %0" ::"r"(address));
  } else {
    if (write) __asm__ volatile("at s1e1w, %0" ::"r"(address));
    else __asm__ volatile("at s1e1r, %0" ::"r"(address));
  }
  isb();
  return read_sysreg(par_el1);
}
