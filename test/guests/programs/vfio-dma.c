/*
 * A user-space driver of the PCIe test function (docs/pcie.md) through vfio-pci: DMA inside what it mapped works, DMA elsewhere does not.
 * vfio-dma GROUP BUS:DEVICE.FUNCTION
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SOURCE = 0x10, DESTINATION = 0x18, LENGTH = 0x20, CONTROL = 0x24, STATUS = 0x28 };

static volatile uint32_t *registers;
static int container;

static void fail(const char *what) {
  printf("VFIO-FAIL %s: %s\n", what, strerror(errno));
  exit(1);
}

static void map(void *memory, uint64_t iova, uint32_t flags) {
  struct vfio_iommu_type1_dma_map m = {sizeof m, flags, (uintptr_t)memory, iova, 4096};
  if (ioctl(container, VFIO_IOMMU_MAP_DMA, &m)) fail("map");
}

static uint32_t copy(uint64_t from, uint64_t to) {
  registers[SOURCE / 4] = (uint32_t)from;
  registers[SOURCE / 4 + 1] = (uint32_t)(from >> 32);
  registers[DESTINATION / 4] = (uint32_t)to;
  registers[DESTINATION / 4 + 1] = (uint32_t)(to >> 32);
  registers[LENGTH / 4] = 256;
  registers[CONTROL / 4] = 1;
  return registers[STATUS / 4];
}

int main(int argc, char **argv) {
  char path[64];
  if (argc < 3) return 2;
  container = open("/dev/vfio/vfio", O_RDWR);
  if (container < 0) fail("container");
  snprintf(path, sizeof path, "/dev/vfio/%s", argv[1]);
  int group = open(path, O_RDWR);
  if (group < 0) fail(path);
  if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container)) fail("group");
  if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU)) fail("iommu");
  unsigned char *memory = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < 4096; i++) memory[i] = (unsigned char)(i * 7 + 3);
  memset(memory + 4096, 0xee, 2 * 4096);
  map(memory, 0x10000000, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
  map(memory + 4096, 0x10001000, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
  map(memory + 8192, 0x10002000, VFIO_DMA_MAP_FLAG_READ);
  int device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[2]);
  if (device < 0) fail("device");
  struct vfio_region_info bar = {.argsz = sizeof bar, .index = VFIO_PCI_BAR0_REGION_INDEX};
  struct vfio_region_info config = {.argsz = sizeof config, .index = VFIO_PCI_CONFIG_REGION_INDEX};
  if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &bar) || ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config)) fail("region");
  registers = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, device, (off_t)bar.offset);
  if (registers == MAP_FAILED) fail("registers");
  uint16_t command;
  pread(device, &command, 2, (off_t)config.offset + 4);
  command |= 6; /* memory space, bus master */
  pwrite(device, &command, 2, (off_t)config.offset + 4);

  uint32_t status = copy(0x10000000, 0x10001000);
  printf("VFIO mapped status=%u same=%d\n", status, !memcmp(memory, memory + 4096, 256));
  memset(memory + 4096, 0xee, 4096);
  status = copy(0x20000000, 0x10001000);
  printf("VFIO unmapped-source status=%u\n", status);
  status = copy(0x10000000, 0x10002000);
  printf("VFIO read-only status=%u byte=%x\n", status, memory[8192]);
  status = copy(0x10000000, 0x40000000);
  printf("VFIO physical status=%u\n", status);
  struct vfio_iommu_type1_dma_unmap u = {.argsz = sizeof u, .iova = 0x10000000, .size = 4096};
  if (ioctl(container, VFIO_IOMMU_UNMAP_DMA, &u)) fail("unmap");
  status = copy(0x10000000, 0x10001000);
  printf("VFIO after-unmap status=%u\n", status);
  puts("VFIO-END");
  return 0;
}
