/* void fiber_switch(u64 *from, u64 to): registers that a function keeps (AAPCS64), without floating point, which is not used. */
.text
.global fiber_switch
fiber_switch:
  stp x29, x30, [sp, #-16]!
  stp x27, x28, [sp, #-16]!
  stp x25, x26, [sp, #-16]!
  stp x23, x24, [sp, #-16]!
  stp x21, x22, [sp, #-16]!
  stp x19, x20, [sp, #-16]!
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp], #16
  ldp x21, x22, [sp], #16
  ldp x23, x24, [sp], #16
  ldp x25, x26, [sp], #16
  ldp x27, x28, [sp], #16
  ldp x29, x30, [sp], #16
  ret

.global fiber_begin
fiber_begin:
  bl fiber_main
  /* fiber_main does not return. */
  brk #0
