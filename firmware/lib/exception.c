/* Faults that a test provokes, and faults that it did not. */
#include "arch.h"
#include "printf.h"

volatile struct fault last_fault;
static volatile bool expecting;
static volatile int resume_mode;

/* Given by the program: reports and never returns. */
void fatal(const char *what) __attribute__((noreturn));

void fault_expect(int resume) {
  resume_mode = resume;
  last_fault.count = 0;
  last_fault.esr = last_fault.far = last_fault.elr = 0;
  expecting = true;
  __asm__ volatile("" ::: "memory");
}

bool fault_taken(void) {
  __asm__ volatile("" ::: "memory");
  expecting = false;
  return last_fault.count != 0;
}

static void describe(const struct frame *frame, u32 which) {
  printf("\nunexpected exception %u: ESR 0x%lx FAR 0x%lx ELR 0x%lx SPSR 0x%lx\n", which, read_sysreg_el(esr), read_sysreg_el(far),
         frame->elr, frame->spsr);
  for (u32 i = 0; i < 31; i++) printf("x%-2u %016lx%c", i, frame->x[i], i % 4 == 3 || i == 30 ? '\n' : ' ');
}

void handle_unexpected(struct frame *frame, u32 which) {
  describe(frame, which);
  fatal("exception");
}

void handle_sync(struct frame *frame, u32 which) {
  if (!expecting) handle_unexpected(frame, which);
  expecting = false;
  last_fault.esr = read_sysreg_el(esr);
  last_fault.far = read_sysreg_el(far);
  last_fault.elr = frame->elr;
  last_fault.count++;
  /* SVC has its preferred return address behind itself already. */
  if (resume_mode == RESUME_AT_LR) frame->elr = frame->x[30];
  else if (esr_class(last_fault.esr) != EC_SVC64 && esr_class(last_fault.esr) != EC_HVC64) frame->elr += 4;
}
