#include "cfi_flash.h"
#include "io.h"

/* The same command in both halves: one for each part. */
#define BOTH(command) ((u32)(command) * 0x00010001u)
#define READ_ARRAY BOTH(0xff)
#define READ_QUERY BOTH(0x98)
#define READ_IDENTIFIER BOTH(0x90)
#define CLEAR_STATUS BOTH(0x50)
#define ERASE_SETUP BOTH(0x20)
#define CONFIRM BOTH(0xd0)
#define PROGRAM BOTH(0x40)
#define WRITE_BUFFER BOTH(0xe8)
#define READY 0x80u

void cfi_reset(u64 base) {
  write32(base, CLEAR_STATUS);
  write32(base, READ_ARRAY);
}

static u32 query_byte(u64 base, u32 index) { return read32(base + 4 * index) & 0xff; }
static u32 query_half(u64 base, u32 index) { return query_byte(base, index) | query_byte(base, index + 1) << 8; }

bool cfi_query(u64 base, struct cfi_geometry *geometry) {
  write32(base + 4 * 0x55, READ_QUERY);
  bool found = query_byte(base, 0x10) == 'Q' && query_byte(base, 0x11) == 'R' && query_byte(base, 0x12) == 'Y';
  if (found) {
    geometry->command_set = (u16)query_half(base, 0x13);
    geometry->size = 2UL << query_byte(base, 0x27);
    geometry->buffer_size = 2u << query_half(base, 0x2a);
    geometry->blocks = query_half(base, 0x2d) + 1;
    geometry->block_size = query_half(base, 0x2f) * 256u * 2u;
  }
  write32(base, READ_ARRAY);
  return found;
}

u32 cfi_identify(u64 base) {
  write32(base, READ_IDENTIFIER);
  u32 value = (read32(base) & 0xffff) << 16 | (read32(base + 4) & 0xffff);
  write32(base, READ_ARRAY);
  return value;
}

static u32 finish(u64 address) {
  u32 status = 0;
  for (u32 i = 0; i < 1000000; i++) {
    status = read32(address);
    if ((status & BOTH(READY)) == BOTH(READY)) break;
  }
  return (status & BOTH(READY)) == BOTH(READY) ? (status | status >> 16) & 0xff : 0;
}

u32 cfi_erase(u64 base, u64 block) {
  write32(base + block, ERASE_SETUP);
  write32(base + block, CONFIRM);
  u32 status = finish(base + block);
  cfi_reset(base);
  return status;
}

u32 cfi_program(u64 base, u64 offset, u32 value) {
  write32(base + offset, PROGRAM);
  write32(base + offset, value);
  u32 status = finish(base + offset);
  cfi_reset(base);
  return status;
}

u32 cfi_program_buffer(u64 base, u64 offset, const u32 *words, u32 count) {
  /* 0xe8 is given again until the part says that its buffer is free; then the number of bus words less one. */
  write32(base + offset, WRITE_BUFFER);
  if (!finish(base + offset)) return 0;
  write32(base + offset, BOTH(count - 1));
  for (u32 i = 0; i < count; i++) write32(base + offset + 4 * i, words[i]);
  write32(base + offset, CONFIRM);
  u32 status = finish(base + offset);
  cfi_reset(base);
  return status;
}
