#include "fw_cfg.h"
#include "arch.h"
#include "io.h"

/* The selector and the DMA address are big-endian, the data register is a string of bytes. */
void fw_cfg_select(u64 base, u16 key) { write16(base + FW_CFG_SELECTOR, be16(key)); }

void fw_cfg_read(u64 base, void *to, u32 size) {
  u8 *at = to;
  while (size--) *at++ = read8(base + FW_CFG_DATA);
}

u32 fw_cfg_dma(u64 base, u32 control, void *buffer, u32 length) {
  volatile struct {
    u32 control, length;
    u64 address;
  } request = { be32(control), be32(length), be64((u64)buffer) };
  dsb();
  write64(base + FW_CFG_DMA, be64((u64)&request));
  dsb();
  /* The device clears the control word at the end, but for the error bit. */
  for (u32 i = 0; i < 1000000; i++) {
    u32 now = be32(request.control);
    if (!(now & ~FW_CFG_DMA_ERROR)) return now;
  }
  return ~0u;
}
