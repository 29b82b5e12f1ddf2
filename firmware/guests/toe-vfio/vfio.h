/* A PCI function through VFIO (Linux Documentation/driver-api/vfio.rst). Whatever cannot be done ends the program. */
#ifndef TOE_VFIO_H
#define TOE_VFIO_H
#include "types.h"

struct vfio {
  int container, group, device;
};

/* DEVICE as in /sys/bus/pci/devices, bound to vfio-pci; bus mastering is on. `token`: a UUID that a PF and its VFs are opened with, or NULL. */
void vfio_open(struct vfio *v, const char *device, const char *token);
/* BAR n; its size at `size` unless that is NULL. */
u64 vfio_map_bar(struct vfio *v, u32 bar, u64 *size);
/* Lets the function reach [memory, memory + size) at the same addresses. */
void vfio_map_memory(struct vfio *v, void *memory, u64 size, bool writable);
void vfio_unmap_memory(struct vfio *v, void *memory, u64 size);
/* An eventfd that counts the interrupts of an MSI-X vector. */
int vfio_interrupt(struct vfio *v, u32 vector);

#endif
