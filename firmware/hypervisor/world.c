/* Whose turn it is: contexts of guests, the EL2 timer, round robin. */
#include "gicv2.h"
#include "hypervisor.h"

#define CPTR_TFP (1UL << 10)
#define CPTR_RES1 0x33ffUL
#define CNTHP_ENABLE 1UL
#define INST_RETIRED 0x08UL
/* PMEVTYPER: not at EL1, not at EL0, at EL2 as well. */
#define ONLY_EL2 (1UL << 31 | 1UL << 30 | 1UL << 27)

struct vm *loaded;
u64 slice;
u64 hypervisor_instructions;
bool counting;
static struct vm *simd_owner;
static u64 slice_end, loaded_at;
static bool timer_stale;
static u32 first_counter, last_own, last_guest;

/* --- time and instructions: two of the performance monitors' counters, kept from the guests by MDCR_EL2 */

static u32 counter(u32 index) {
  write_sysreg(pmselr_el0, index);
  isb();
  return (u32)read_sysreg(pmxevcntr_el0);
}

static void counter_type(u32 index, u64 type) {
  write_sysreg(pmselr_el0, index);
  isb();
  write_sysreg(pmxevtyper_el0, type);
  write_sysreg(pmxevcntr_el0, 0);
}

void counters_start(void) {
  /* TPMCR, TPM, TDA, TDOSA, TDRA: guests see neither performance monitors nor debug registers. */
  u64 traps = 1UL << 5 | 1UL << 6 | 1UL << 9 | 1UL << 10 | 1UL << 11, version = read_sysreg(id_aa64dfr0_el1) >> 8 & 15;
  u32 count = version && version != 15 ? (u32)(read_sysreg(pmcr_el0) >> 11 & 31) : 0;
  counting = count >= 2 && read_sysreg(pmceid0_el0) >> INST_RETIRED & 1;
  if (!counting) {
    write_sysreg(mdcr_el2, traps | count);
    return;
  }
  first_counter = count - 2;
  /* HPMN and HPME: the last two are EL2's. */
  write_sysreg(mdcr_el2, traps | first_counter | 1UL << 7);
  counter_type(first_counter, INST_RETIRED | ONLY_EL2);
  counter_type(first_counter + 1, INST_RETIRED);
  write_sysreg(pmcntenset_el0, 3UL << first_counter);
  isb();
}

/* The counters have 32 bits: they are read at least as often as guests change, and at each expiry of the EL2 timer. */
void counters_account(void) {
  u64 time = now();
  loaded->ran += time - loaded_at;
  loaded_at = time;
  if (!counting) return;
  u32 own = counter(first_counter), guest = counter(first_counter + 1);
  hypervisor_instructions += own - last_own;
  loaded->instructions += guest - last_guest;
  last_own = own;
  last_guest = guest;
}

/* --- contexts */

#define EACH_REGISTER(do)                                                                                                        \
  do(sp_el0, sp_el0) do(sp_el1, sp_el1) do(elr_el1, elr_el1) do(spsr_el1, spsr_el1) do(esr_el1, esr_el1) do(far_el1, far_el1)      \
  do(afsr0, afsr0_el1) do(afsr1, afsr1_el1) do(vbar, vbar_el1) do(ttbr0, ttbr0_el1) do(ttbr1, ttbr1_el1) do(tcr, tcr_el1)          \
  do(mair, mair_el1) do(amair, amair_el1) do(sctlr, sctlr_el1) do(cpacr, cpacr_el1) do(contextidr, contextidr_el1)                 \
  do(tpidr_el0, tpidr_el0) do(tpidrro_el0, tpidrro_el0) do(tpidr_el1, tpidr_el1) do(par, par_el1) do(cntkctl, cntkctl_el1)         \
  do(csselr, csselr_el1) do(mdscr, mdscr_el1)
#define SAVE(field, name) vm->field = read_sysreg(name);
#define LOAD(field, name) write_sysreg(name, vm->field);

static void unload(struct vm *vm) {
  counters_account();
  EACH_REGISTER(SAVE)
  vm->cntv_ctl = read_sysreg(cntv_ctl_el0);
  vm->cntv_cval = read_sysreg(cntv_cval_el0);
  write_sysreg(cntv_ctl_el0, 0);
  isb();
  vgic_unload(vm);
  /* The timer's interrupt is private to the CPU, so the next guest needs it: its active state belongs to the context. */
  if (vgic_holds_hardware(vm, BOARD_VIRTUAL_TIMER_INTID)) gic_clear_active(BOARD_VIRTUAL_TIMER_INTID);
}

