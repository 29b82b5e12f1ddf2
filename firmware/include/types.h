/* Fixed-width types and the few helpers that a freestanding program needs. */
#ifndef TYPES_H
#define TYPES_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef signed int s32;
typedef signed long s64;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

void *memcpy(void *to, const void *from, u64 size);
void *memset(void *to, int byte, u64 size);
int memcmp(const void *a, const void *b, u64 size);
u64 strlen(const char *text);
int strcmp(const char *a, const char *b);

static inline u32 be32(u32 value) { return __builtin_bswap32(value); }
static inline u64 be64(u64 value) { return __builtin_bswap64(value); }
static inline u16 be16(u16 value) { return __builtin_bswap16(value); }

#endif
