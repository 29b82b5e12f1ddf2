/*
 * A driver in user space for a virtual function of the 82576, through VFIO: resets it by mailbox, asks by ARP for an address and prints who
 * answers, received by interrupt; then sends from, and receives into, memory that is not mapped.
 *   vfio-igbvf GROUP DEVICE OWN-ADDRESS ASKED-ADDRESS     (addresses as eight hexadecimal digits)
 */
#include <endian.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
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
#define SIZE 0x10000
#define COUNT 8

enum { /* 82576 datasheet, chapter 8: registers of a VF */
	STATUS = 0x8, VMBMEM = 0x800, V2PMAILBOX = 0xc40, VTEIMS = 0x1524, VTEIAC = 0x152c, VTIVAR = 0x1700,
	RDBAL = 0x2800, SRRCTL = 0x280c, RDT = 0x2818, RXDCTL = 0x2828, TDBAL = 0x3800, TDH = 0x3810, TDT = 0x3818, TXDCTL = 0x3828,
};
enum { REQ = 1, ACK = 2, VFU = 4, PFSTS = 16, PFACK = 32 };

static volatile uint8_t *registers;
static uint8_t *memory;
static int interrupt;

static void check(int good, const char *what) {
	if (good) return;
	perror(what);
	exit(1);
}
static uint32_t get(int at) { return le32toh(*(volatile uint32_t *)(registers + at)); }
static void put(int at, uint32_t value) {
	__sync_synchronize();
	*(volatile uint32_t *)(registers + at) = htole32(value);
}

/* Memory: receive ring, transmit ring at 0x1000, receive buffers from 0x2000, frame to send at 0x8000. */
static volatile uint64_t *receive_ring(int i) { return (volatile uint64_t *)(memory + 16 * i); }
static volatile uint32_t *send_ring(int i) { return (volatile uint32_t *)(memory + 0x1000 + 16 * i); }

static void reset(uint8_t mac[6]) {
	uint32_t seen = 0;
	for (int i = 0; i < 1000 && !(seen & VFU); i++) {
		put(V2PMAILBOX, VFU);
		seen = get(V2PMAILBOX);
	}
	check((seen & VFU) != 0, "mailbox owned");
	put(VMBMEM, 1); /* reset */
	put(V2PMAILBOX, REQ);
	seen = 0;
	for (int i = 0; i < 1000 && !(seen & PFSTS); i++) {
		usleep(1000);
		seen |= get(V2PMAILBOX);
	}
	check((seen & PFSTS) != 0, "answer of the PF");
	uint32_t words[3];
	for (int i = 0; i < 3; i++) words[i] = htole32(get(VMBMEM + 4 * i));
	put(V2PMAILBOX, ACK);
	check((le32toh(words[0]) & 0x80000001) == 0x80000001, "acknowledged reset");
	memcpy(mac, words + 1, 6);
}

static int next;
static void transmit(uint64_t from, uint32_t length) {
	volatile uint32_t *d = send_ring(next);
	d[0] = htole32((uint32_t)from);
	d[1] = htole32((uint32_t)(from >> 32));
	d[2] = htole32(0x2b300000 | length); /* advanced data, EOP, IFCS, RS */
	d[3] = htole32(length << 14);
	next = (next + 1) % COUNT;
	put(TDT, next);
}
static int sent(void) {
	for (int i = 0; i < 1000; i++) {
		if (get(TDH) == (uint32_t)next) return 1;
		usleep(1000);
	}
	return 0;
}
/* Whether an interrupt came within the time. */
static int waited(int milliseconds) {
	struct pollfd p = { .fd = interrupt, .events = POLLIN };
	uint64_t count;
	return poll(&p, 1, milliseconds) == 1 && read(interrupt, &count, 8) == 8;
}

