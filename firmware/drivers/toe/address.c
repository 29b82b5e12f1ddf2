#include "toe.h"

bool toe_is_ipv4(const struct toe_address *address) {
  for (u32 i = 0; i < 10; i++)
    if (address->byte[i]) return false;
  return address->byte[10] == 0xff && address->byte[11] == 0xff;
}

static int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const char *parse_ipv4(const char *text, struct toe_address *address) {
  memset(address, 0, sizeof *address);
  address->byte[10] = address->byte[11] = 0xff;
  for (u32 i = 0; i < 4; i++) {
    u32 value = 0, digits = 0;
    for (; *text >= '0' && *text <= '9' && digits < 3; text++, digits++) value = value * 10 + (u32)(*text - '0');
    if (!digits || value > 255) return NULL;
    address->byte[12 + i] = (u8)value;
    if (i < 3 && *text++ != '.') return NULL;
  }
  return text;
}

/* RFC 4291 2.2, forms 1 and 2. */
static const char *parse_ipv6(const char *text, struct toe_address *address) {
  u16 group[8];
  u32 count = 0, gap = 8;
  while (count < 8) {
    if (text[0] == ':' && text[1] == ':') {
      if (gap != 8) return NULL;
      gap = count;
      text += 2;
      if (digit(*text) < 0) break;
    }
    u32 value = 0, digits = 0;
    for (; digit(*text) >= 0 && digits < 4; text++, digits++) value = value << 4 | (u32)digit(*text);
    if (!digits) return NULL;
    group[count++] = (u16)value;
    if (*text != ':' || count == 8) break;
    if (text[1] != ':') text++;
  }
  if (gap == 8 && count != 8) return NULL;
  memset(address, 0, sizeof *address);
  for (u32 i = 0; i < count; i++) {
    u32 at = i < gap ? i : 8 - count + i;
    address->byte[2 * at] = (u8)(group[i] >> 8);
    address->byte[2 * at + 1] = (u8)group[i];
  }
  return text;
}

const char *toe_parse_address(const char *text, struct toe_address *address) {
  for (const char *p = text; digit(*p) >= 0 || *p == '.' || *p == ':'; p++)
    if (*p == ':') return parse_ipv6(text, address);
  return parse_ipv4(text, address);
}
