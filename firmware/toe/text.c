#include "text.h"

char *text_put(char *at, const char *from) {
  while (*from) *at++ = *from++;
  return at;
}

char *text_put_number(char *at, u64 value) {
  char digits[20];
  u32 count = 0;
  do digits[count++] = (char)('0' + value % 10);
  while (value /= 10);
  while (count) *at++ = digits[--count];
  return at;
}
