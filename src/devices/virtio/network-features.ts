/** Feature bits of the virtio network device (VIRTIO 1.2, 5.1.3), by number, and which of them need others (5.1.3.1). */
export const F_CSUM = 0;
export const F_GUEST_CSUM = 1;
export const F_CTRL_GUEST_OFFLOADS = 2;
export const F_MTU = 3;
export const F_MAC = 5;
export const F_GUEST_TSO4 = 7;
export const F_GUEST_TSO6 = 8;
export const F_GUEST_ECN = 9;
export const F_HOST_TSO4 = 11;
export const F_HOST_TSO6 = 12;
export const F_HOST_ECN = 13;
export const F_MRG_RXBUF = 15;
export const F_STATUS = 16;
export const F_CTRL_VQ = 17;
export const F_CTRL_RX = 18;
export const F_CTRL_VLAN = 19;
export const F_CTRL_RX_EXTRA = 20;
export const F_MQ = 22;
export const F_CTRL_MAC_ADDR = 23;
export const F_HOST_USO = 56;
export const F_HASH_REPORT = 57;
export const F_RSS = 60;
export const F_SPEED_DUPLEX = 63;

/**
 * One of `one` must be there; what is needed stands before what needs it. CTRL_RX_EXTRA, CTRL_GUEST_OFFLOADS and HASH_REPORT work by commands of the control
 * queue, too.
 */
const REQUIREMENTS: readonly { readonly feature: number; readonly name: string; readonly one: readonly number[] }[] = [
  { feature: F_GUEST_TSO4, name: "GUEST_TSO4", one: [F_GUEST_CSUM] },
  { feature: F_GUEST_TSO6, name: "GUEST_TSO6", one: [F_GUEST_CSUM] },
  { feature: F_GUEST_ECN, name: "GUEST_ECN", one: [F_GUEST_TSO4, F_GUEST_TSO6] },
  { feature: F_HOST_TSO4, name: "HOST_TSO4", one: [F_CSUM] },
  { feature: F_HOST_TSO6, name: "HOST_TSO6", one: [F_CSUM] },
  { feature: F_HOST_ECN, name: "HOST_ECN", one: [F_HOST_TSO4, F_HOST_TSO6] },
  { feature: F_HOST_USO, name: "HOST_USO", one: [F_CSUM] },
  { feature: F_CTRL_RX, name: "CTRL_RX", one: [F_CTRL_VQ] },
  { feature: F_CTRL_VLAN, name: "CTRL_VLAN", one: [F_CTRL_VQ] },
  { feature: F_CTRL_RX_EXTRA, name: "CTRL_RX_EXTRA", one: [F_CTRL_VQ] },
  { feature: F_CTRL_GUEST_OFFLOADS, name: "CTRL_GUEST_OFFLOADS", one: [F_CTRL_VQ] },
  { feature: F_CTRL_MAC_ADDR, name: "CTRL_MAC_ADDR", one: [F_CTRL_VQ] },
  { feature: F_MQ, name: "MQ", one: [F_CTRL_VQ] },
  { feature: F_RSS, name: "RSS", one: [F_CTRL_VQ] },
  { feature: F_HASH_REPORT, name: "HASH_REPORT", one: [F_CTRL_VQ] },
];

/** The first feature that was accepted without what it needs, as text; null where all fit. */
export function unmetRequirement(accepted: (feature: number) => boolean): string | null {
  const found = REQUIREMENTS.find((r) => accepted(r.feature) && !r.one.some(accepted));
  return found === undefined ? null : `driver accepts ${found.name} without the feature that it needs`;
}

/** Takes out of `offered` what would need a feature that is not in it. */
export function withdrawUnmet(offered: Set<number>): void {
  for (const { feature, one } of REQUIREMENTS) {
    if (!one.some((f) => offered.has(f))) offered.delete(feature);
  }
}
