#include "io.h"
#include "toe.h"

static void write_words(u64 at, const struct toe_address *address) {
  for (u32 w = 0; w < 4; w++) {
    u32 value;
    memcpy(&value, &address->byte[4 * w], 4);
    write32(at + 4 * w, value);
  }
}

static u32 length_of(const struct toe_address *address, u32 prefix) { return toe_is_ipv4(address) ? prefix + 96 : prefix; }

static bool enter(u64 management, u32 select, u32 length) {
  write32(management + TOE_TABLE_SELECT, select);
  write32(management + TOE_TABLE_PREFIX, TOE_TABLE_VALID | length);
  write32(management + TOE_TABLE_COMMAND, TOE_TABLE_WRITE);
  return !(read32(management + TOE_TABLE_STATUS) & 1);
}

bool toe_manage_address(u64 management, u32 interface, u32 entry, const struct toe_address *address, u32 prefix) {
  write_words(management + TOE_TABLE_ADDRESS, address);
  return enter(management, interface | entry << 16, length_of(address, prefix));
}

bool toe_manage_route(u64 management, u32 interface, u32 entry, const struct toe_address *destination, u32 prefix,
                      const struct toe_address *gateway) {
  write_words(management + TOE_TABLE_ADDRESS, destination);
  write_words(management + TOE_TABLE_GATEWAY, gateway);
  return enter(management, interface | TOE_TABLE_ROUTES | entry << 16, length_of(destination, prefix));
}

void toe_manage_enable(u64 management, u32 interface) {
  write32(management + TOE_IF_CONTROL + TOE_IF_STRIDE * interface, TOE_IF_ENABLE);
}
