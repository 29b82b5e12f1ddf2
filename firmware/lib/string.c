/* The compiler may call these four by name; plain loops, so that no vector register is needed. */
#include "types.h"

void *memcpy(void *to, const void *from, u64 size) {
  u8 *a = to;
  const u8 *b = from;
  while (size--) *a++ = *b++;
  return to;
}

void *memset(void *to, int byte, u64 size) {
  u8 *a = to;
  while (size--) *a++ = (u8)byte;
  return to;
}

int memcmp(const void *a, const void *b, u64 size) {
  const u8 *p = a, *q = b;
  for (; size--; p++, q++)
    if (*p != *q) return *p - *q;
  return 0;
}

u64 strlen(const char *text) {
  u64 n = 0;
  while (text[n]) n++;
  return n;
}

int strcmp(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return (u8)*a - (u8)*b;
}
