/* The distributor that a guest sees, Arm IHI 0048B chapter 4 with one CPU, and its interrupts in the list registers (GICH_LR, 5.3.8). Not modelled: the
 * security extensions, GICD_NSACR. What is in a list register counts as pending here too until the guest has acknowledged it, so that it can be withdrawn. */
#include "gicv2.h"
#include "hypervisor.h"

#define GICH_HCR 0x000u
#define GICH_VTR 0x004u
#define GICH_VMCR 0x008u
#define GICH_APR 0x0f0u
#define GICH_LR(n) (0x100u + 4u * (n))
#define HCR_EN (1u << 0)
#define HCR_LRENPIE (1u << 2)
#define HCR_NPIE (1u << 3)
#define HCR_EOI_COUNT (0x1fu << 27)

#define LR_ID(list) ((list) & 0x3ffu)
#define LR_EOI (1u << 19)
#define LR_PENDING (1u << 28)
#define LR_ACTIVE (1u << 29)
#define LR_STATE (3u << 28)
#define LR_GROUP1 (1u << 30)
#define LR_HARDWARE (1u << 31)

static u32 gich_read(u32 offset) { return read32(BOARD_GICH_BASE + offset); }
static void gich_write(u32 offset, u32 value) { write32(BOARD_GICH_BASE + offset, value); }

static u32 lists(void) {
  u32 count = (gich_read(GICH_VTR) & 63) + 1;
  return count < MAX_LISTS ? count : MAX_LISTS;
}

static bool get(const u32 *bits, u32 intid) { return bits[intid / 32] >> intid % 32 & 1; }
static void set(u32 *bits, u32 intid) { bits[intid / 32] |= 1u << intid % 32; }
static void clear(u32 *bits, u32 intid) { bits[intid / 32] &= ~(1u << intid % 32); }

void vgic_reset(struct vm *vm) {
  struct vgic *g = &vm->gic;
  memset(g, 0, sizeof *g);
  g->enabled[0] = 0xffff;
  g->edge[0] = 0xffff;
  g->hcr = HCR_EN;
  g->physical[BOARD_VIRTUAL_TIMER_INTID] = BOARD_VIRTUAL_TIMER_INTID;
  if (vm->pass_uart) g->physical[BOARD_UART0_INTID] = BOARD_UART1_INTID;
  if (vm->pass_timer) {
    g->physical[BOARD_SP804_TIMER1_INTID] = BOARD_SP804_1_TIMER1_INTID;
    g->physical[BOARD_SP804_TIMER2_INTID] = BOARD_SP804_1_TIMER2_INTID;
    g->physical[BOARD_SP804_COMBINED_INTID] = BOARD_SP804_1_COMBINED_INTID;
  }
}

static u32 pending_word(const struct vgic *g, u32 word) { return g->latched[word] | (g->level[word] & ~g->edge[word]) | g->hardware[word]; }

/* What the guest has done to its list registers: the acknowledged are no longer pending, the ended are gone. */
void vgic_fold(struct vm *vm) {
  struct vgic *g = &vm->gic;
  for (u32 i = 0; i < MAX_LISTS; i++) {
    u32 before = g->list[i];
    if (!before) continue;
    u32 list = vm == loaded ? gich_read(GICH_LR(i)) : before, intid = LR_ID(list);
    if (before & LR_PENDING && !(list & LR_PENDING)) {
      clear(g->latched, intid);
      clear(g->hardware, intid);
    }
    if (!(list & LR_STATE)) {
      list = 0;
      /* An ended one with its EOI flag asks for maintenance until it is rewritten. */
      if (vm == loaded) gich_write(GICH_LR(i), 0);
    }
    g->list[i] = list;
  }
}

/* Whether the line of a passed interrupt is still asserted: between its arrival and its delivery the guest may have silenced the device. */
static bool asserted(u32 physical) {
  if (physical == BOARD_VIRTUAL_TIMER_INTID) {
    isb();
    return (read_sysreg(cntv_ctl_el0) & 7) == 5;
  }
  /* Active by our acknowledge; a level that is still high makes it active and pending. */
  return gicd_read(GICD_ISPENDR + physical / 32 * 4) >> physical % 32 & 1;
}

