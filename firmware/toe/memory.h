/* RAM behind the image, handed out once. */
#ifndef MEMORY_H
#define MEMORY_H
#include "types.h"

void memory_start(u64 first, u64 end);
/* 64-byte aligned, contents as they are; NULL where there is none left. */
void *memory_take(u64 size);
u64 memory_left(void);

#endif
