/* Vectors of EL2, and the way in and out of a guest. TPIDR_EL2 points at the loaded guest's struct vm; SP_EL2 is the stack's top while one runs. */

.macro from_guest which
  .balign 128
  str x30, [sp, #-16]!
  mov x30, #\which
  b guest_exit_common
.endm

.macro own which
  .balign 128
  mov x0, #\which
  b unexpected
.endm

.section .text.vectors, "ax"
.balign 2048
.global vectors
vectors:
  own 0
  own 1
  own 2
  own 3
  own 4
  own 5
  own 6
  own 7
  from_guest 0
  from_guest 1
  from_guest 1
  from_guest 2
  own 12
  own 13
  own 14
  own 15
  .balign 128

unexpected:
  mrs x1, esr_el2
  mrs x2, elr_el2
  mrs x3, far_el2
  adrp x4, __stack_top
  add x4, x4, :lo12:__stack_top
  mov sp, x4
  b hypervisor_fault

guest_exit_common:
  stp x0, x30, [sp, #-16]!
  mrs x0, tpidr_el2
  stp x2, x3, [x0, #16]
  stp x4, x5, [x0, #32]
  stp x6, x7, [x0, #48]
  stp x8, x9, [x0, #64]
  stp x10, x11, [x0, #80]
  stp x12, x13, [x0, #96]
  stp x14, x15, [x0, #112]
  stp x16, x17, [x0, #128]
  stp x18, x19, [x0, #144]
  stp x20, x21, [x0, #160]
  stp x22, x23, [x0, #176]
  stp x24, x25, [x0, #192]
  stp x26, x27, [x0, #208]
  stp x28, x29, [x0, #224]
  ldp x2, x3, [sp], #16
  ldr x4, [sp], #16
  stp x2, x1, [x0]
  mrs x5, elr_el2
  mrs x6, spsr_el2
  stp x4, x5, [x0, #240]
  str x6, [x0, #256]
  mov x1, x3
  bl guest_exit

enter:
  mrs x0, tpidr_el2
  ldp x1, x2, [x0, #248]
  msr elr_el2, x1
  msr spsr_el2, x2
  ldp x2, x3, [x0, #16]
  ldp x4, x5, [x0, #32]
  ldp x6, x7, [x0, #48]
  ldp x8, x9, [x0, #64]
  ldp x10, x11, [x0, #80]
  ldp x12, x13, [x0, #96]
  ldp x14, x15, [x0, #112]
  ldp x16, x17, [x0, #128]
  ldp x18, x19, [x0, #144]
  ldp x20, x21, [x0, #160]
  ldp x22, x23, [x0, #176]
  ldp x24, x25, [x0, #192]
  ldp x26, x27, [x0, #208]
  ldp x28, x29, [x0, #224]
  ldr x30, [x0, #240]
  ldp x0, x1, [x0]
  eret

.global enter_guest
enter_guest:
  adrp x4, __stack_top
  add x4, x4, :lo12:__stack_top
  mov sp, x4
  b enter

/* The 32 vector registers, behind the 34 words above. */
.arch_extension fp
.arch_extension simd
.macro vectors_of instruction
  add x1, x0, #272
  \instruction q0, q1, [x1]
  \instruction q2, q3, [x1, #32]
  \instruction q4, q5, [x1, #64]
  \instruction q6, q7, [x1, #96]
  \instruction q8, q9, [x1, #128]
  \instruction q10, q11, [x1, #160]
  \instruction q12, q13, [x1, #192]
  \instruction q14, q15, [x1, #224]
  \instruction q16, q17, [x1, #256]
  \instruction q18, q19, [x1, #288]
  \instruction q20, q21, [x1, #320]
  \instruction q22, q23, [x1, #352]
  \instruction q24, q25, [x1, #384]
  \instruction q26, q27, [x1, #416]
  \instruction q28, q29, [x1, #448]
  \instruction q30, q31, [x1, #480]
.endm
.global simd_save, simd_load
simd_save:
  vectors_of stp
  mrs x2, fpcr
  mrs x3, fpsr
  add x1, x1, #512
  stp x2, x3, [x1]
  ret
simd_load:
  vectors_of ldp
  add x1, x1, #512
  ldp x2, x3, [x1]
  msr fpcr, x2
  msr fpsr, x3
  ret