int main(int argc, char **argv) {
	check(argc == 5, "usage: vfio-igbvf GROUP DEVICE OWN ASKED");
	char path[64];
	snprintf(path, sizeof path, "/dev/vfio/%s", argv[1]);
	int container = open("/dev/vfio/vfio", O_RDWR);
	check(container >= 0, "container");
	int group = open(path, O_RDWR);
	check(group >= 0, path);
	struct vfio_group_status status = { .argsz = sizeof status };
	check(ioctl(group, VFIO_GROUP_GET_STATUS, &status) == 0 && (status.flags & VFIO_GROUP_FLAGS_VIABLE), "viable group");
	check(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0, "set container");
	check(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) == 0, "set iommu");
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(memory != MAP_FAILED, "memory");
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof map, .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)memory, .iova = IOVA, .size = SIZE,
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
	command |= 4;
	check(pwrite(device, &command, 2, config.offset + 4) == 2, "bus master");
	char space[sizeof(struct vfio_irq_set) + sizeof(int)];
	struct vfio_irq_set *irq = (struct vfio_irq_set *)space;
	interrupt = eventfd(0, 0);
	*irq = (struct vfio_irq_set){ .argsz = sizeof space, .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = VFIO_PCI_MSIX_IRQ_INDEX, .start = 0, .count = 1 };
	memcpy(irq->data, &interrupt, sizeof interrupt);
	check(ioctl(device, VFIO_DEVICE_SET_IRQS, irq) == 0, "irqs");

	uint8_t mac[6];
	reset(mac);
	printf("IGBVF address %02x:%02x:%02x:%02x:%02x:%02x link %u\n", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], get(STATUS) >> 1 & 1);

	for (int i = 0; i < COUNT; i++) {
		receive_ring(i)[0] = htole64(IOVA + 0x2000 + 0x800 * i);
		receive_ring(i)[1] = 0;
	}
	put(RDBAL, IOVA);
	put(RDBAL + 4, 0);
	put(RDBAL + 8, COUNT * 16);
	put(SRRCTL, 0x02000002); /* advanced, one buffer of 2 KiB */
	put(RXDCTL, 1 << 25 | 1 << 16);
	put(TDBAL, IOVA + 0x1000);
	put(TDBAL + 4, 0);
	put(TDBAL + 8, COUNT * 16);
	put(TXDCTL, 1 << 25);
	put(VTIVAR, 0x80); /* received: vector 0 */
	put(VTEIAC, 1);
	put(VTEIMS, 1);
	put(RDT, COUNT - 1);

	uint32_t own = htobe32(strtoul(argv[3], NULL, 16)), asked = htobe32(strtoul(argv[4], NULL, 16));
	uint8_t *frame = memory + 0x8000;
	static const uint8_t arp[] = { 8, 6, 0, 1, 8, 0, 6, 4, 0, 1 };
	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, arp, sizeof arp);
	memcpy(frame + 22, mac, 6);
	memcpy(frame + 28, &own, 4);
	memcpy(frame + 38, &asked, 4);
	transmit(IOVA + 0x8000, 60);
	printf("IGBVF sent %d\n", sent());
	int came = waited(5000), answers = 0;
	for (int i = 0; i < COUNT; i++) {
		uint32_t state = (uint32_t)le64toh(receive_ring(i)[1]);
		uint8_t *b = memory + 0x2000 + 0x800 * i;
		if (!(state & 1) || memcmp(b + 12, "\x08\x06", 2) || b[21] != 2 || memcmp(b + 28, &asked, 4)) continue;
		answers++;
		printf("IGBVF interrupt %d answer of %02x:%02x:%02x:%02x:%02x:%02x to me %d\n", came, b[22], b[23], b[24], b[25], b[26], b[27],
			memcmp(b, mac, 6) == 0);
	}
	printf("IGBVF answers %d\n", answers);

	/* What is read from elsewhere is not sent: the device goes on with the next packet. */
	transmit(OUTSIDE, 60);
	printf("IGBVF sent from outside: taken %d\n", sent());
	check(munmap((void *)registers, bar.size) == 0, "unmap");
	close(device);
	printf("IGBVF-OK\n");
	return 0;
}
