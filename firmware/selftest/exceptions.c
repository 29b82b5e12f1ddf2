/* Exceptions taken on purpose, each with its syndrome: Arm ARM DDI 0487 D24.2.37. */
#include "selftest.h"

static bool class_is(u32 wanted) { return fault_taken() && esr_class(last_fault.esr) == wanted; }

static u64 pointer_to(const void *object) { return (u64)object; }

void test_exceptions(void) {
  static u64 words[4] __attribute__((aligned(16))) = { 0x0807060504030201, 0x100f0e0d0c0b0a09 };
  u64 value;
  section("Exceptions");

  fault_expect(RESUME_NEXT);
  __asm__ volatile("svc #0x1234" ::: "memory");
  check("exception.svc", class_is(EC_SVC64) && esr_iss(last_fault.esr) == 0x1234, "ESR 0x%08lx", last_fault.esr);

  fault_expect(RESUME_NEXT);
  __asm__ volatile("brk #0xbeef" ::: "memory");
  check("exception.brk", class_is(EC_BRK) && esr_iss(last_fault.esr) == 0xbeef, "ESR 0x%08lx", last_fault.esr);

  fault_expect(RESUME_NEXT);
  __asm__ volatile(".inst 0x00000000" ::: "memory");
  check("exception.undefined", class_is(EC_UNKNOWN), "ESR 0x%08lx", last_fault.esr);

  /* An EL3 register from below. */
  fault_expect(RESUME_NEXT);
  __asm__ volatile("mrs %0, s3_6_c1_c0_0" : "=r"(value)::"memory");
  check("exception.sctlr-el3", class_is(EC_UNKNOWN), "ESR 0x%08lx", last_fault.esr);

  fault_expect(RESUME_AT_LR);
  __asm__ volatile("adr x0, 1f\n add x0, x0, #2\n adr x30, 1f\n br x0\n 1:" ::: "x0", "x30", "memory");
  check("exception.pc-alignment", class_is(EC_PC_ALIGNMENT) && last_fault.far == last_fault.elr && (last_fault.far & 3) == 2,
        "ESR 0x%08lx, FAR ends in %lx", last_fault.esr, last_fault.far & 3);

  /* On SP_EL0, so that the handler's own stack pointer is sound. */
  fault_expect(RESUME_NEXT);
  __asm__ volatile("msr sp_el0, %0\n msr spsel, #0\n ldr xzr, [sp]\n msr spsel, #1" ::"r"(pointer_to(words) + 4) : "memory");
  check("exception.sp-alignment", class_is(EC_SP_ALIGNMENT), "ESR 0x%08lx", last_fault.esr);

  value = read64(pointer_to(words) + 1);
  check("unaligned.normal", value == 0x0908070605040302, "0x%016lx", value);

  /* Across 16 bytes: FEAT_LSE2 allows it within. */
  fault_expect(RESUME_NEXT);
  __asm__ volatile("ldxr %0, [%1]" : "=r"(value) : "r"(pointer_to(words) + 12) : "memory");
  check("unaligned.exclusive", class_is(EC_DATA_ABORT) && (last_fault.esr & 0x3f) == 0x21 && last_fault.far == pointer_to(words) + 12,
        "ESR 0x%08lx", last_fault.esr);

  fault_expect(RESUME_NEXT);
  (void)read32(BOARD_GICD_BASE + 2);
  check("unaligned.device", class_is(EC_DATA_ABORT) && (last_fault.esr & 0x3f) == 0x21 && last_fault.far == BOARD_GICD_BASE + 2,
        "ESR 0x%08lx FAR 0x%lx", last_fault.esr, last_fault.far);

  u64 control = read_sysreg_el(sctlr);
  write_sysreg_el(sctlr, control | 2);
  isb();
  fault_expect(RESUME_NEXT);
  __asm__ volatile("str %0, [%1]" ::"r"(words[0]), "r"(pointer_to(words) + 4) : "memory");
  write_sysreg_el(sctlr, control);
  isb();
  check("unaligned.sctlr-a", class_is(EC_DATA_ABORT) && (last_fault.esr & 0x7f) == 0x61, "ESR 0x%08lx, a write", last_fault.esr);

  /* Between the GIC and the UART nothing answers: a synchronous external abort. */
  fault_expect(RESUME_NEXT);
  (void)read32(0x08f00000);
  check("abort.decode", class_is(EC_DATA_ABORT) && (last_fault.esr & 0x3f) == 0x10 && last_fault.far == 0x08f00000,
        "ESR 0x%08lx FAR 0x%lx", last_fault.esr, last_fault.far);
}
