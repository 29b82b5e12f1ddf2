#include "fiber.h"
#include "arch.h"
#include "memory.h"
#include "timer.h"

struct fiber {
  u64 stack_pointer;
  void (*entry)(void *);
  void *argument;
  volatile bool *waits_for;
  u64 sleeps_until;
  struct fiber *next;
  u8 *stack;
};

/* In fiber_switch.S: saves the caller's registers on its stack, its stack pointer at *from, and goes on where `to` was saved. */
void fiber_switch(u64 *from, u64 to);
void fiber_begin(void);

static struct fiber *all, *unused, *current;
static u64 scheduler;

void fiber_main(void);
void fiber_main(void) {
  struct fiber *self = current;
  self->entry(self->argument);
  self->entry = NULL;
  fiber_switch(&self->stack_pointer, scheduler);
}

bool fiber_start(void (*entry)(void *), void *argument) {
  struct fiber *f = unused;
  if (f) unused = f->next;
  else {
    f = memory_take(sizeof *f);
    if (!f) return false;
    f->stack = memory_take(FIBER_STACK);
    if (!f->stack) return false;
  }
  f->entry = entry;
  f->argument = argument;
  f->waits_for = NULL;
  f->sleeps_until = 0;
  /* What fiber_switch takes from the stack: x19 to x30, the last of them the address it returns to. */
  u64 *top = (u64 *)(f->stack + FIBER_STACK) - 12;
  memset(top, 0, 12 * sizeof *top);
  top[11] = (u64)fiber_begin;
  f->stack_pointer = (u64)top;
  /* At the end, so that it runs after those that are there. */
  struct fiber **last = &all;
  while (*last) last = &(*last)->next;
  f->next = NULL;
  *last = f;
  return true;
}

void fiber_wait(volatile bool *flag) {
  if (*flag) return;
  current->waits_for = flag;
  fiber_switch(&current->stack_pointer, scheduler);
}

void fiber_sleep_until(u64 count) {
  current->sleeps_until = count;
  fiber_switch(&current->stack_pointer, scheduler);
}

static bool ready(struct fiber *f) {
  if (f->waits_for) {
    if (!*f->waits_for) return false;
    f->waits_for = NULL;
  }
  if (f->sleeps_until) {
    if (timer_virtual_count() < f->sleeps_until) return false;
    f->sleeps_until = 0;
  }
  return true;
}

u64 fiber_deadline(void) {
  u64 first = ~0UL;
  for (struct fiber *f = all; f; f = f->next)
    if (f->sleeps_until && f->sleeps_until < first) first = f->sleeps_until;
  return first;
}

void fiber_run(void (*idle)(void)) {
  while (all) {
    bool any = false;
    for (struct fiber **at = &all; *at;) {
      struct fiber *f = *at;
      if (!ready(f)) {
        at = &f->next;
        continue;
      }
      any = true;
      current = f;
      fiber_switch(&scheduler, f->stack_pointer);
      if (f->entry) at = &f->next;
      else {
        *at = f->next;
        f->next = unused;
        unused = f;
      }
    }
    if (!any) {
      irq_disable();
      idle();
      irq_enable();
    }
  }
}
