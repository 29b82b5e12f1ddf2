/* Entry at EL1 or EL2, MMU off, by "-kernel" (the device tree's address in x0, or the tree at the base of RAM). */
.section .text.start, "ax"
.global _start
_start:
  mov x20, x0
  msr daifset, #15
  mrs x1, CurrentEL
  lsr x19, x1, #2
  cmp x19, #2
  b.ne 1f
  /* EL2: physical interrupts and aborts come here (IMO, FMO, AMO), EL1 is AArch64, nothing else is trapped. */
  mov x1, #(1 << 31)
  orr x1, x1, #(7 << 3)
  msr hcr_el2, x1
  mov x1, #0x33ff
  msr cptr_el2, x1
  msr hstr_el2, xzr
  mov x1, #3
  msr cnthctl_el2, x1
  msr cntvoff_el2, xzr
  msr vttbr_el2, xzr
  mrs x1, midr_el1
  msr vpidr_el2, x1
  mrs x1, mpidr_el1
  msr vmpidr_el2, x1
  adrp x1, vectors
  add x1, x1, :lo12:vectors
  msr vbar_el2, x1
  b 2f
1:
  adrp x1, vectors
  add x1, x1, :lo12:vectors
  msr vbar_el1, x1
2:
  msr spsel, #1
  adrp x1, __stack_top
  add x1, x1, :lo12:__stack_top
  mov sp, x1
  adrp x1, __bss_start
  add x1, x1, :lo12:__bss_start
  adrp x2, __bss_end
  add x2, x2, :lo12:__bss_end
3:
  cmp x1, x2
  b.hs 4f
  stp xzr, xzr, [x1], #16
  b 3b
4:
  adrp x1, boot_el
  str w19, [x1, :lo12:boot_el]
  isb
  mov x0, x20
  bl firmware_start
5:
  wfi
  b 5b

.section .bss
.balign 4
.global boot_el
boot_el:
  .skip 4
