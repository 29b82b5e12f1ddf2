/* The board's GICv2 (Arm IHI 0048B) as the hypervisor uses it: an end of interrupt drops the priority only (EOImode 1), what a guest holds stays
 * active until the guest ends it through its list register. */
#include "gicv2.h"
#include "hypervisor.h"
#include "pl011.h"

static const u32 passed_uart[] = { BOARD_UART1_INTID }, virtual_uart[] = { BOARD_UART0_INTID };
static const u32 passed_timer[] = { BOARD_SP804_1_TIMER1_INTID, BOARD_SP804_1_TIMER2_INTID, BOARD_SP804_1_COMBINED_INTID };
static const u32 virtual_timer[] = { BOARD_SP804_TIMER1_INTID, BOARD_SP804_TIMER2_INTID, BOARD_SP804_COMBINED_INTID };

void physical_gic_start(void) {
  gic_init(BOARD_GICD_BASE, BOARD_GICC_BASE);
  gicc_write(GICC_CTLR, GICC_CTLR_ENABLE_GRP0 | GICC_CTLR_EOI_MODE);
  gic_enable(BOARD_HYPERVISOR_TIMER_INTID);
  gic_enable(BOARD_GIC_MAINTENANCE_INTID);
  gic_enable(BOARD_VIRTUAL_TIMER_INTID);
  gic_enable(BOARD_UART0_INTID);
  for (u32 n = 0; n < guests; n++) {
    if (vms[n].pass_uart) gic_enable(BOARD_UART1_INTID);
    for (u32 i = 0; vms[n].pass_timer && i < ARRAY_SIZE(passed_timer); i++) gic_enable(passed_timer[i]);
  }
  write32(BOARD_UART0_BASE + UARTIMSC, UART_RX | UART_RT);
}

void physical_end(u32 intid) { gicc_write(GICC_DIR, intid); }

/* Input of the shared console goes to the first guest that has an emulated UART. */
static void console_input(void) {
  struct vm *to = NULL;
  for (u32 n = guests; n-- > 0;)
    if (!vms[n].pass_uart && vms[n].state != VM_OFF) to = &vms[n];
  for (s32 c; (c = pl011_getc(BOARD_UART0_BASE)) >= 0;)
    if (to) vuart_receive(to, (u32)c);
  write32(BOARD_UART0_BASE + UARTICR, 0x7ff);
}

static bool to_owner(u32 intid, bool uart, const u32 *physical, const u32 *virtual, u32 count) {
  for (u32 i = 0; i < count; i++) {
    if (physical[i] != intid) continue;
    for (u32 n = 0; n < guests; n++) {
      struct vm *vm = &vms[n];
      if (!(uart ? vm->pass_uart : vm->pass_timer) || vm->state == VM_OFF) continue;
      vgic_hardware(vm, virtual[i]);
      return true;
    }
  }
  return false;
}

/* Takes all that is pending. Whose turn it is afterwards, schedule() decides. */
void physical_interrupts(void) {
  for (;;) {
    u32 iar = gicc_read(GICC_IAR), intid = iar & 0x3ff;
    bool held = false;
    if (intid >= GIC_SPURIOUS_GROUP1) return;
    switch (intid) {
      case BOARD_HYPERVISOR_TIMER_INTID:
        loaded->exits[EXIT_SLICE_TIMER]++;
        write_sysreg(cnthp_ctl_el2, CNT_CTL_STOPPED);
        isb();
        timers_changed();
        break;
      case BOARD_GIC_MAINTENANCE_INTID:
        loaded->exits[EXIT_MAINTENANCE]++;
        vgic_update(loaded);
        break;
      case BOARD_VIRTUAL_TIMER_INTID:
        loaded->exits[EXIT_VIRTUAL_TIMER]++;
        vgic_hardware(loaded, intid);
        held = true;
        break;
      case BOARD_UART0_INTID:
        console_input();
        break;
      default:
        loaded->exits[EXIT_PASSED]++;
        held = to_owner(intid, true, passed_uart, virtual_uart, ARRAY_SIZE(passed_uart)) ||
               to_owner(intid, false, passed_timer, virtual_timer, ARRAY_SIZE(passed_timer));
        if (!held) gic_disable(intid);
        break;
    }
    gicc_write(GICC_EOIR, iar);
    if (!held) physical_end(intid);
  }
}
