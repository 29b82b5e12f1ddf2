/* The process of `work`, at EL0: x0 = its buffer: 16 words, then the number of rounds over them. Ends with SVC, the sum in x0. */
.section .text, "ax"
.balign 4096
.global work_process
work_process:
  mov x9, x0
  ldr x1, [x0, #128]
  mov x2, #1
  movz x3, #0x5bd1
  movk x3, #0xe995, lsl #16
1:
  mov x4, #16
  mov x5, x9
2:
  ldr x6, [x5]
  eor x2, x2, x6
  mul x2, x2, x3
  ror x2, x2, #17
  add x6, x6, x2
  str x6, [x5], #8
  subs x4, x4, #1
  b.ne 2b
  subs x1, x1, #1
  b.ne 1b
  mov x0, x2
  svc #0
.balign 4096
