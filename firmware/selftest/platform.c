/* What the board says of itself: device tree, PSCI, firmware configuration, empty slots. */
#include "fdt.h"
#include "fw_cfg.h"
#include "selftest.h"

static bool node_at(const char *compatible, u32 index, u64 wanted, u64 *size) {
  struct fdt_node node;
  u64 address;
  return fdt_compatible(device_tree, compatible, 0, &node) && fdt_reg(device_tree, &node, index, &address, size) && address == wanted;
}

void test_device_tree(void) {
  static const struct {
    const char *name, *compatible;
    u32 reg;
    u64 address;
  } parts[] = {
    { "dtb.gic-distributor", "arm,cortex-a15-gic", 0, BOARD_GICD_BASE }, { "dtb.gic-cpu-interface", "arm,cortex-a15-gic", 1, BOARD_GICC_BASE },
    { "dtb.gicv2m", "arm,gic-v2m-frame", 0, BOARD_GICV2M_BASE },         { "dtb.uart", "arm,pl011", 0, BOARD_UART0_BASE },
    { "dtb.rtc", "arm,pl031", 0, BOARD_RTC_BASE },                       { "dtb.gpio", "arm,pl061", 0, BOARD_GPIO_BASE },
    { "dtb.fw-cfg", "qemu,fw-cfg-mmio", 0, BOARD_FW_CFG_BASE },          { "dtb.flash0", "cfi-flash", 0, BOARD_FLASH0_BASE },
    { "dtb.flash1", "cfi-flash", 1, BOARD_FLASH1_BASE },                 { "dtb.pcie", "pci-host-ecam-generic", 0, BOARD_PCIE_ECAM_BASE },
  };
  struct fdt_node node;
  u64 address, size = 0;
  section("Device tree");
  if (!check("dtb.found", device_tree != NULL, "at RAM + 0x%lx", device_tree ? (u64)device_tree - BOARD_RAM_BASE : 0)) return;
  for (u32 i = 0; i < ARRAY_SIZE(parts); i++) {
    bool ok = node_at(parts[i].compatible, parts[i].reg, parts[i].address, &size);
    check(parts[i].name, ok, "%s at 0x%lx, 0x%lx bytes", parts[i].compatible, parts[i].address, size);
  }
  bool ok = fdt_compatible(device_tree, "arm,pl011", 0, &node);
  u32 spi = fdt_cell(device_tree, &node, "interrupts", 1, ~0u);
  check("dtb.uart-interrupt", ok && spi == BOARD_UART0_INTID - 32, "SPI %u", spi);
  u32 slots = 0;
  u64 low = ~0UL, high = 0;
  for (; slots < 64 && fdt_compatible(device_tree, "virtio,mmio", slots, &node); slots++) {
    if (!fdt_reg(device_tree, &node, 0, &address, &size)) break;
    if (address < low) low = address;
    if (address > high) high = address;
  }
  check("dtb.virtio-slots", slots == BOARD_VIRTIO_MMIO_COUNT && low == BOARD_VIRTIO_MMIO_BASE && high == low + 31 * BOARD_VIRTIO_MMIO_STRIDE,
        "%u from 0x%lx", slots, low);
  u32 length;
  const char *method = fdt_compatible(device_tree, "arm,psci-0.2", 0, &node) ? fdt_property(device_tree, &node, "method", &length) : NULL;
  check("dtb.psci-method", method && !strcmp(method, boot_el == 2 ? "smc" : "hvc"), "%s", method ? method : "none");
}

void test_psci(void) {
  section("PSCI");
  s64 version = psci_call(PSCI_VERSION, 0, 0, 0);
  check("psci.version", version >= 0x00010000, "%ld.%ld", version >> 16, version & 0xffff);
  s64 features = psci_call(PSCI_FEATURES, PSCI_SYSTEM_OFF, 0, 0);
  check("psci.features", features == 0, "SYSTEM_OFF %ld", features);
  s64 unknown = psci_call(0x8400ff00, 0, 0, 0);
  check("psci.unknown", unknown == -1, "%ld, NOT_SUPPORTED", unknown);
  u64 self = read_sysreg(mpidr_el1) & 0xff00ffffffUL;
  s64 state = psci_call(PSCI_AFFINITY_INFO, self, 0, 0);
  check("psci.affinity-info", state == 0, "this CPU %ld, ON", state);
  s64 on = psci_call(PSCI_CPU_ON, self, BOARD_RAM_BASE, 0);
  check("psci.cpu-on-self", on == -4, "%ld, ALREADY_ON", on);
  s64 absent = psci_call(PSCI_CPU_ON, 0xff00, BOARD_RAM_BASE, 0);
  check("psci.cpu-on-absent", absent == -2, "%ld, INVALID_PARAMETERS", absent);
}

