#include "memory.h"

static u64 at, last;

void memory_start(u64 first, u64 end) {
  at = (first + 63) & ~63UL;
  last = end;
}

u64 memory_left(void) { return at < last ? last - at : 0; }

void *memory_take(u64 size) {
  size = (size + 63) & ~63UL;
  if (size > memory_left()) return NULL;
  void *found = (void *)at;
  at += size;
  return found;
}