/* In no list register, wanted, and of the highest priority among those; VGIC_LINES: none. */
static u32 best(const struct vgic *g, const u32 *taken) {
  u32 found = VGIC_LINES, priority = 256;
  for (u32 w = 0; w < VGIC_WORDS; w++) {
    u32 bits = pending_word(g, w) & g->enabled[w] & ~g->active[w] & ~taken[w];
    for (; bits; bits &= bits - 1) {
      u32 intid = w * 32 + (u32)__builtin_ctz(bits);
      if (g->priority[intid] >= priority) continue;
      priority = g->priority[intid];
      found = intid;
    }
  }
  return found;
}

static u32 entry(struct vm *vm, u32 intid) {
  struct vgic *g = &vm->gic;
  u32 list = intid | LR_PENDING | (u32)(g->priority[intid] >> 3) << 23 | (get(g->group, intid) ? LR_GROUP1 : 0);
  if (get(g->hardware, intid)) return list | LR_HARDWARE | (u32)g->physical[intid] << 10;
  /* A level that is still high at the end has to come again. */
  if (!get(g->edge, intid) && get(g->level, intid)) list |= LR_EOI;
  return list;
}

/* Room for one more by putting aside the active interrupt of the lowest priority; MAX_LISTS when none is just active. */
static u32 evict(struct vm *vm) {
  struct vgic *g = &vm->gic;
  u32 victim = MAX_LISTS, lowest = 0;
  for (u32 i = 0; i < lists(); i++) {
    u32 priority = g->list[i] >> 23 & 31;
    if ((g->list[i] & LR_STATE) != LR_ACTIVE || (victim != MAX_LISTS && priority < lowest)) continue;
    lowest = priority;
    victim = i;
  }
  if (victim == MAX_LISTS) return victim;
  u32 list = g->list[victim];
  set(g->active, LR_ID(list));
  if (list & LR_HARDWARE) physical_end(list >> 10 & 0x3ff);
  g->list[victim] = 0;
  return victim;
}

/* Those in GICH_HCR.EOICount ended while put aside: the highest active priorities first. */
static void ended_aside(struct vgic *g, u32 count) {
  while (count--) {
    u32 found = VGIC_LINES;
    for (u32 w = 0; w < VGIC_WORDS; w++)
      for (u32 bits = g->active[w]; bits; bits &= bits - 1) {
        u32 intid = w * 32 + (u32)__builtin_ctz(bits);
        if (found == VGIC_LINES || g->priority[intid] < g->priority[found]) found = intid;
      }
    if (found == VGIC_LINES) return;
    clear(g->active, found);
  }
}

/* Fills the list registers anew: the active stay, the pending are chosen by priority. Only for the loaded guest. */
void vgic_update(struct vm *vm) {
  struct vgic *g = &vm->gic;
  u32 taken[VGIC_WORDS] = { 0 }, count = lists(), hcr = gich_read(GICH_HCR), was[MAX_LISTS];
  bool aside = false;
  g->stale = false;
  vgic_fold(vm);
  if (hcr & HCR_EOI_COUNT) ended_aside(g, hcr >> 27);
  for (u32 i = 0; i < count; i++) {
    was[i] = g->list[i];
    if ((g->list[i] & LR_STATE) == LR_PENDING) g->list[i] = 0;
    else if (g->list[i]) set(taken, LR_ID(g->list[i]));
  }
  hcr = HCR_EN;
  while (g->control & 1) {
    u32 intid = best(g, taken), slot = 0;
    if (intid == VGIC_LINES) break;
    set(taken, intid);
    if (get(g->hardware, intid) && !asserted(g->physical[intid])) {
      clear(g->hardware, intid);
      physical_end(g->physical[intid]);
      if (!(pending_word(g, intid / 32) >> intid % 32 & 1)) continue;
    }
    while (slot < count && g->list[slot]) slot++;
    if (slot == count) {
      bool all_active = true;
      for (u32 i = 0; i < count; i++) all_active = all_active && (g->list[i] & LR_STATE) == LR_ACTIVE;
      slot = all_active ? evict(vm) : count;
      if (slot >= count) {
        hcr |= HCR_NPIE;
        break;
      }
    }
    g->list[slot] = entry(vm, intid);
    bool again = false;
    for (u32 i = 0; i < count; i++) again = again || (was[i] & LR_PENDING && LR_ID(was[i]) == intid);
    if (!again) vm->injected++;
  }
  for (u32 w = 0; w < VGIC_WORDS; w++) aside = aside || g->active[w];
  if (aside) hcr |= HCR_LRENPIE;
  for (u32 i = 0; i < count; i++)
    if (g->list[i] != was[i]) gich_write(GICH_LR(i), g->list[i]);
  gich_write(GICH_HCR, hcr);
  g->hcr = hcr;
}

