/* System registers, barriers and the exception level the program was started at. */
#ifndef ARCH_H
#define ARCH_H
#include "types.h"

#define read_sysreg(name)                                         \
  ({                                                              \
    u64 value_;                                                   \
    __asm__ volatile("mrs %0, " #name : "=r"(value_)::"memory");  \
    value_;                                                       \
  })
#define write_sysreg(name, value) __asm__ volatile("msr " #name ", %0" ::"r"((u64)(value)) : "memory")

/* The register of the exception level that the program runs at: EL1 or EL2 (found out once, in start.S). */
extern u32 boot_el;
#define read_sysreg_el(name) (boot_el == 2 ? read_sysreg(name##_el2) : read_sysreg(name##_el1))
#define write_sysreg_el(name, value)                                  \
  do {                                                                \
    if (boot_el == 2) write_sysreg(name##_el2, value);                \
    else write_sysreg(name##_el1, value);                             \
  } while (0)

static inline void isb(void) { __asm__ volatile("isb" ::: "memory"); }
static inline void dsb(void) { __asm__ volatile("dsb sy" ::: "memory"); }
static inline void wfi(void) { __asm__ volatile("dsb sy\n wfi" ::: "memory"); }
static inline void irq_enable(void) { __asm__ volatile("msr daifclr, #2\n isb" ::: "memory"); }
static inline void irq_disable(void) { __asm__ volatile("msr daifset, #2" ::: "memory"); }
static inline void fiq_enable(void) { __asm__ volatile("msr daifclr, #1\n isb" ::: "memory"); }
static inline void fiq_disable(void) { __asm__ volatile("msr daifset, #1" ::: "memory"); }

/* Exception classes, Arm ARM DDI 0487 D24.2.37 (ESR_ELx.EC). */
#define EC_UNKNOWN 0x00u
#define EC_WFX 0x01u
#define EC_SVC64 0x15u
#define EC_HVC64 0x16u
#define EC_SMC64 0x17u
#define EC_SYSREG 0x18u
#define EC_INSTRUCTION_ABORT_LOWER 0x20u
#define EC_INSTRUCTION_ABORT 0x21u
#define EC_PC_ALIGNMENT 0x22u
#define EC_DATA_ABORT_LOWER 0x24u
#define EC_DATA_ABORT 0x25u
#define EC_SP_ALIGNMENT 0x26u
#define EC_BRK 0x3cu

/* The registers that an exception vector saves, in the order of vectors.S. */
struct frame {
  u64 x[31];
  u64 elr;
  u64 spsr;
  u64 pad;
};

/* A fault that the program provokes on purpose: the handler records it and goes on behind it. */
struct fault {
  u64 esr, far, elr;
  u32 count;
};
enum { RESUME_NEXT, RESUME_AT_LR };
extern volatile struct fault last_fault;
/* Arms the handler for one fault; returns through the next instruction or through x30. */
void fault_expect(int resume);
/* Disarms; true when a fault was taken. */
bool fault_taken(void);
static inline u32 esr_class(u64 esr) { return (u32)(esr >> 26) & 0x3f; }
static inline u32 esr_iss(u64 esr) { return (u32)esr & 0x1ffffff; }

/* Runs `entry` at a lower exception level with interrupts masked until it comes back by an exception. */
struct lower_exit {
  u64 esr, far, elr, spsr, x0;
};
u64 lower_call(u64 entry, u64 spsr, u64 argument, struct lower_exit *exit);

/* Waits asleep until *counter reaches `target`; false when `microseconds` pass first. `watchdog` names the timer that wakes it. */
enum watchdog { WATCHDOG_PHYSICAL, WATCHDOG_VIRTUAL };
bool wait_count(volatile u32 *counter, u32 target, u64 microseconds, enum watchdog watchdog);

/* psci.c: the conduit is HVC at EL1 and SMC at EL2, as the device tree of the board says. */
s64 psci_call(u32 function, u64 a, u64 b, u64 c);
#define PSCI_VERSION 0x84000000u
#define PSCI_CPU_SUSPEND 0xc4000001u
#define PSCI_CPU_ON 0xc4000003u
#define PSCI_AFFINITY_INFO 0xc4000004u
#define PSCI_SYSTEM_OFF 0x84000008u
#define PSCI_SYSTEM_RESET 0x84000009u
#define PSCI_FEATURES 0x8400000au

#endif
