/* One level down and back: EL0 from EL1, or EL1 (its MMU off) from EL2 with the traps of HCR_EL2. */
#include "mmu.h"
#include "selftest.h"

extern char lower_syscall[], lower_load[], lower_privileged[], lower_hvc[], lower_read_sctlr[], lower_wfi[], lower_smc[];

#define SPSR_EL0T 0x3c0UL
#define SPSR_EL1H 0x3c5UL
#define HCR_TWI (1UL << 13)
#define HCR_TSC (1UL << 19)
#define HCR_TRVM (1UL << 30)

static void run(const char *program, u64 spsr, u64 address, u64 argument, struct lower_exit *seen) {
  lower_call(address + ((u64)program & 0xfff), spsr, argument, seen);
}

static void test_el0(void) {
  struct lower_exit seen;
  section("EL0");
  /* The programs' page once more, executable at EL0 and read-only. */
  mmu_window(8, (u64)lower_syscall & ~0xfffUL, PAGE_READ_ONLY | PAGE_EXECUTE | PAGE_EL0);
  mmu_window(9, ((u64)lower_syscall & ~0xfffUL) + 4096, PAGE_READ_ONLY | PAGE_EXECUTE | PAGE_EL0);
  u64 code = WINDOW_BASE + 0x8000;
  run(lower_syscall, SPSR_EL0T, code, 41, &seen);
  check("el0.svc", esr_class(seen.esr) == EC_SVC64 && esr_iss(seen.esr) == 0x42 && seen.x0 == 42 && (seen.spsr & 0x1f) == 0,
        "ESR 0x%08lx, x0 %lu, SPSR mode %lu", seen.esr, seen.x0, seen.spsr & 0x1f);
  run(lower_load, SPSR_EL0T, code, (u64)&device_tree, &seen);
  check("el0.permission", esr_class(seen.esr) == EC_DATA_ABORT_LOWER && (seen.esr & 0x3f) == 0x0f && seen.far == (u64)&device_tree,
        "ESR 0x%08lx", seen.esr);
  run(lower_privileged, SPSR_EL0T, code, 0, &seen);
  check("el0.privileged", esr_class(seen.esr) == EC_UNKNOWN, "ESR 0x%08lx", seen.esr);
  lower_call((u64)lower_syscall, SPSR_EL0T, 0, &seen);
  check("el0.execute-never", esr_class(seen.esr) == EC_INSTRUCTION_ABORT_LOWER && (seen.esr & 0x3f) == 0x0f, "ESR 0x%08lx", seen.esr);
  mmu_unmap(8);
  mmu_unmap(9);
}

static void test_el1(void) {
  struct lower_exit seen;
  u64 hcr = read_sysreg(hcr_el2), page = (u64)lower_syscall & ~0xfffUL;
  section("EL1 under EL2");
  write_sysreg(sctlr_el1, 0x30d00800);
  isb();
  run(lower_hvc, SPSR_EL1H, page + (((u64)lower_hvc & ~0xfffUL) - page), 100, &seen);
  check("el2.hvc", esr_class(seen.esr) == EC_HVC64 && esr_iss(seen.esr) == 0x321 && seen.x0 == 104 && (seen.spsr & 0x1f) == 5,
        "ESR 0x%08lx, CurrentEL %lu, SPSR mode %lu", seen.esr, seen.x0 - 100, seen.spsr & 0x1f);

  write_sysreg(hcr_el2, hcr | HCR_TRVM);
  isb();
  lower_call((u64)lower_read_sctlr, SPSR_EL1H, 0, &seen);
  /* Op0 3, Op1 0, CRn 1, CRm 0, Op2 0, Rt 7, a read. */
  check("el2.trap-sysreg", esr_class(seen.esr) == EC_SYSREG && esr_iss(seen.esr) == (3u << 20 | 1u << 10 | 7u << 5 | 1u) && seen.elr == (u64)lower_read_sctlr,
        "ESR 0x%08lx", seen.esr);

  write_sysreg(hcr_el2, hcr | HCR_TWI);
  isb();
  lower_call((u64)lower_wfi, SPSR_EL1H, 0, &seen);
  check("el2.trap-wfi", esr_class(seen.esr) == EC_WFX && (seen.esr & 3) == 0 && seen.elr == (u64)lower_wfi, "ESR 0x%08lx", seen.esr);

  write_sysreg(hcr_el2, hcr | HCR_TSC);
  isb();
  lower_call((u64)lower_smc, SPSR_EL1H, 0, &seen);
  check("el2.trap-smc", esr_class(seen.esr) == EC_SMC64 && (seen.esr & 0xffff) == 0x77 && seen.elr == (u64)lower_smc, "ESR 0x%08lx", seen.esr);
  write_sysreg(hcr_el2, hcr);
  isb();
}

void test_lower_level(void) {
  if (boot_el == 1) test_el0();
  else test_el1();
}
