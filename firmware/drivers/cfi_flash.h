/* Parallel NOR flash with the Intel command set (CFI, JEDEC JESD68.01), two 16-bit parts side by side on a 32-bit bus. */
#ifndef CFI_FLASH_H
#define CFI_FLASH_H
#include "types.h"

struct cfi_geometry {
  /* Of both parts together. */
  u64 size;
  u32 block_size, blocks;
  /* Bytes of the write buffer of both parts. */
  u32 buffer_size;
  u16 command_set;
};

/* False when no flash answers. */
bool cfi_query(u64 base, struct cfi_geometry *geometry);
/* Manufacturer and device code of the lower part. */
u32 cfi_identify(u64 base);
/* The status register of the lower part after the operation (0x80: done without error), or 0 when it does not end. */
u32 cfi_erase(u64 base, u64 block);
u32 cfi_program(u64 base, u64 offset, u32 value);
/* Through the write buffer; `count` words, within one buffer and one block. */
u32 cfi_program_buffer(u64 base, u64 offset, const u32 *words, u32 count);
/* Clears the status register and goes back to reading the array. */
void cfi_reset(u64 base);

#endif