void world_load(struct vm *vm) {
  if (loaded) unload(loaded);
  loaded = vm;
  vm->switches++;
  if (vgic_holds_hardware(vm, BOARD_VIRTUAL_TIMER_INTID)) gicd_write(GICD_ISACTIVER, 1u << BOARD_VIRTUAL_TIMER_INTID);
  write_sysreg(vttbr_el2, vm->vttbr);
  EACH_REGISTER(LOAD)
  write_sysreg(cntvoff_el2, vm->cntvoff);
  write_sysreg(cntv_cval_el0, vm->cntv_cval);
  write_sysreg(cntv_ctl_el0, vm->cntv_ctl);
  write_sysreg(cptr_el2, simd_owner == vm ? CPTR_RES1 : CPTR_RES1 | CPTR_TFP);
  write_sysreg(tpidr_el2, vm);
  isb();
  vgic_load(vm);
  loaded_at = now();
  slice_end = loaded_at + slice;
  timer_stale = true;
}

/* A guest's first use of the vector registers since another had them. */
void simd_take(struct vm *vm) {
  write_sysreg(cptr_el2, CPTR_RES1);
  isb();
  if (simd_owner) simd_save(simd_owner);
  simd_load(vm);
  simd_owner = vm;
}

/* --- time */

void timers_changed(void) { timer_stale = true; }

void vm_wake(struct vm *vm) {
  if (vm->state != VM_WAITING || !vgic_pending(vm)) return;
  vm->state = VM_READY;
  timer_stale = true;
}

void devices_update(struct vm *vm, u64 time) {
  u64 uart = vm->pass_uart ? NEVER : vuart_update(vm, time), timer = vm->pass_timer ? NEVER : vtimer_update(vm, time);
  u64 deadline = uart < timer ? uart : timer;
  if (deadline != vm->deadline) timer_stale = true;
  vm->deadline = deadline;
}

/* When the virtual timer of a guest that is not loaded is due, in physical counts. */
static u64 virtual_deadline(const struct vm *vm) {
  if (vm == loaded || (vm->cntv_ctl & 3) != 1 || !(vm->gic.enabled[0] >> BOARD_VIRTUAL_TIMER_INTID & 1)) return NEVER;
  return vm->cntv_cval + vm->cntvoff < vm->cntv_cval ? NEVER : vm->cntv_cval + vm->cntvoff;
}

static void program_timer(void) {
  u64 due = NEVER;
  timer_stale = false;
  for (u32 n = 0; n < guests; n++) {
    struct vm *vm = &vms[n];
    if (vm->state == VM_OFF) continue;
    if (vm->deadline < due) due = vm->deadline;
    if (vm->state == VM_WAITING) {
      u64 at = virtual_deadline(vm);
      if (at < due) due = at;
    }
    /* Somebody else could run when the slice is over. */
    if (vm != loaded && vm->state == VM_READY && slice_end < due) due = slice_end;
  }
  if (loaded->limit != NEVER && loaded->state == VM_READY && loaded_at + (loaded->limit - loaded->ran) < due) due = loaded_at + (loaded->limit - loaded->ran);
  write_sysreg(cnthp_cval_el2, due);
  write_sysreg(cnthp_ctl_el2, due == NEVER ? CNT_CTL_STOPPED : CNTHP_ENABLE);
}

static struct vm *choose(u64 time) {
  bool over = loaded->state != VM_READY || (s64)(time - slice_end) >= 0;
  if (!over) return loaded;
  for (u32 i = 1; i <= guests; i++) {
    struct vm *vm = &vms[(loaded->index + i) % guests];
    if (vm->state == VM_READY) return vm;
  }
  return NULL;
}

void schedule(void) {
  for (;;) {
    u64 time = now();
    bool alive = false;
    for (u32 n = 0; n < guests; n++) {
      struct vm *vm = &vms[n];
      if (vm->state == VM_OFF) continue;
      alive = true;
      if (time >= vm->deadline) devices_update(vm, time);
      if (vm->state == VM_WAITING && time >= virtual_deadline(vm)) vm->state = VM_READY;
    }
    if (!alive) finish();
    struct vm *next = choose(time);
    if (next) {
      if (next != loaded) world_load(next);
      break;
    }
    /* Nobody's time. */
    counters_account();
    program_timer();
    wfi();
    loaded_at = now();
    physical_interrupts();
  }
}

void settle(void) {
  if (timer_stale || loaded->state != VM_READY) {
    counters_account();
    if (loaded->ran >= loaded->limit && loaded->state != VM_OFF) vm_stop(loaded, "ran for as long as it may");
    schedule();
    program_timer();
  }
  if (loaded->gic.stale) vgic_update(loaded);
}
