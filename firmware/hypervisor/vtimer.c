/* SP804, Arm DDI 0271D, for a guest: both timers in all modes; the integration test registers are not modelled. A value follows from the time
 * that has passed; nothing happens between the guest's looks but at an instant when an interrupt can come. A load takes effect at once, not at an edge of TIMCLK. */
#include "hypervisor.h"
#include "sp804.h"

/* 62.5 counts of the generic timer are one of TIMCLK: in half counts both are whole. */
#define HALVES (2u * BOARD_GENERIC_TIMER_HZ / BOARD_SP804_CLOCK_HZ)

static u32 span(const struct vtimer_half *h) {
  static const u32 prescale[4] = { 1, 16, 256, 256 };
  return HALVES * prescale[h->control >> 2 & 3];
}
static u32 mask(const struct vtimer_half *h) { return h->control & SP804_32BIT ? ~0u : 0xffffu; }

/* Decrements until zero is reached. A loaded zero interrupts at once; one that was counted down to has done so. */
static u64 first_zero(const struct vtimer_half *h) {
  u32 low = h->value & mask(h), load = h->load & mask(h);
  if (h->control & SP804_ONE_SHOT && h->halted) return NEVER;
  if (low || h->loaded) return low;
  if (h->control & SP804_ONE_SHOT) return NEVER;
  return h->control & SP804_PERIODIC ? 1UL + load : 1UL + mask(h);
}

/* With 16 bits the upper half stands still. In periodic mode zero and the reloaded value are one state. */
static u32 value_after(const struct vtimer_half *h, u64 steps) {
  u32 low = h->value & mask(h), upper = h->value & ~mask(h), load = h->load & mask(h);
  bool passed = !low && !h->loaded;
  if (h->control & SP804_ONE_SHOT && h->halted) return h->value;
  if (steps < low) return h->value - (u32)steps;
  if (h->control & SP804_ONE_SHOT || (passed && !steps)) return upper;
  if (!(h->control & SP804_PERIODIC)) return upper | ((low - (u32)steps) & mask(h));
  return upper | (load ? load - (u32)((steps - (passed ? 1 : low)) % load) : 0);
}

/* Brings one timer to `time`. */
static void advance(struct vtimer_half *h, u64 time) {
  if (!(h->control & SP804_ENABLE)) {
    h->since = 2 * time;
    return;
  }
  u64 steps = (2 * time - h->since) / span(h);
  bool zero = first_zero(h) <= steps;
  if (!steps && !zero) return;
  h->value = value_after(h, steps);
  h->loaded = false;
  if (zero) {
    h->raw = true;
    h->halted = h->control & SP804_ONE_SHOT;
  }
  /* The remainder of a step stays. */
  h->since += steps * span(h);
}

static u64 next(const struct vtimer_half *h) {
  if (!(h->control & SP804_ENABLE) || !(h->control & SP804_INT_ENABLE) || h->raw) return NEVER;
  u64 zero = first_zero(h);
  return zero == NEVER ? NEVER : (h->since + zero * span(h) + 1) / 2;
}

static void lines(struct vm *vm) {
  bool first = vm->timer.half[0].raw && vm->timer.half[0].control & SP804_INT_ENABLE;
  bool second = vm->timer.half[1].raw && vm->timer.half[1].control & SP804_INT_ENABLE;
  vgic_level(vm, BOARD_SP804_TIMER1_INTID, first);
  vgic_level(vm, BOARD_SP804_TIMER2_INTID, second);
  vgic_level(vm, BOARD_SP804_COMBINED_INTID, first || second);
}

void vtimer_reset(struct vm *vm) {
  for (u32 i = 0; i < 2; i++) vm->timer.half[i] = (struct vtimer_half){ .value = ~0u, .control = SP804_INT_ENABLE, .since = 2 * now() };
}

u64 vtimer_update(struct vm *vm, u64 time) {
  u64 first, second;
  for (u32 i = 0; i < 2; i++) advance(&vm->timer.half[i], time);
  lines(vm);
  first = next(&vm->timer.half[0]);
  second = next(&vm->timer.half[1]);
  return first < second ? first : second;
}

u32 vtimer_read(struct vm *vm, u32 offset) {
  static const u8 identification[8] = { 0x04, 0x18, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };
  if (offset >= TimerPeriphID0) return identification[(offset - TimerPeriphID0) / 4];
  if (offset >= 0x40) return 0;
  struct vtimer_half *h = &vm->timer.half[offset / 0x20];
  advance(h, now());
  switch (offset % 0x20) {
    case TimerLoad:
    case TimerBGLoad: return h->load;
    case TimerValue: return h->value;
    case TimerControl: return h->control;
    case TimerRIS: return h->raw;
    case TimerMIS: return h->raw && h->control & SP804_INT_ENABLE;
    default: return 0;
  }
}

void vtimer_write(struct vm *vm, u32 offset, u32 value) {
  if (offset >= 0x40) return;
  struct vtimer_half *h = &vm->timer.half[offset / 0x20];
  u64 time = now();
  advance(h, time);
  switch (offset % 0x20) {
    case TimerLoad:
      h->load = value;
      h->value = value & mask(h);
      h->loaded = true;
      h->halted = false;
      h->since = 2 * time;
      break;
    case TimerBGLoad: h->load = value; break;
    case TimerControl:
      if ((h->control ^ value) & (SP804_ENABLE | 0xc)) h->since = 2 * time;
      h->control = value & 0xef;
      if (!(value & SP804_ONE_SHOT)) h->halted = false;
      break;
    case TimerIntClr: h->raw = false; break;
    default: break;
  }
  lines(vm);
}