void vgic_unload(struct vm *vm) {
  struct vgic *g = &vm->gic;
  vgic_fold(vm);
  u32 hcr = gich_read(GICH_HCR);
  if (hcr & HCR_EOI_COUNT) ended_aside(g, hcr >> 27);
  g->vmcr = gich_read(GICH_VMCR);
  g->apr = gich_read(GICH_APR);
  gich_write(GICH_HCR, 0);
}

void vgic_load(struct vm *vm) {
  struct vgic *g = &vm->gic;
  gich_write(GICH_VMCR, g->vmcr);
  gich_write(GICH_APR, g->apr);
  for (u32 i = 0; i < lists(); i++) gich_write(GICH_LR(i), g->list[i]);
  gich_write(GICH_HCR, g->hcr);
  g->stale = true;
}

/* An interrupt that comes after the last one was acknowledged is a new one: what the guest has acknowledged must be known first. */
static void latch(struct vm *vm, u32 intid) {
  vgic_fold(vm);
  set(vm->gic.latched, intid);
  vm->gic.stale = true;
  vm_wake(vm);
}

void vgic_level(struct vm *vm, u32 intid, bool high) {
  struct vgic *g = &vm->gic;
  if (get(g->level, intid) == high) return;
  if (high) {
    set(g->level, intid);
    if (get(g->edge, intid)) latch(vm, intid);
    vm_wake(vm);
  } else {
    clear(g->level, intid);
  }
  g->stale = true;
}

void vgic_hardware(struct vm *vm, u32 intid) {
  vgic_fold(vm);
  set(vm->gic.hardware, intid);
  vm->gic.stale = true;
  vm_wake(vm);
}

bool vgic_pending(const struct vm *vm) {
  const struct vgic *g = &vm->gic;
  u32 any = 0;
  for (u32 w = 0; w < VGIC_WORDS; w++) any |= pending_word(g, w) & g->enabled[w] & ~g->active[w];
  return any && g->control & 1;
}

/* The physical interrupt is active on this guest's behalf. */
bool vgic_holds_hardware(const struct vm *vm, u32 intid) {
  if (get(vm->gic.hardware, intid)) return true;
  for (u32 i = 0; i < MAX_LISTS; i++)
    if (vm->gic.list[i] & LR_HARDWARE && LR_ID(vm->gic.list[i]) == intid) return true;
  return false;
}

/* --- GICD registers */

static u32 active_word(const struct vgic *g, u32 word) {
  u32 bits = g->active[word];
  for (u32 i = 0; i < MAX_LISTS; i++)
    if (g->list[i] & LR_ACTIVE && LR_ID(g->list[i]) / 32 == word) bits |= 1u << LR_ID(g->list[i]) % 32;
  return bits;
}

/* What is pending now: a passed interrupt that came once and was not delivered may have gone since. */
static u32 pending_now(struct vm *vm, u32 word) {
  struct vgic *g = &vm->gic;
  u32 listed = 0;
  vgic_update(vm);
  for (u32 i = 0; i < MAX_LISTS; i++)
    if (g->list[i] && LR_ID(g->list[i]) / 32 == word) listed |= 1u << LR_ID(g->list[i]) % 32;
  for (u32 bits = g->hardware[word] & ~listed; bits; bits &= bits - 1) {
    u32 intid = word * 32 + (u32)__builtin_ctz(bits);
    if (asserted(g->physical[intid])) continue;
    clear(g->hardware, intid);
    physical_end(g->physical[intid]);
  }
  return pending_word(g, word);
}

static void deactivate(struct vm *vm, u32 word, u32 bits) {
  struct vgic *g = &vm->gic;
  g->active[word] &= ~bits;
  for (u32 i = 0; i < MAX_LISTS; i++) {
    u32 list = g->list[i];
    if (!(list & LR_ACTIVE) || LR_ID(list) / 32 != word || !(bits >> LR_ID(list) % 32 & 1)) continue;
    if (list & LR_HARDWARE) physical_end(list >> 10 & 0x3ff);
    g->list[i] = list & LR_PENDING ? list & ~LR_ACTIVE : 0;
    gich_write(GICH_LR(i), g->list[i]);
  }
}

static u32 bytes(const u8 *from) { return from[0] | (u32)from[1] << 8 | (u32)from[2] << 16 | (u32)from[3] << 24; }

