#include "gicv2.h"
#include "arch.h"
#include "io.h"

volatile u32 gic_irqs, gic_fiqs, gic_unclaimed;
static u64 gicd, gicc;
static struct {
  irq_handler handler;
  void *argument;
} table[GIC_LINES];

u32 gicd_read(u32 offset) { return read32(gicd + offset); }
void gicd_write(u32 offset, u32 value) { write32(gicd + offset, value); }
u32 gicc_read(u32 offset) { return read32(gicc + offset); }
void gicc_write(u32 offset, u32 value) { write32(gicc + offset, value); }

static u32 bit(u32 intid) { return 1u << (intid & 31); }
static u32 word(u32 intid) { return 4u * (intid >> 5); }

void gic_enable(u32 intid) { gicd_write(GICD_ISENABLER + word(intid), bit(intid)); }
void gic_disable(u32 intid) { gicd_write(GICD_ICENABLER + word(intid), bit(intid)); }
bool gic_pending(u32 intid) { return gicd_read(GICD_ISPENDR + word(intid)) & bit(intid); }
bool gic_active(u32 intid) { return gicd_read(GICD_ISACTIVER + word(intid)) & bit(intid); }
void gic_set_pending(u32 intid) { gicd_write(GICD_ISPENDR + word(intid), bit(intid)); }
void gic_clear_pending(u32 intid) { gicd_write(GICD_ICPENDR + word(intid), bit(intid)); }
void gic_clear_active(u32 intid) { gicd_write(GICD_ICACTIVER + word(intid), bit(intid)); }
void gic_set_priority(u32 intid, u8 priority) { write8(gicd + GICD_IPRIORITYR + intid, priority); }
/* TargetListFilter 0b10: only the CPU that asks. */
void gic_send_self(u32 intid) { gicd_write(GICD_SGIR, 2u << 24 | intid); }

void gic_set_edge(u32 intid, bool edge) {
  u32 offset = GICD_ICFGR + 4u * (intid >> 4), mask = 2u << 2 * (intid & 15);
  gicd_write(offset, edge ? gicd_read(offset) | mask : gicd_read(offset) & ~mask);
}

void gic_set_group(u32 intid, u32 group) {
  u32 offset = GICD_IGROUPR + word(intid);
  gicd_write(offset, group ? gicd_read(offset) | bit(intid) : gicd_read(offset) & ~bit(intid));
}

void gic_handle(u32 intid, irq_handler handler, void *argument) {
  table[intid].handler = handler;
  table[intid].argument = argument;
}

void gic_init(u64 distributor, u64 cpu_interface) {
  gicd = distributor;
  gicc = cpu_interface;
  gicd_write(GICD_CTLR, 0);
  gicc_write(GICC_CTLR, 0);
  u32 lines = 32u * ((gicd_read(GICD_TYPER) & 31) + 1);
  for (u32 i = 0; i < lines; i += 32) {
    gicd_write(GICD_ICENABLER + i / 8, ~0u);
    gicd_write(GICD_ICPENDR + i / 8, ~0u);
    gicd_write(GICD_ICACTIVER + i / 8, ~0u);
    gicd_write(GICD_IGROUPR + i / 8, 0);
  }
  for (u32 i = 0; i < lines; i += 4) gicd_write(GICD_IPRIORITYR + i, GIC_DEFAULT_PRIORITY * 0x01010101u);
  for (u32 i = 32; i < lines; i += 4) gicd_write(GICD_ITARGETSR + i, 0x01010101u);
  for (u32 i = 32; i < lines; i += 16) gicd_write(GICD_ICFGR + i / 4, 0);
  gicc_write(GICC_PMR, 0xff);
  gicc_write(GICC_BPR, 0);
  gicd_write(GICD_CTLR, 1);
  gicc_write(GICC_CTLR, GICC_CTLR_ENABLE_GRP0);
}

static void dispatch(void) {
  u32 iar = gicc_read(GICC_IAR), intid = iar & 0x3ff;
  /* Another acknowledge won, or the source went away. */
  if (intid >= GIC_SPURIOUS_GROUP1) return;
  if (intid < GIC_LINES && table[intid].handler) {
    table[intid].handler(intid, table[intid].argument);
  } else {
    gic_unclaimed++;
    gic_disable(intid);
  }
  gicc_write(GICC_EOIR, iar);
}

void handle_irq(struct frame *frame, u32 which);
void handle_fiq(struct frame *frame, u32 which);

void handle_irq(struct frame *frame, u32 which) {
  (void)frame, (void)which;
  gic_irqs++;
  dispatch();
}

void handle_fiq(struct frame *frame, u32 which) {
  (void)frame, (void)which;
  gic_fiqs++;
  dispatch();
}
