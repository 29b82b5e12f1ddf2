/* A small hypervisor at EL2: up to four guests on one CPU, their devices trapped and emulated, or passed through by stage 2. */
#ifndef HYPERVISOR_H
#define HYPERVISOR_H
#include "arch.h"
#include "board.h"
#include "io.h"
#include "printf.h"
#include "types.h"

#define MAX_GUESTS 4
/* Guest-physical RAM at BOARD_RAM_BASE; the guests' real memory follows the hypervisor's, one after the other. */
#define GUEST_RAM (4UL << 20)
#define GUEST_MEMORY(n) (BOARD_RAM_BASE + (32UL << 20) + (n) * GUEST_RAM)
#define GUEST_ENTRY (BOARD_RAM_BASE + (2UL << 20))
#define NEVER (~0UL)
#define CNT_CTL_STOPPED 0

/* What brings the CPU here. */
enum reason {
  EXIT_UART,
  EXIT_TIMER,
  EXIT_GICD,
  EXIT_HOLE,
  EXIT_WFI,
  EXIT_CALL,
  EXIT_REGISTER,
  EXIT_SIMD,
  EXIT_SLICE_TIMER,
  EXIT_MAINTENANCE,
  EXIT_VIRTUAL_TIMER,
  EXIT_PASSED,
  EXIT_OTHER,
  EXIT_REASONS
};

/* --- virtual distributor: Arm IHI 0048B chapter 4, one CPU, as the board's; the list registers of chapter 5 behind it */

#define VGIC_LINES 288u
#define VGIC_WORDS (VGIC_LINES / 32)
#define MAX_LISTS 4

struct vgic {
  u32 control;
  u32 enabled[VGIC_WORDS], group[VGIC_WORDS], edge[VGIC_WORDS];
  /* Why an interrupt is pending: latched (edge, SGI, ISPENDR), an emulated device's level, a passed device's physical interrupt. */
  u32 latched[VGIC_WORDS], level[VGIC_WORDS], hardware[VGIC_WORDS];
  /* Active and in no list register. */
  u32 active[VGIC_WORDS];
  u8 priority[VGIC_LINES], targets[VGIC_LINES];
  /* Physical INTID behind a virtual one; 0: none. */
  u16 physical[VGIC_LINES];
  u32 list[MAX_LISTS], vmcr, apr, hcr;
  /* List registers have to be computed again before the guest goes on. */
  bool stale;
};

/* --- PL011, Arm DDI 0183G */
#define VUART_DEPTH 32u
struct vuart {
  u16 ibrd, fbrd, lcr, cr, ifls, imsc, ris, dmacr;
  u8 rsr;
  u16 fifo[VUART_DEPTH];
  u32 head, count;
  /* Counter value at which the receive timeout is due. */
  u64 timeout;
};

/* --- SP804, Arm DDI 0271D */
struct vtimer_half {
  u32 load, control;
  /* The count at `since`, in half counts of the generic timer; while enabled it falls by one each prescaled microsecond. */
  u32 value;
  u64 since;
  bool raw, loaded, halted;
};
struct vtimer {
  struct vtimer_half half[2];
};

enum vm_state { VM_READY, VM_WAITING, VM_OFF };

struct vm {
  /* Known to entry.S. */
  u64 x[31];
  u64 elr, spsr, pad;
  u64 q[64], fpcr, fpsr;
  /* From here on C's alone. */
  u64 sp_el0, sp_el1, elr_el1, spsr_el1, esr_el1, far_el1, afsr0, afsr1, vbar, ttbr0, ttbr1, tcr, mair, amair, sctlr, cpacr, contextidr;
  u64 tpidr_el0, tpidrro_el0, tpidr_el1, par, cntkctl, cntv_ctl, cntv_cval, csselr, mdscr;
  u64 cntvoff;
  u64 vttbr;
  u32 index;
  enum vm_state state;
  char name[16];
  bool pass_uart, pass_timer;
  struct vgic gic;
  struct vuart uart;
  struct vtimer timer;
  /* Earliest time at which an emulated device changes by itself. */
  u64 deadline;
  char line[256];
  u32 line_length;
  /* For noticing fetches that abort without end. */
  u64 last_fetch;
  u32 same_fetch;
  u32 exits[EXIT_REASONS], injected, switches;
  /* Counts for which it has run and may run in all. */
  u64 ran, limit;
  u64 instructions;
};

extern struct vm vms[MAX_GUESTS];
extern u32 guests;
/* The guest whose context is in the registers. It may wait. */
extern struct vm *loaded;
extern u64 slice;
extern u64 hypervisor_instructions;
extern bool counting;

static inline u64 now(void) {
  isb();
  return read_sysreg(cntpct_el0);
}

/* main.c */
void console_flush(struct vm *vm);
void console_write(struct vm *vm, u8 byte);
void vm_stop(struct vm *vm, const char *why);
void finish(void) __attribute__((noreturn));

/* entry.S */
void enter_guest(void) __attribute__((noreturn));
void simd_save(struct vm *vm);
void simd_load(const struct vm *vm);

/* stage2.c */
void stage2_build(struct vm *vm);

/* world.c */
void counters_start(void);
void counters_account(void);
void world_load(struct vm *vm);
/* Chooses who runs, sleeps while nobody can, and leaves that guest loaded. */
void schedule(void);
void timers_changed(void);
void vm_wake(struct vm *vm);
/* The last step before a guest goes on. */
void settle(void);
void simd_take(struct vm *vm);

/* interrupts.c */
void physical_gic_start(void);
void physical_interrupts(void);
void physical_end(u32 intid);

/* vgic.c */
void vgic_reset(struct vm *vm);
void vgic_fold(struct vm *vm);
void vgic_update(struct vm *vm);
void vgic_load(struct vm *vm);
void vgic_unload(struct vm *vm);
void vgic_level(struct vm *vm, u32 intid, bool high);
void vgic_hardware(struct vm *vm, u32 intid);
bool vgic_pending(const struct vm *vm);
bool vgic_holds_hardware(const struct vm *vm, u32 intid);
u32 vgicd_read(struct vm *vm, u32 offset);
void vgicd_write(struct vm *vm, u32 offset, u32 size, u32 value);

/* vuart.c, vtimer.c */
void vuart_reset(struct vm *vm);
u32 vuart_read(struct vm *vm, u32 offset);
void vuart_write(struct vm *vm, u32 offset, u32 value);
void vuart_receive(struct vm *vm, u32 character);
u64 vuart_update(struct vm *vm, u64 time);
void vtimer_reset(struct vm *vm);
u32 vtimer_read(struct vm *vm, u32 offset);
void vtimer_write(struct vm *vm, u32 offset, u32 value);
u64 vtimer_update(struct vm *vm, u64 time);
/* Brings both up to date and notes when they change next. */
void devices_update(struct vm *vm, u64 time);

/* tree.c */
void tree_build(void *at, u64 ram_base, u64 ram_size, const char *bootargs);

/* report.c */
void report(void);

#endif