/* Two bits an interrupt; only the upper one, edge, has a meaning in GICv2. */
static u32 configuration(const struct vgic *g, u32 first) {
  u32 value = 0;
  for (u32 i = 0; i < 16; i++) value |= (u32)get(g->edge, first + i) << (2 * i + 1);
  return value;
}

u32 vgicd_read(struct vm *vm, u32 offset) {
  static const u8 identification[12] = { 0x04, 0, 0, 0, 0x90, 0xb4, 0x2b, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };
  struct vgic *g = &vm->gic;
  u32 word = (offset & 0x7f) / 4;
  if (offset >= 0xfd0 && offset < 0x1000) return identification[(offset - 0xfd0) / 4];
  if (offset == GICD_CTLR) return g->control;
  if (offset == GICD_TYPER) return VGIC_LINES / 32 - 1;
  if (offset == GICD_IIDR) return 0x0200043b;
  if (offset >= GICD_IPRIORITYR && offset < GICD_IPRIORITYR + VGIC_LINES) return bytes(&g->priority[offset - GICD_IPRIORITYR]);
  /* 4.3.12: with one CPU the targets are RAZ/WI. */
  if (offset >= GICD_ICFGR && offset < GICD_ICFGR + VGIC_LINES / 4) return configuration(g, (offset - GICD_ICFGR) * 4);
  if (word >= VGIC_WORDS) return 0;
  switch (offset & ~0x7fu) {
    case GICD_IGROUPR: return g->group[word];
    case GICD_ISENABLER:
    case GICD_ICENABLER: return g->enabled[word];
    case GICD_ISPENDR:
    case GICD_ICPENDR: return pending_now(vm, word);
    case GICD_ISACTIVER:
    case GICD_ICACTIVER: vgic_fold(vm); return active_word(g, word);
    default: return 0;
  }
}

static void write_set(struct vm *vm, u32 offset, u32 value) {
  struct vgic *g = &vm->gic;
  u32 word = (offset & 0x7f) / 4;
  if (word >= VGIC_WORDS) return;
  vgic_fold(vm);
  switch (offset & ~0x7fu) {
    case GICD_IGROUPR: g->group[word] = value; break;
    case GICD_ISENABLER: g->enabled[word] |= value; break;
    /* 4.3.5: whether SGIs can be disabled is the implementation's choice; the board's cannot. */
    case GICD_ICENABLER: g->enabled[word] &= word ? ~value : ~(value & 0xffff0000); break;
    case GICD_ISPENDR: g->latched[word] |= word ? value : value & 0xffff0000; break;
    case GICD_ICPENDR: g->latched[word] &= word ? ~value : ~(value & 0xffff0000); break;
    case GICD_ISACTIVER: g->active[word] |= value & ~active_word(g, word); break;
    case GICD_ICACTIVER: deactivate(vm, word, value); break;
    default: break;
  }
}

void vgicd_write(struct vm *vm, u32 offset, u32 size, u32 value) {
  struct vgic *g = &vm->gic;
  g->stale = true;
  if (offset >= GICD_IPRIORITYR && offset < GICD_IPRIORITYR + VGIC_LINES) {
    for (u32 i = 0; i < size; i++) g->priority[offset - GICD_IPRIORITYR + i] = value >> 8 * i & 0xff;
  } else if (offset >= GICD_ICFGR + 4 && offset < GICD_ICFGR + VGIC_LINES / 4) {
    for (u32 i = 0; i < 16; i++) value >> (2 * i + 1) & 1 ? set(g->edge, (offset - GICD_ICFGR) * 4 + i) : clear(g->edge, (offset - GICD_ICFGR) * 4 + i);
  } else if (offset == GICD_CTLR) {
    g->control = value & 3;
  } else if (offset == GICD_SGIR) {
    /* To this CPU by list or by itself; "all others" are none. */
    u32 filter = value >> 24 & 3;
    if (filter == 2 || (filter == 0 && value >> 16 & 1)) latch(vm, value & 15);
  } else if (offset >= GICD_CPENDSGIR && offset < GICD_SPENDSGIR + 16) {
    u32 first = offset & 15;
    vgic_fold(vm);
    for (u32 i = 0; i < size; i++)
      if (value >> 8 * i & 1) offset < GICD_SPENDSGIR ? clear(g->latched, first + i) : set(g->latched, first + i);
  } else if (size == 4) {
    write_set(vm, offset, value);
  }
}
