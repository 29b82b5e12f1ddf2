/**
 * What drivers of the physical and the virtual functions say to each other through the mailbox: a convention of software (datasheet 7.10.2.9, Linux's `igb`
 * and `igbvf`), of which the device knows nothing.
 */

/** Bits 15:0 of the first word. `control` is the PF's own: something has changed. */
export const MESSAGE = {
  reset: 1,
  address: 2,
  multicast: 3,
  vlan: 4,
  long: 5,
  promiscuous: 6,
  control: 0x100,
} as const;

/** In the first word of what the PF answers. */
export const GRANTED = 0x8000_0000;
export const REFUSED = 0x4000_0000;
/** The PF has heard of the VF's reset. */
export const CLEAR_TO_SEND = 0x2000_0000;

/** Bytes of a VF's mailbox. */
export const MAILBOX_BYTES = 64;
/** Commands of P2VMAILBOX: a message stands there, one was read, the PF wants the memory. */
export const P2V = { STS: 1 << 0, ACK: 1 << 1, PFU: 1 << 3 } as const;
