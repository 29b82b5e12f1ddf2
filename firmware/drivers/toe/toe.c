#include "toe.h"
#include "io.h"

static void write_address(u64 at, u64 address) {
  write32(at, (u32)address);
  write32(at + 4, (u32)(address >> 32));
}

bool toe_open(struct toe *toe, u64 base, void *memory) {
  if (read32(base + TOE_ID) != TOE_ID_VALUE || (read32(base + TOE_VERSION) >> 8 & 0xff) != 1) return false;
  if (!(read32(base + TOE_STATUS) & TOE_STATUS_GRANTED)) return false;
  memset(toe, 0, sizeof *toe);
  toe->base = base;
  toe->sq = memory;
  toe->cq = (struct toe_completion *)((u8 *)memory + (64u << TOE_SQ_LOG2));
  toe->phase = 1;
  toe->most = (1u << TOE_CQ_LOG2) - 1;
  u32 limit = read32(base + TOE_MAX_COMMANDS);
  if (limit < toe->most) toe->most = limit;
  write32(base + TOE_CONTROL, TOE_CONTROL_RESET);
  memset(memory, 0, TOE_MEMORY);
  write_address(base + TOE_SQ_BASE, (u64)toe->sq);
  write32(base + TOE_SQ_SIZE, TOE_SQ_LOG2);
  write_address(base + TOE_CQ_BASE, (u64)toe->cq);
  write32(base + TOE_CQ_SIZE, TOE_CQ_LOG2);
  write32(base + TOE_INTERRUPT_ENABLE, TOE_INTERRUPT_COMPLETION | TOE_INTERRUPT_ERROR);
  /* The ring's clearing must be visible before the device writes to it (6). */
  __asm__ volatile("dmb osh" ::: "memory");
  write32(base + TOE_CONTROL, TOE_CONTROL_ENABLE);
  return (read32(base + TOE_STATUS) & TOE_STATUS_READY) != 0;
}

bool toe_submit(struct toe *toe, const struct toe_command *command, struct toe_request *request) {
  const u32 mask = (1u << TOE_SQ_LOG2) - 1;
  u32 next = (toe->sq_tail + 1) & mask;
  if (toe->outstanding >= toe->most) return false;
  if (next == toe->sq_head) {
    /* Commands that wait complete late: the head that the last completion told may be an old one. */
    toe->sq_head = read32(toe->base + TOE_SQ_HEAD);
    if (next == toe->sq_head) return false;
  }
  struct toe_command *entry = &toe->sq[toe->sq_tail];
  *entry = *command;
  entry->user = (u64)request;
  toe->sq_tail = next;
  toe->outstanding++;
  __asm__ volatile("dmb oshst" ::: "memory");
  write32(toe->base + TOE_SQ_TAIL, next);
  return true;
}

u32 toe_poll(struct toe *toe) {
  const u32 mask = (1u << TOE_CQ_LOG2) - 1;
  u32 count = 0;
  for (;;) {
    const volatile struct toe_completion *at = &toe->cq[toe->cq_head];
    if ((at->phase & 1) != toe->phase) break;
    __asm__ volatile("dmb oshld" ::: "memory");
    struct toe_completion completion = toe->cq[toe->cq_head];
    toe->cq_head = (toe->cq_head + 1) & mask;
    if (toe->cq_head == 0) toe->phase ^= 1;
    toe->sq_head = completion.sq_head;
    if (!(completion.flags & TOE_MORE)) toe->outstanding--;
    struct toe_request *request = (struct toe_request *)completion.user;
    request->done(request, &completion);
    count++;
  }
  if (count) write32(toe->base + TOE_CQ_HEAD, toe->cq_head);
  return count;
}

void toe_interrupt(struct toe *toe) {
  write32(toe->base + TOE_INTERRUPT_STATUS, read32(toe->base + TOE_INTERRUPT_STATUS));
  toe->interrupts++;
}

u64 toe_counter(const struct toe *toe, u32 number) {
  u64 at = toe->base + TOE_COUNTER + 8 * number;
  return read32(at) | (u64)read32(at + 4) << 32;
}
