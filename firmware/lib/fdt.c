#include "fdt.h"

#define MAGIC 0xd00dfeedu
#define BEGIN_NODE 1u
#define END_NODE 2u
#define PROPERTY 3u
#define NOP 4u
#define MAX_DEPTH 16u

static u32 word(const void *tree, u32 at) { return be32(*(const u32 *)((const u8 *)tree + at)); }
static u32 struct_start(const void *tree) { return word(tree, 8); }
static u32 struct_end(const void *tree) { return struct_start(tree) + word(tree, 36); }
static const char *property_name(const void *tree, u32 offset) {
  return offset < word(tree, 32) ? (const char *)tree + word(tree, 12) + offset : "";
}

u32 fdt_check(const void *tree) {
  if ((u64)tree & 7 || word(tree, 0) != MAGIC) return 0;
  u32 total = word(tree, 4);
  if (word(tree, 20) < 17 || total < 40 || total > 0x200000) return 0;
  if (struct_start(tree) > total || word(tree, 36) > total - struct_start(tree)) return 0;
  if (word(tree, 12) > total || word(tree, 32) > total - word(tree, 12)) return 0;
  return total;
}

/* Offset behind the token at `at`; 0 at the end. */
static u32 next_token(const void *tree, u32 at) {
  u32 end = struct_end(tree);
  if (at + 4 > end) return 0;
  switch (word(tree, at)) {
    case BEGIN_NODE:
      at += 4;
      while (at < end && ((const u8 *)tree)[at]) at++;
      at = (at + 4) & ~3u;
      break;
    case PROPERTY:
      if (at + 12 > end || word(tree, at + 4) > end - at) return 0;
      at = (at + 12 + word(tree, at + 4) + 3) & ~3u;
      break;
    case END_NODE:
    case NOP:
      at += 4;
      break;
    default:
      return 0;
  }
  return at + 4 <= end ? at : 0;
}

const void *fdt_property(const void *tree, const struct fdt_node *node, const char *name, u32 *length) {
  for (u32 at = node->at; at; at = next_token(tree, at)) {
    u32 token = word(tree, at);
    if (token == NOP) continue;
    if (token != PROPERTY) break;
    if (strcmp(property_name(tree, word(tree, at + 8)), name)) continue;
    if (length) *length = word(tree, at + 4);
    return (const u8 *)tree + at + 12;
  }
  return NULL;
}

u32 fdt_cell(const void *tree, const struct fdt_node *node, const char *name, u32 index, u32 otherwise) {
  u32 length;
  const u32 *cells = fdt_property(tree, node, name, &length);
  return cells && length >= (index + 1) * 4 ? be32(cells[index]) : otherwise;
}

static u64 number(const u32 *cells, u32 count) {
  u64 value = 0;
  while (count--) value = value << 32 | be32(*cells++);
  return value;
}

bool fdt_reg(const void *tree, const struct fdt_node *node, u32 index, u64 *address, u64 *size) {
  u32 length, step = node->address_cells + node->size_cells;
  const u32 *cells = fdt_property(tree, node, "reg", &length);
  if (!cells || length < (index + 1) * step * 4) return false;
  *address = number(cells + index * step, node->address_cells) + node->offset;
  *size = number(cells + index * step + node->address_cells, node->size_cells);
  return true;
}

static bool has_compatible(const void *tree, const struct fdt_node *node, const char *wanted) {
  u32 length;
  const char *list = fdt_property(tree, node, "compatible", &length);
  if (!list || !length || list[length - 1]) return false;
  for (u32 at = 0; at < length; at += (u32)strlen(list + at) + 1)
    if (!strcmp(list + at, wanted)) return true;
  return false;
}

static bool has_name(const struct fdt_node *node, const char *wanted) {
  const char *name = node->name;
  while (*wanted && *name == *wanted) name++, wanted++;
  return !*wanted && (!*name || *name == '@');
}

static bool find(const void *tree, const char *compatible, const char *name, u32 index, struct fdt_node *found) {
  /* What each depth says about its children. */
  struct fdt_node stack[MAX_DEPTH];
  u32 depth = 0;
  for (u32 at = struct_start(tree); at; at = next_token(tree, at)) {
    u32 token = word(tree, at);
    if (token == END_NODE && depth) depth--;
    if (token != BEGIN_NODE) continue;
    if (depth == MAX_DEPTH) return false;
    struct fdt_node *node = &stack[depth];
    node->name = (const char *)tree + at + 4;
    node->at = next_token(tree, at);
    node->depth = depth;
    node->address_cells = node->size_cells = 2;
    node->offset = 0;
    if (depth) {
      struct fdt_node *parent = &stack[depth - 1];
      u32 length, grand = parent->address_cells;
      node->address_cells = fdt_cell(tree, parent, "#address-cells", 0, 2);
      node->size_cells = fdt_cell(tree, parent, "#size-cells", 0, 1);
      if (node->address_cells > 2 || node->size_cells > 2) node->address_cells = node->size_cells = 2;
      node->offset = parent->offset;
      /* One range is what a simple bus has; PCI's three-cell addresses are not followed. */
      const u32 *ranges = fdt_property(tree, parent, "ranges", &length);
      if (ranges && length == (node->address_cells + grand + node->size_cells) * 4)
        node->offset += number(ranges + node->address_cells, grand) - number(ranges, node->address_cells);
    }
    depth++;
    if (compatible ? !has_compatible(tree, node, compatible) : !has_name(node, name)) continue;
    if (index--) continue;
    *found = *node;
    return true;
  }
  return false;
}

bool fdt_compatible(const void *tree, const char *compatible, u32 index, struct fdt_node *node) {
  return find(tree, compatible, NULL, index, node);
}

bool fdt_named(const void *tree, const char *name, struct fdt_node *node) { return find(tree, NULL, name, 0, node); }
