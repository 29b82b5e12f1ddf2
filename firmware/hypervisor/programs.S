/* The guest programs, as flat images of GUEST_ENTRY. */
.section .rodata, "a"
.macro program name
.balign 16
.global program_\name, program_\name\()_end
program_\name:
  .incbin "vm-\name\().bin"
program_\name\()_end:
.endm
  program two
  program work
  program wild
  program probe
