/* A reader of flattened device trees (Devicetree Specification 0.4, chapter 5). Nothing in the tree is trusted. */
#ifndef FDT_H
#define FDT_H
#include "types.h"

struct fdt_node {
  const char *name;
  /* First property token of the node. */
  u32 at;
  u32 depth;
  /* Cells of a `reg` here: what the parent says. */
  u32 address_cells, size_cells;
  /* Added to an address of this node to reach the CPU's, from the `ranges` of its parents. */
  u64 offset;
};

/* Total size in bytes; 0 when there is no sound tree at this address. */
u32 fdt_check(const void *tree);
/* The `index`-th node whose `compatible` list contains the text. */
bool fdt_compatible(const void *tree, const char *compatible, u32 index, struct fdt_node *node);
/* The node by its name without unit address, at any depth. */
bool fdt_named(const void *tree, const char *name, struct fdt_node *node);
const void *fdt_property(const void *tree, const struct fdt_node *node, const char *name, u32 *length);
/* The `index`-th (address, size) pair of `reg`. */
bool fdt_reg(const void *tree, const struct fdt_node *node, u32 index, u64 *address, u64 *size);
/* Cell `index` of a property; `otherwise` where it is absent. */
u32 fdt_cell(const void *tree, const struct fdt_node *node, const char *name, u32 index, u32 otherwise);

#endif
