#ifndef PRINTF_H
#define PRINTF_H
#include <stdarg.h>
#include "types.h"

/* %s %c %d %u %x %%, with l for 64 bits, a width, 0 and - flags. Nothing else. Output goes to console_putc. */
void vprintf(const char *format, va_list arguments);
__attribute__((format(printf, 1, 2))) void printf(const char *format, ...);
/* Given by the program. */
void console_putc(char c);

#endif
