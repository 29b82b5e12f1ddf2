/* Stage 1 translation: faults by level and kind (DFSC, Arm ARM D24.2.37), address translation instructions, TLB maintenance. */
#include "mmu.h"
#include "selftest.h"

static u64 pages[2][512] __attribute__((aligned(4096)));

static u32 status(void) { return (u32)last_fault.esr & 0x3f; }
static bool data_fault(u32 wanted, u64 address, bool write) {
  return fault_taken() && esr_class(last_fault.esr) == EC_DATA_ABORT && status() == wanted && last_fault.far == address &&
         !!(last_fault.esr & 0x40) == write;
}

void test_mmu(void) {
  u64 page = WINDOW_BASE, physical = (u64)pages[0], par;
  section("MMU");

  pages[0][1] = 0x1122334455667788;
  pages[1][1] = 0x99aabbccddeeff00;
  mmu_window(0, physical, PAGE_NORMAL);
  write32(page + 4, 0xcafef00d);
  check("mmu.alias", read64(page + 8) == 0x1122334455667788 && read32(physical + 4) == 0xcafef00d, "two addresses, one page");

  mmu_window(0, (u64)pages[1], PAGE_NORMAL);
  check("mmu.tlbi", read64(page + 8) == 0x99aabbccddeeff00, "the page behind the address changed");

  par = mmu_probe(physical, false);
  check("mmu.at-ram", (par & 0xfffffff001UL) == physical && par >> 56 == 0xff, "PAR attributes 0x%02lx, SH %lu", par >> 56, par >> 7 & 3);
  par = mmu_probe(BOARD_UART0_BASE, true);
  check("mmu.at-device", (par & 0xfffffff001UL) == BOARD_UART0_BASE && par >> 56 == 0x04, "PAR attributes 0x%02lx, SH %lu", par >> 56,
        par >> 7 & 3);
  par = mmu_probe(page + 0x5000, false);
  check("mmu.at-fault", (par & 0x7f) == (7 << 1 | 1), "PAR 0x%lx", par & 0xfff);

  fault_expect(RESUME_NEXT);
  (void)read32(page + 0x5010);
  check("mmu.translation-level3", data_fault(0x07, page + 0x5010, false), "ESR 0x%08lx FAR 0x%lx", last_fault.esr, last_fault.far);
  fault_expect(RESUME_NEXT);
  write32(page + 0x400000, 1);
  check("mmu.translation-level2", data_fault(0x06, page + 0x400000, true), "ESR 0x%08lx FAR 0x%lx", last_fault.esr, last_fault.far);
  fault_expect(RESUME_NEXT);
  (void)read32(0x7000000000);
  check("mmu.translation-level1", data_fault(0x05, 0x7000000000, false), "ESR 0x%08lx FAR 0x%lx", last_fault.esr, last_fault.far);
  fault_expect(RESUME_NEXT);
  (void)read32(0x10000000000);
  check("mmu.beyond-39-bits", data_fault(0x04, 0x10000000000, false), "ESR 0x%08lx FAR 0x%lx", last_fault.esr, last_fault.far);

  mmu_window(1, physical, PAGE_NORMAL | PAGE_READ_ONLY);
  fault_expect(RESUME_NEXT);
  write32(page + 0x1000, 1);
  check("mmu.read-only", data_fault(0x0f, page + 0x1000, true) && read64(page + 0x1008) == 0x1122334455667788, "ESR 0x%08lx", last_fault.esr);

  mmu_window(2, physical, PAGE_NORMAL | PAGE_NO_ACCESS_FLAG);
  fault_expect(RESUME_NEXT);
  (void)read32(page + 0x2000);
  check("mmu.access-flag", data_fault(0x0b, page + 0x2000, false), "ESR 0x%08lx", last_fault.esr);

  /* Half of the access is on the next page, which is not mapped. */
  mmu_window(3, physical, PAGE_NORMAL);
  fault_expect(RESUME_NEXT);
  (void)read64(page + 0x3ffc);
  check("mmu.page-crossing", data_fault(0x07, page + 0x4000, false), "FAR 0x%lx", last_fault.far);

  /* RET, first on a page that may not execute, then on one that may. */
  pages[0][0] = 0xd65f03c0;
  dsb();
  fault_expect(RESUME_AT_LR);
  ((void (*)(void))page)();
  check("mmu.execute-never", fault_taken() && esr_class(last_fault.esr) == EC_INSTRUCTION_ABORT && status() == 0x0f && last_fault.far == page,
        "ESR 0x%08lx", last_fault.esr);
  __asm__ volatile("dc cvau, %0\n dsb ish\n ic ivau, %0\n dsb ish\n isb" ::"r"(physical) : "memory");
  mmu_window(4, physical, PAGE_NORMAL | PAGE_READ_ONLY | PAGE_EXECUTE);
  u64 result;
  __asm__ volatile("mov x0, #7\n blr %1\n mov %0, x0" : "=r"(result) : "r"(page + 0x4000) : "x0", "x30", "memory");
  /* The same address with other code: MOV x0, #9. */
  ((volatile u32 *)physical)[0] = 0xd2800120;
  ((volatile u32 *)physical)[1] = 0xd65f03c0;
  __asm__ volatile("dc cvau, %0\n dsb ish\n ic ivau, %0\n dsb ish\n isb" ::"r"(physical) : "memory");
  u64 again;
  __asm__ volatile("mov x0, #7\n blr %1\n mov %0, x0" : "=r"(again) : "r"(page + 0x4000) : "x0", "x30", "memory");
  check("mmu.code-rewritten", result == 7 && again == 9, "%lu, then %lu", result, again);
  for (u32 i = 0; i < 5; i++) mmu_unmap(i);
}
