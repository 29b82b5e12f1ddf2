/* The device tree of a guest (Devicetree Specification 0.4, chapter 5): boot arguments, memory, and how to call PSCI. */
#include "hypervisor.h"

#define BEGIN_NODE 1u
#define END_NODE 2u
#define PROPERTY 3u
#define END 9u
#define HEADER_WORDS 10u
#define STRUCTURE 64u
#define STRUCTURE_ROOM 1024u

static u32 *at;
static char *strings, *strings_end;

static void word(u32 value) { *at++ = be32(value); }
static void text(const char *from) {
  u64 size = strlen(from) + 1;
  memset(at, 0, (size + 3) & ~3UL);
  memcpy(at, from, size);
  at += (size + 3) / 4;
}
static void begin(const char *name) {
  word(BEGIN_NODE);
  text(name);
}
static void property(const char *name, u32 length) {
  word(PROPERTY);
  word(length);
  word((u32)(strings_end - strings));
  memcpy(strings_end, name, strlen(name) + 1);
  strings_end += strlen(name) + 1;
}
static void property_text(const char *name, const char *value) {
  property(name, (u32)strlen(value) + 1);
  text(value);
}
static void property_cell(const char *name, u32 value) {
  property(name, 4);
  word(value);
}

void tree_build(void *where, u64 ram_base, u64 ram_size, const char *bootargs) {
  char *base = where;
  memset(base, 0, STRUCTURE + STRUCTURE_ROOM);
  at = (u32 *)(base + STRUCTURE);
  strings = strings_end = base + STRUCTURE + STRUCTURE_ROOM;
  begin("");
  property_cell("#address-cells", 2);
  property_cell("#size-cells", 2);
  property_text("compatible", "armature,guest");
  begin("chosen");
  property_text("bootargs", bootargs);
  word(END_NODE);
  begin("memory@40000000");
  property_text("device_type", "memory");
  property("reg", 16);
  word((u32)(ram_base >> 32));
  word((u32)ram_base);
  word((u32)(ram_size >> 32));
  word((u32)ram_size);
  word(END_NODE);
  begin("psci");
  property_text("compatible", "arm,psci-1.0");
  property_text("method", "hvc");
  word(END_NODE);
  word(END_NODE);
  word(END);
  u32 structure_end = (u32)((char *)at - base), total = (u32)(strings_end - base);
  at = (u32 *)base;
  word(0xd00dfeed);
  word(total);
  word(STRUCTURE);
  word((u32)(strings - base));
  /* The memory reservations: only their end. */
  word(HEADER_WORDS * 4 + 0);
  word(17);
  word(16);
  word(0);
  word((u32)(strings_end - strings));
  word(structure_end - STRUCTURE);
}
