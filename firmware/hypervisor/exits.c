/* Why a guest stopped, and what is done about it. */
#include "hypervisor.h"
#include "gicv2.h"

void guest_exit(struct vm *vm, u32 which);
void hypervisor_fault(u64 which, u64 esr, u64 elr, u64 far) __attribute__((noreturn));

#define EC_SIMD 0x07u
#define SPSR_EL1H_MASKED 0x3c5UL
#define ISS_ISV (1u << 24)
#define ISS_WNR (1u << 6)
#define ISS_S1PTW (1u << 7)
#define INSTRUCTION_LENGTH_32 (1u << 25)
#define NOT_SUPPORTED (~0UL)

/* --- exceptions that the guest gets */

static void inject(struct vm *vm, u32 esr) {
  bool from_el0 = (vm->spsr & 0xf) == 0, stack0 = (vm->spsr & 0xf) == 4;
  write_sysreg(esr_el1, esr);
  write_sysreg(elr_el1, vm->elr);
  write_sysreg(spsr_el1, vm->spsr);
  vm->elr = read_sysreg(vbar_el1) + (from_el0 ? 0x400 : stack0 ? 0 : 0x200);
  vm->spsr = SPSR_EL1H_MASKED;
}

/* A synchronous external abort, not on a translation table walk. */
static void inject_abort(struct vm *vm, u64 far) {
  bool from_el0 = (vm->spsr & 0xf) == 0;
  write_sysreg(far_el1, far);
  inject(vm, (from_el0 ? EC_DATA_ABORT_LOWER : EC_DATA_ABORT) << 26 | INSTRUCTION_LENGTH_32 | 0x10);
}

/* The same for an instruction fetch: the guest runs into what is no memory of its own. With its vector there it would do so for ever. */
#define ENDLESS 100u
static void inject_fetch_abort(struct vm *vm) {
  bool from_el0 = (vm->spsr & 0xf) == 0;
  vm->same_fetch = vm->elr == vm->last_fetch ? vm->same_fetch + 1 : 0;
  vm->last_fetch = vm->elr;
  if (vm->same_fetch == ENDLESS) {
    printf("hypervisor: guest %u: PC 0x%lx\n", vm->index, vm->elr);
    vm_stop(vm, "aborts without end");
    return;
  }
  write_sysreg(far_el1, read_sysreg(far_el2));
  inject(vm, (from_el0 ? EC_INSTRUCTION_ABORT_LOWER : EC_INSTRUCTION_ABORT) << 26 | INSTRUCTION_LENGTH_32 | 0x10);
}

static void inject_undefined(struct vm *vm) { inject(vm, EC_UNKNOWN << 26 | INSTRUCTION_LENGTH_32); }

/* --- devices */

enum device { NONE, GICD, UART, TIMER };

static enum device device_at(const struct vm *vm, u64 address) {
  if (address - BOARD_UART0_BASE < BOARD_UART0_SIZE) return vm->pass_uart ? NONE : UART;
  if (address - BOARD_SP804_BASE < BOARD_SP804_SIZE) return vm->pass_timer ? NONE : TIMER;
  if (address - BOARD_GICD_BASE < BOARD_GICD_SIZE) return GICD;
  return NONE;
}

/* One access within a register; `offset` need not be that of its first byte. */
static u32 device_read(struct vm *vm, enum device device, u32 offset, u32 size) {
  u32 word = offset & ~3u, value;
  if (device == UART) value = vuart_read(vm, word & 0xfff);
  else if (device == TIMER) value = vtimer_read(vm, word & 0xfff);
  else value = vgicd_read(vm, word & 0xffff);
  value >>= 8 * (offset & 3);
  return size == 1 ? value & 0xff : size == 2 ? value & 0xffff : value;
}

/* The parts on the peripheral bus take a narrow write in its byte lanes only: the others keep what they hold. */
static void device_write(struct vm *vm, enum device device, u32 offset, u32 size, u32 value) {
  if (size < 4) value &= (1u << 8 * size) - 1;
  if (device == GICD) {
    vgicd_write(vm, offset & 0xffff, size, value);
    return;
  }
  u32 word = offset & 0xffc, shift = 8 * (offset & 3);
  /* UARTDR keeps nothing, and a read would take a character. */
  if (size < 4 && (device == TIMER || word)) {
    u32 mask = ((1u << 8 * size) - 1) << shift;
    u32 before = device == UART ? vuart_read(vm, word) : vtimer_read(vm, word);
    value = (before & ~mask) | value << shift;
  }
  if (device == UART) vuart_write(vm, word, value);
  else vtimer_write(vm, word, value);
}

