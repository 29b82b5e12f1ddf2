/* Text put together piece by piece; each returns where the next goes. The caller has room. */
#ifndef TEXT_H
#define TEXT_H
#include "types.h"

char *text_put(char *at, const char *from);
/* In decimal. */
char *text_put_number(char *at, u64 value);

#endif
