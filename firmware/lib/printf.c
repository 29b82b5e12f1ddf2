#include "printf.h"

static void pad(s32 count, char c) {
  while (count-- > 0) console_putc(c);
}

static void put_text(const char *text, u32 length, s32 width, bool left) {
  if (!left) pad(width - (s32)length, ' ');
  for (u32 i = 0; i < length; i++) console_putc(text[i]);
  if (left) pad(width - (s32)length, ' ');
}

static void put_number(u64 value, u32 base, bool negative, s32 width, bool left, bool zero) {
  char digits[24];
  u32 at = sizeof digits;
  do {
    digits[--at] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value);
  if (zero && !left) {
    if (negative) console_putc('-'), width--;
    pad(width - (s32)(sizeof digits - at), '0');
    width = 0;
  } else if (negative) {
    digits[--at] = '-';
  }
  put_text(digits + at, sizeof digits - at, width, left);
}

void vprintf(const char *format, va_list arguments) {
  for (const char *p = format; *p; p++) {
    if (*p != '%') {
      console_putc(*p);
      continue;
    }
    bool left = false, zero = false, wide = false;
    s32 width = 0;
    p++;
    for (; *p == '-' || *p == '0'; p++) *p == '-' ? (left = true) : (zero = true);
    for (; *p >= '0' && *p <= '9'; p++) width = width * 10 + (*p - '0');
    for (; *p == 'l'; p++) wide = true;
    switch (*p) {
      case 's': {
        const char *text = va_arg(arguments, const char *);
        put_text(text, (u32)strlen(text), width, left);
        break;
      }
      case 'c':
        console_putc((char)va_arg(arguments, int));
        break;
      case 'd': {
        s64 value = wide ? va_arg(arguments, s64) : va_arg(arguments, s32);
        put_number(value < 0 ? -(u64)value : (u64)value, 10, value < 0, width, left, zero);
        break;
      }
      case 'u':
      case 'x': {
        u64 value = wide ? va_arg(arguments, u64) : va_arg(arguments, u32);
        put_number(value, *p == 'x' ? 16 : 10, false, width, left, zero);
        break;
      }
      case '\0':
        return;
      default:
        console_putc(*p);
    }
  }
}

void printf(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
}
