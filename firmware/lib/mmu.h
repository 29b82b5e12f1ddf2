/* Stage 1 translation: 4 KiB granule, 39-bit virtual addresses (start at level 1), identity map and a window for tests. */
#ifndef MMU_H
#define MMU_H
#include "types.h"

/* Page attributes, independent of the exception level. */
#define PAGE_NORMAL 0x0u
#define PAGE_DEVICE 0x1u
#define PAGE_READ_ONLY 0x2u
#define PAGE_EXECUTE 0x4u
#define PAGE_NO_ACCESS_FLAG 0x8u
#define PAGE_EL0 0x10u

/* 512 pages at this address are mapped by mmu_window alone. */
#define WINDOW_BASE 0x80000000UL

void mmu_start(u64 ram_size);
/* Maps page `index` of the window to `physical` (break before make); 0 as `physical` with no attributes unmaps nothing: use mmu_unmap. */
void mmu_window(u32 index, u64 physical, u32 attributes);
void mmu_unmap(u32 index);
/* Translates as a read or write at this exception level would; the value of PAR_EL1. */
u64 mmu_probe(u64 address, bool write);

#endif
