/* Programs for the next lower exception level. Position independent: they run from a page of the test window or in place. */
.section .text, "ax"
.balign 64
.global lower_syscall, lower_load, lower_privileged, lower_hvc, lower_read_sctlr, lower_wfi, lower_smc
lower_syscall:
  add x0, x0, #1
  svc #0x42
lower_load:
  ldr x0, [x0]
  svc #0
lower_privileged:
  mrs x0, ttbr0_el1
  svc #0
lower_hvc:
  mrs x1, CurrentEL
  add x0, x0, x1
  hvc #0x321
lower_read_sctlr:
  mrs x7, sctlr_el1
  hvc #0
lower_wfi:
  wfi
  hvc #0
lower_smc:
  smc #0x77
  hvc #0