static u64 get_register(const struct vm *vm, u32 index) { return index == 31 ? 0 : vm->x[index]; }
static void set_register(struct vm *vm, u32 index, u64 value) {
  if (index < 31) vm->x[index] = value;
}

static u64 extend(u64 value, u32 size, bool sign, bool wide) {
  if (sign && size < 8 && value >> (8 * size - 1) & 1) value |= ~0UL << 8 * size;
  return wide ? value : (u32)value;
}

/* 64 bits are two registers of the part. */
static u64 wide_read(struct vm *vm, enum device device, u32 offset, u32 size) {
  u64 value = device_read(vm, device, offset, size == 8 ? 4 : size);
  return size == 8 ? value | (u64)device_read(vm, device, offset + 4, 4) << 32 : value;
}
static void wide_write(struct vm *vm, enum device device, u32 offset, u32 size, u64 value) {
  device_write(vm, device, offset, size == 8 ? 4 : size, (u32)value);
  if (size == 8) device_write(vm, device, offset + 4, 4, (u32)(value >> 32));
}

/* --- instructions that the syndrome does not describe */

static u64 stack_pointer(const struct vm *vm) { return (vm->spsr & 0xf) == 5 ? read_sysreg(sp_el1) : read_sysreg(sp_el0); }
static void set_base(struct vm *vm, u32 index, u64 value) {
  if (index < 31) vm->x[index] = value;
  else if ((vm->spsr & 0xf) == 5) write_sysreg(sp_el1, value);
  else write_sysreg(sp_el0, value);
}

/* The instruction at the guest's PC, through both stages; 0 when there is none to be read. */
static u32 instruction(const struct vm *vm) {
  u64 kept = read_sysreg(par_el1), par;
  if ((vm->spsr & 0xf) == 0) __asm__ volatile("at s12e0r, %0" ::"r"(vm->elr));
  else __asm__ volatile("at s12e1r, %0" ::"r"(vm->elr));
  isb();
  par = read_sysreg(par_el1);
  write_sysreg(par_el1, kept);
  if (par & 1) return 0;
  u64 at = (par & 0xfffffffff000UL) | (vm->elr & 0xfff);
  return at >= GUEST_MEMORY(0) && at < GUEST_MEMORY(MAX_GUESTS) ? read32(at) : 0;
}

/* Pairs and writeback of general registers (DDI 0487 C4.1.88). Others have no place at a device; the guest gets an abort. */
static bool emulate_undescribed(struct vm *vm, enum device device, u32 page_address, u64 far) {
  u32 code = instruction(vm), rt = code & 31, rn = code >> 5 & 31, rt2 = code >> 10 & 31;
  u64 base = rn == 31 ? stack_pointer(vm) : vm->x[rn], at = base, back = base;
  bool pair = (code & 0x3e000000) == 0x28000000, load, sign = false, wide;
  u32 size;
  if (pair) {
    u32 option = code >> 30, mode = code >> 23 & 3;
    s64 immediate = (s64)((s32)(code << 10) >> 25);
    if (option == 3 || mode == 0) return false;
    size = option == 2 ? 8 : 4;
    wide = option != 0;
    load = code >> 22 & 1;
    sign = option == 1;
    if (sign && !load) return false;
    if (mode != 1) at = base + (u64)(immediate * size);
    if (mode != 2) back = base + (u64)(immediate * size);
    else back = base;
    if (mode == 3) back = at;
  } else if ((code & 0x3f200400) == 0x38000400) {
    s64 immediate = (s64)((s32)(code << 11) >> 23);
    u32 option = code >> 22 & 3;
    size = 1u << (code >> 30);
    load = option != 0;
    sign = option >= 2;
    wide = option == 2 || size == 8;
    if (sign && (size == 8 || (option == 3 && size == 4))) return false;
    back = base + (u64)immediate;
    if (code & 0x800) at = back;
  } else {
    return false;
  }
  u32 first = page_address + (u32)(at & 0xfff);
  /* Wholly in the page that faulted, and aligned. */
  if ((at ^ far) >> 12 || at % size || (at & 0xfff) + size * (pair ? 2u : 1u) > 4096) return false;
  for (u32 i = 0; i < (pair ? 2u : 1u); i++) {
    u32 target = i ? rt2 : rt;
    if (load) set_register(vm, target, extend(wide_read(vm, device, first + i * size, size), size, sign, wide));
    else wide_write(vm, device, first + i * size, size, get_register(vm, target));
  }
  /* Mode 2 of a pair writes nothing back. */
  if (!pair || (code >> 23 & 3) != 2) set_base(vm, rn, back);
  return true;
}

