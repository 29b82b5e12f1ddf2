/* GICv2 distributor and CPU interface, Arm IHI 0048; one security state. Handlers are dispatched by INTID. */
#ifndef GICV2_H
#define GICV2_H
#include "types.h"

#define GICD_CTLR 0x000u
#define GICD_TYPER 0x004u
#define GICD_IIDR 0x008u
#define GICD_IGROUPR 0x080u
#define GICD_ISENABLER 0x100u
#define GICD_ICENABLER 0x180u
#define GICD_ISPENDR 0x200u
#define GICD_ICPENDR 0x280u
#define GICD_ISACTIVER 0x300u
#define GICD_ICACTIVER 0x380u
#define GICD_IPRIORITYR 0x400u
#define GICD_ITARGETSR 0x800u
#define GICD_ICFGR 0xc00u
#define GICD_SGIR 0xf00u
#define GICD_CPENDSGIR 0xf10u
#define GICD_SPENDSGIR 0xf20u
#define GICD_ICPIDR2 0xfe8u
#define GICD_CIDR0 0xff0u

#define GICC_CTLR 0x0000u
#define GICC_PMR 0x0004u
#define GICC_BPR 0x0008u
#define GICC_IAR 0x000cu
#define GICC_EOIR 0x0010u
#define GICC_RPR 0x0014u
#define GICC_HPPIR 0x0018u
#define GICC_ABPR 0x001cu
#define GICC_AIAR 0x0020u
#define GICC_AEOIR 0x0024u
#define GICC_AHPPIR 0x0028u
#define GICC_IIDR 0x00fcu
#define GICC_DIR 0x1000u

#define GICC_CTLR_ENABLE_GRP0 (1u << 0)
#define GICC_CTLR_ENABLE_GRP1 (1u << 1)
#define GICC_CTLR_ACK_CTL (1u << 2)
#define GICC_CTLR_FIQ_EN (1u << 3)
#define GICC_CTLR_EOI_MODE (1u << 9)

#define GIC_SPURIOUS 1023u
#define GIC_SPURIOUS_GROUP1 1022u
#define GIC_DEFAULT_PRIORITY 0xa0u
#define GIC_LINES 288u

typedef void (*irq_handler)(u32 intid, void *argument);

/* All interrupts off, inactive, not pending, group 0, level, aimed at CPU 0; both halves enabled, priority mask open. */
void gic_init(u64 distributor, u64 cpu_interface);
void gic_handle(u32 intid, irq_handler handler, void *argument);
void gic_enable(u32 intid);
void gic_disable(u32 intid);
void gic_set_priority(u32 intid, u8 priority);
void gic_set_edge(u32 intid, bool edge);
void gic_set_group(u32 intid, u32 group);
bool gic_pending(u32 intid);
bool gic_active(u32 intid);
void gic_set_pending(u32 intid);
void gic_clear_pending(u32 intid);
void gic_clear_active(u32 intid);
/* A software-generated interrupt (0 to 15) to this CPU. */
void gic_send_self(u32 intid);
u32 gicd_read(u32 offset);
void gicd_write(u32 offset, u32 value);
u32 gicc_read(u32 offset);
void gicc_write(u32 offset, u32 value);

/* How many of each were taken through the vectors. */
extern volatile u32 gic_irqs, gic_fiqs, gic_unclaimed;

#endif
