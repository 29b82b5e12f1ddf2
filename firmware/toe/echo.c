/* RFC 862. */
#include "memory.h"
#include "server.h"

#define BUFFER 0x4000u

static u8 *unused;

bool echo_serve(s32 socket) {
  u8 *buffer = unused;
  if (buffer) memcpy(&unused, buffer, sizeof unused);
  else buffer = memory_take(BUFFER);
  if (!buffer) return true;
  for (;;) {
    s64 count = toe_receive(&toe, socket, buffer, BUFFER, false);
    if (count <= 0 || toe_send(&toe, socket, buffer, (u64)count) != count) break;
    served((u64)count);
  }
  memcpy(buffer, &unused, sizeof unused);
  unused = buffer;
  return true;
}
