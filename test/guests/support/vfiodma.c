/* Drives the PCIe test function from user space through VFIO: DMA inside what is mapped, MSI-X, DMA outside, reset. Prints VFIO-OK. */
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define IOVA 0x10000000ULL
#define OUTSIDE 0x20000000ULL

static void check(int good, const char *what) {
	if (good) return;
	perror(what);
	exit(1);
}

static volatile uint32_t *registers;

static uint32_t copy(uint64_t from, uint64_t to, uint32_t bytes, uint32_t control) {
	registers[4] = (uint32_t)from;
	registers[5] = (uint32_t)(from >> 32);
	registers[6] = (uint32_t)to;
	registers[7] = (uint32_t)(to >> 32);
	registers[8] = bytes;
	registers[9] = control;
	return registers[10];
}

int main(int argc, char **argv) {
	check(argc == 3, "usage: vfiodma GROUP DEVICE");
	char path[64];
	snprintf(path, sizeof path, "/dev/vfio/%s", argv[1]);
	int container = open("/dev/vfio/vfio", O_RDWR);
	check(container >= 0, "container");
	int group = open(path, O_RDWR);
	check(group >= 0, path);
	struct vfio_group_status status = { .argsz = sizeof status };
	check(ioctl(group, VFIO_GROUP_GET_STATUS, &status) == 0 && (status.flags & VFIO_GROUP_FLAGS_VIABLE), "viable");
	check(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0, "set container");
	check(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) == 0, "set iommu");
	uint8_t *buffer = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(buffer != MAP_FAILED, "buffer");
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof map, .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)buffer, .iova = IOVA, .size = 8192,
	};
	check(ioctl(container, VFIO_IOMMU_MAP_DMA, &map) == 0, "map");
	int device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[2]);
	check(device >= 0, "device");
	struct vfio_region_info bar = { .argsz = sizeof bar, .index = VFIO_PCI_BAR0_REGION_INDEX };
	check(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &bar) == 0 && (bar.flags & VFIO_REGION_INFO_FLAG_MMAP), "bar 0");
	registers = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, bar.offset);
	check(registers != MAP_FAILED, "mmap bar 0");
	struct vfio_region_info config = { .argsz = sizeof config, .index = VFIO_PCI_CONFIG_REGION_INDEX };
	check(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config) == 0, "config");
	uint16_t command;
	check(pread(device, &command, 2, config.offset + 4) == 2, "command");
	command |= 6;
	check(pwrite(device, &command, 2, config.offset + 4) == 2, "bus master");
	printf("ID %08x INDEX %u\n", registers[0], registers[1]);

	char space[sizeof(struct vfio_irq_set) + sizeof(int)];
	struct vfio_irq_set *irq = (struct vfio_irq_set *)space;
	int event = eventfd(0, 0);
	*irq = (struct vfio_irq_set){ .argsz = sizeof space, .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = VFIO_PCI_MSIX_IRQ_INDEX, .start = 0, .count = 1 };
	memcpy(irq->data, &event, sizeof event);
	check(ioctl(device, VFIO_DEVICE_SET_IRQS, irq) == 0, "irqs");

	for (int i = 0; i < 2048; i++) buffer[i] = (uint8_t)(i * 7 + 1);
	uint32_t done = copy(IOVA, IOVA + 4096, 2048, 1 | 1 << 11);
	uint64_t count = 0;
	check(read(event, &count, 8) == 8, "interrupt");
	printf("INSIDE status %u equal %d interrupts %llu\n", done, memcmp(buffer, buffer + 4096, 2048) == 0, (unsigned long long)count);
	printf("OUTSIDE read %u write %u\n", copy(OUTSIDE, IOVA + 4096, 16, 1), copy(IOVA, OUTSIDE, 16, 1));
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof unmap, .iova = IOVA, .size = 8192 };
	check(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) == 0, "unmap");
	printf("UNMAPPED read %u\n", copy(IOVA, IOVA + 4096, 16, 1));
	check(ioctl(device, VFIO_DEVICE_RESET) == 0, "reset");
	printf("RESET source %08x\n", registers[4]);
	puts("VFIO-OK");
	return 0;
}
