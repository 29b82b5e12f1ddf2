#include "vfio.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PCI_COMMAND 4
#define PCI_COMMAND_MEMORY_AND_MASTER 6

static void check(bool good, const char *what) {
  if (good) return;
  fprintf(stderr, "toe-vfio: %s: %s\n", what, strerror(errno));
  exit(1);
}

void vfio_open(struct vfio *v, const char *device, const char *token) {
  char text[256], path[300];
  snprintf(text, sizeof text, "/sys/bus/pci/devices/%s/iommu_group", device);
  ssize_t length = readlink(text, path, sizeof path - 1);
  check(length > 0, text);
  path[length] = 0;
  snprintf(text, sizeof text, "/dev/vfio/%s", strrchr(path, '/') + 1);
  v->container = open("/dev/vfio/vfio", O_RDWR);
  check(v->container >= 0, "/dev/vfio/vfio");
  v->group = open(text, O_RDWR);
  check(v->group >= 0, text);
  struct vfio_group_status status = {.argsz = sizeof status};
  check(!ioctl(v->group, VFIO_GROUP_GET_STATUS, &status), "group status");
  errno = EBUSY;
  check(status.flags & VFIO_GROUP_FLAGS_VIABLE, "a device of the group has another driver");
  check(!ioctl(v->group, VFIO_GROUP_SET_CONTAINER, &v->container), "container");
  check(!ioctl(v->container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "IOMMU");
  snprintf(path, sizeof path, token ? "%s vf_token=%s" : "%s", device, token);
  v->device = ioctl(v->group, VFIO_GROUP_GET_DEVICE_FD, path);
  check(v->device >= 0, device);
  struct vfio_region_info space = {.argsz = sizeof space, .index = VFIO_PCI_CONFIG_REGION_INDEX};
  check(!ioctl(v->device, VFIO_DEVICE_GET_REGION_INFO, &space), "configuration space");
  u16 command;
  check(pread(v->device, &command, 2, (off_t)space.offset + PCI_COMMAND) == 2, "command register");
  command |= PCI_COMMAND_MEMORY_AND_MASTER;
  check(pwrite(v->device, &command, 2, (off_t)space.offset + PCI_COMMAND) == 2, "command register");
}

u64 vfio_map_bar(struct vfio *v, u32 bar, u64 *size) {
  struct vfio_region_info region = {.argsz = sizeof region, .index = bar};
  check(!ioctl(v->device, VFIO_DEVICE_GET_REGION_INFO, &region), "BAR");
  void *at = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, v->device, (off_t)region.offset);
  check(at != MAP_FAILED, "BAR");
  if (size) *size = region.size;
  return (u64)at;
}

void vfio_map_memory(struct vfio *v, void *memory, u64 size, bool writable) {
  struct vfio_iommu_type1_dma_map map = {.argsz = sizeof map, .vaddr = (u64)memory, .iova = (u64)memory, .size = size};
  map.flags = VFIO_DMA_MAP_FLAG_READ | (writable ? VFIO_DMA_MAP_FLAG_WRITE : 0);
  check(!ioctl(v->container, VFIO_IOMMU_MAP_DMA, &map), "DMA memory");
}

void vfio_unmap_memory(struct vfio *v, void *memory, u64 size) {
  struct vfio_iommu_type1_dma_unmap map = {.argsz = sizeof map, .iova = (u64)memory, .size = size};
  check(!ioctl(v->container, VFIO_IOMMU_UNMAP_DMA, &map), "DMA memory");
}

int vfio_interrupt(struct vfio *v, u32 vector) {
  union {
    struct vfio_irq_set set;
    u8 bytes[sizeof(struct vfio_irq_set) + sizeof(int)];
  } u;
  int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  check(event >= 0, "eventfd");
  u.set = (struct vfio_irq_set){.argsz = sizeof u.bytes, .index = VFIO_PCI_MSIX_IRQ_INDEX, .start = vector, .count = 1};
  u.set.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
  memcpy(u.set.data, &event, sizeof event);
  check(!ioctl(v->device, VFIO_DEVICE_SET_IRQS, &u.set), "MSI-X");
  return event;
}