static void emulate_abort(struct vm *vm, u64 esr) {
  u32 iss = esr_iss(esr);
  u64 far = read_sysreg(far_el2), address = (read_sysreg(hpfar_el2) & ~0xfUL) << 8 | (far & 0xfff);
  enum device device = iss & ISS_S1PTW ? NONE : device_at(vm, address);
  static const u8 reasons[] = { EXIT_HOLE, EXIT_GICD, EXIT_UART, EXIT_TIMER };
  vm->exits[reasons[device]]++;
  if (device == NONE) {
    inject_abort(vm, far);
    return;
  }
  if (iss & ISS_ISV) {
    u32 size = 1u << (iss >> 22 & 3), index = iss >> 16 & 31;
    if (address % size) {
      inject_abort(vm, far);
      return;
    }
    if (iss & ISS_WNR) wide_write(vm, device, (u32)address, size, get_register(vm, index));
    else set_register(vm, index, extend(wide_read(vm, device, (u32)address, size), size, iss >> 21 & 1, iss >> 15 & 1));
  } else if (!emulate_undescribed(vm, device, (u32)address & ~0xfffu, far)) {
    inject_abort(vm, far);
    return;
  }
  vm->elr += 4;
  if (device != GICD) devices_update(vm, now());
}

/* --- PSCI 1.1, Arm DEN 0022D, for a guest with one CPU */

static void call(struct vm *vm) {
  u32 function = (u32)vm->x[0];
  u64 result = NOT_SUPPORTED;
  switch (function) {
    case PSCI_VERSION: result = 0x10001; break;
    case PSCI_FEATURES: {
      u32 asked = (u32)vm->x[1];
      if (asked == PSCI_VERSION || asked == PSCI_SYSTEM_OFF || asked == PSCI_SYSTEM_RESET || asked == PSCI_FEATURES || asked == PSCI_AFFINITY_INFO || asked == PSCI_CPU_ON)
        result = 0;
      break;
    }
    /* 0: ON. The only CPU has affinity 0; others do not exist: INVALID_PARAMETERS. */
    case PSCI_AFFINITY_INFO: result = vm->x[1] ? (u64)-2L : 0; break;
    /* ALREADY_ON, or INVALID_PARAMETERS. */
    case PSCI_CPU_ON: result = vm->x[1] & 0xff00ffffffUL ? (u64)-2L : (u64)-4L; break;
    case PSCI_SYSTEM_OFF: vm_stop(vm, NULL); return;
    case PSCI_SYSTEM_RESET: vm_stop(vm, "asked for a reset"); return;
    default: break;
  }
  vm->x[0] = result;
}

static void sleep(struct vm *vm) {
  vm->elr += 4;
  vgic_update(vm);
  if (!vgic_pending(vm)) vm->state = VM_WAITING;
}

static void synchronous(struct vm *vm) {
  u64 esr = read_sysreg(esr_el2);
  switch (esr_class(esr)) {
    case EC_DATA_ABORT_LOWER: emulate_abort(vm, esr); break;
    case EC_INSTRUCTION_ABORT_LOWER:
      vm->exits[EXIT_HOLE]++;
      inject_fetch_abort(vm);
      break;
    case EC_WFX:
      vm->exits[EXIT_WFI]++;
      sleep(vm);
      break;
    /* The return address of SMC is the instruction itself when it traps. */
    case EC_SMC64: vm->elr += 4; /* fall through */
    case EC_HVC64:
      vm->exits[EXIT_CALL]++;
      call(vm);
      break;
    case EC_SYSREG:
      vm->exits[EXIT_REGISTER]++;
      inject_undefined(vm);
      break;
    case EC_SIMD:
      vm->exits[EXIT_SIMD]++;
      simd_take(vm);
      break;
    default:
      vm->exits[EXIT_OTHER]++;
      printf("hypervisor: guest %u: ESR 0x%lx FAR 0x%lx PC 0x%lx\n", vm->index, esr, read_sysreg(far_el2), vm->elr);
      vm_stop(vm, "did what this hypervisor has no answer to");
  }
}

void guest_exit(struct vm *vm, u32 which) {
  if (which == 0) {
    synchronous(vm);
  } else if (which == 1) {
    physical_interrupts();
  } else {
    vm->exits[EXIT_OTHER]++;
    vm_stop(vm, "caused an SError");
  }
  settle();
}

void hypervisor_fault(u64 which, u64 esr, u64 elr, u64 far) {
  printf("hypervisor: fault of its own: vector %lu ESR 0x%lx ELR 0x%lx FAR 0x%lx\n", which, esr, elr, far);
  psci_call(PSCI_SYSTEM_OFF, 0, 0, 0);
  for (;;) wfi();
}
