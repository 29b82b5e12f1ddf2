/* Exception vectors for EL1 and EL2 alike: which registers hold the syndrome is asked from CurrentEL. */

.macro save_frame
  sub sp, sp, #272
  stp x0, x1, [sp, #0]
  stp x2, x3, [sp, #16]
  stp x4, x5, [sp, #32]
  stp x6, x7, [sp, #48]
  stp x8, x9, [sp, #64]
  stp x10, x11, [sp, #80]
  stp x12, x13, [sp, #96]
  stp x14, x15, [sp, #112]
  stp x16, x17, [sp, #128]
  stp x18, x19, [sp, #144]
  stp x20, x21, [sp, #160]
  stp x22, x23, [sp, #176]
  stp x24, x25, [sp, #192]
  stp x26, x27, [sp, #208]
  stp x28, x29, [sp, #224]
  mrs x21, CurrentEL
  cmp x21, #8
  b.eq 1f
  mrs x22, elr_el1
  mrs x23, spsr_el1
  b 2f
1:
  mrs x22, elr_el2
  mrs x23, spsr_el2
2:
  stp x30, x22, [sp, #240]
  str x23, [sp, #256]
.endm

.macro vector handler, which
  .balign 128
  b \handler\()_\which
.endm

.macro body handler, which
\handler\()_\which:
  save_frame
  mov x0, sp
  mov x1, #\which
  bl \handler
  b restore_frame
.endm

.section .text.vectors, "ax"
.balign 2048
.global vectors
vectors:
  vector handle_sync, 0
  vector handle_unexpected, 1
  vector handle_unexpected, 2
  vector handle_unexpected, 3
  vector handle_sync, 4
  vector handle_irq, 5
  vector handle_fiq, 6
  vector handle_unexpected, 7
  .balign 128
  b lower_return
  vector handle_irq, 9
  vector handle_fiq, 10
  vector handle_unexpected, 11
  vector handle_unexpected, 12
  vector handle_unexpected, 13
  vector handle_unexpected, 14
  vector handle_unexpected, 15
  .balign 128

  body handle_sync, 0
  body handle_unexpected, 1
  body handle_unexpected, 2
  body handle_unexpected, 3
  body handle_sync, 4
  body handle_irq, 5
  body handle_fiq, 6
  body handle_unexpected, 7
  body handle_irq, 9
  body handle_fiq, 10
  body handle_unexpected, 11
  body handle_unexpected, 12
  body handle_unexpected, 13
  body handle_unexpected, 14
  body handle_unexpected, 15

restore_frame:
  ldp x30, x22, [sp, #240]
  ldr x23, [sp, #256]
  mrs x21, CurrentEL
  cmp x21, #8
  b.eq 1f
  msr elr_el1, x22
  msr spsr_el1, x23
  b 2f
1:
  msr elr_el2, x22
  msr spsr_el2, x23
2:
  ldp x0, x1, [sp, #0]
  ldp x2, x3, [sp, #16]
  ldp x4, x5, [sp, #32]
  ldp x6, x7, [sp, #48]
  ldp x8, x9, [sp, #64]
  ldp x10, x11, [sp, #80]
  ldp x12, x13, [sp, #96]
  ldp x14, x15, [sp, #112]
  ldp x16, x17, [sp, #128]
  ldp x18, x19, [sp, #144]
  ldp x20, x21, [sp, #160]
  ldp x22, x23, [sp, #176]
  ldp x24, x25, [sp, #192]
  ldp x26, x27, [sp, #208]
  ldp x28, x29, [sp, #224]
  add sp, sp, #272
  eret

/* u64 lower_call(u64 entry, u64 spsr, u64 argument, struct lower_exit *exit)
 * The synchronous exception from the lower level ends in lower_return, which returns from here to the caller. */
.global lower_call
lower_call:
  stp x29, x30, [sp, #-112]!
  stp x19, x20, [sp, #16]
  stp x21, x22, [sp, #32]
  stp x23, x24, [sp, #48]
  stp x25, x26, [sp, #64]
  stp x27, x28, [sp, #80]
  mrs x9, daif
  stp x3, x9, [sp, #96]
  msr daifset, #15
  mrs x9, CurrentEL
  cmp x9, #8
  b.eq 1f
  msr elr_el1, x0
  msr spsr_el1, x1
  b 2f
1:
  msr elr_el2, x0
  msr spsr_el2, x1
2:
  mov x0, x2
  isb
  eret

lower_return:
  ldp x3, x9, [sp, #96]
  mrs x10, CurrentEL
  cmp x10, #8
  b.eq 1f
  mrs x4, esr_el1
  mrs x5, far_el1
  mrs x6, elr_el1
  mrs x7, spsr_el1
  b 2f
1:
  mrs x4, esr_el2
  mrs x5, far_el2
  mrs x6, elr_el2
  mrs x7, spsr_el2
2:
  stp x4, x5, [x3, #0]
  stp x6, x7, [x3, #16]
  str x0, [x3, #32]
  msr daif, x9
  ldp x19, x20, [sp, #16]
  ldp x21, x22, [sp, #32]
  ldp x23, x24, [sp, #48]
  ldp x25, x26, [sp, #64]
  ldp x27, x28, [sp, #80]
  ldp x29, x30, [sp], #112
  ret
