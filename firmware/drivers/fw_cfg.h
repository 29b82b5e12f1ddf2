/* QEMU's firmware configuration device, memory-mapped (QEMU docs/specs/fw_cfg). */
#ifndef FW_CFG_H
#define FW_CFG_H
#include "types.h"

#define FW_CFG_DATA 0x00u
#define FW_CFG_SELECTOR 0x08u
#define FW_CFG_DMA 0x10u

#define FW_CFG_SIGNATURE 0x0000u
#define FW_CFG_ID 0x0001u
#define FW_CFG_NB_CPUS 0x0005u
#define FW_CFG_FILE_DIR 0x0019u

#define FW_CFG_DMA_ERROR 1u
#define FW_CFG_DMA_READ 2u
#define FW_CFG_DMA_SKIP 4u
#define FW_CFG_DMA_SELECT 8u
#define FW_CFG_DMA_WRITE 16u

struct fw_cfg_file {
  u32 size;
  u16 select, reserved;
  char name[56];
};

void fw_cfg_select(u64 base, u16 key);
void fw_cfg_read(u64 base, void *to, u32 size);
/* The control word as the device leaves it: 0 when it succeeded. */
u32 fw_cfg_dma(u64 base, u32 control, void *buffer, u32 length);

#endif