void test_fw_cfg(void) {
  char signature[5] = { 0 };
  u32 id, count, by_register[17], by_dma[17];
  u64 base = BOARD_FW_CFG_BASE;
  section("fw_cfg");
  fw_cfg_select(base, FW_CFG_SIGNATURE);
  fw_cfg_read(base, signature, 4);
  check("fw-cfg.signature", !memcmp(signature, "QEMU", 4), "\"%s\"", signature);
  fw_cfg_select(base, FW_CFG_ID);
  fw_cfg_read(base, &id, 4);
  check("fw-cfg.id", (id & 3) == 3, "0x%x: registers and DMA", id);
  u64 dma = be64(read64(base + FW_CFG_DMA));
  check("fw-cfg.dma-signature", dma == 0x51454d5520434647UL, "0x%016lx, \"QEMU CFG\"", dma);
  fw_cfg_select(base, FW_CFG_FILE_DIR);
  fw_cfg_read(base, &count, 4);
  count = be32(count);
  fw_cfg_select(base, FW_CFG_FILE_DIR);
  fw_cfg_read(base, by_register, sizeof by_register);
  memset(by_dma, 0, sizeof by_dma);
  u32 left = fw_cfg_dma(base, FW_CFG_FILE_DIR << 16 | FW_CFG_DMA_SELECT | FW_CFG_DMA_READ, by_dma, sizeof by_dma);
  check("fw-cfg.dma-read", left == 0 && count > 0 && !memcmp(by_register, by_dma, sizeof by_dma), "control %u, directory as by register", left);
  /* Skip the first byte, then read: "EMU". */
  left = fw_cfg_dma(base, FW_CFG_SIGNATURE << 16 | FW_CFG_DMA_SELECT | FW_CFG_DMA_SKIP, NULL, 1);
  memset(signature, 0, sizeof signature);
  left |= fw_cfg_dma(base, FW_CFG_DMA_READ, signature, 3);
  check("fw-cfg.dma-skip", left == 0 && !strcmp(signature, "EMU"), "\"%s\"", signature);
  left = fw_cfg_dma(base, FW_CFG_SIGNATURE << 16 | FW_CFG_DMA_SELECT | FW_CFG_DMA_WRITE, signature, 4);
  check("fw-cfg.dma-write-refused", left == FW_CFG_DMA_ERROR, "control %u", left);
  /* Behind the end of an item and without an item there are zeros. */
  u32 zeros = ~0u;
  fw_cfg_select(base, 0x3fff);
  fw_cfg_read(base, &zeros, 4);
  check("fw-cfg.absent", zeros == 0, "0x%x", zeros);
}

void test_virtio(void) {
  u32 good = 0, empty = 0;
  section("virtio-mmio and PCIe");
  for (u32 i = 0; i < BOARD_VIRTIO_MMIO_COUNT; i++) {
    u64 base = BOARD_VIRTIO_MMIO_BASE + i * BOARD_VIRTIO_MMIO_STRIDE;
    good += read32(base) == 0x74726976;
    empty += read32(base + 8) == 0;
  }
  check("virtio.slots", good == BOARD_VIRTIO_MMIO_COUNT, "%u answer \"virt\"", good);
  check("virtio.empty", empty <= BOARD_VIRTIO_MMIO_COUNT && empty > 0, "some have device id 0");
}

void test_pcie(void) {
  /* Bus 255, device 31: nobody is there, and a configuration read of nobody is all ones, not an abort. */
  u64 nobody = BOARD_PCIE_ECAM_BASE + (255UL << 20) + (31UL << 15);
  u32 id = read32(nobody);
  check("pcie.absent", id == 0xffffffff && read16(nobody + 2) == 0xffff && read8(nobody + 1) == 0xff, "0x%08x", id);
}
