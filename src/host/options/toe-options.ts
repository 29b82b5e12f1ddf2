/** `-device toe`: the TCP/IP offload engine on the platform bus. On PCIe it is `toe-pci`. */
import { InputError } from "../../formats/index.ts";
import type { Builder } from "./builder.ts";
import { optional } from "./chardev-spec.ts";
import { claimNetwork, macOf } from "./network-options.ts";
import type { KeyValues } from "./values.ts";
import { checkId } from "./virtio-requests.ts";

export const TOE_DEVICES = `toe                    TCP/IP offload engine on the platform bus: [id=ID][,netdev=ID][,mac=MAC][,interfaces=1..64]
`;

/** False where the driver is another. */
export function applyToe(b: Builder, driver: string, list: KeyValues): boolean {
  if (driver !== "toe") return false;
  const { where } = list;
  if (b.toe !== undefined) throw new InputError(`${where}: the board has one toe: expected one -device toe`);
  const id = list.text("id");
  if (id !== undefined) {
    checkId(where, id);
    if (b.virtio.ids.has(`device ${id}`)) throw new InputError(`${where}: there are two devices with id=${id}`);
    b.virtio.ids.add(`device ${id}`);
  }
  const netdev = list.text("netdev");
  const mac = macOf(list);
  const interfaces = list.integer("interfaces", 1, 64);
  list.finish("id, netdev, mac, interfaces");
  b.toe = () => ({
    ...optional("mac", mac),
    ...optional("interfaces", interfaces),
    network: netdev === undefined ? null : claimNetwork(b, where, netdev),
  });
  return true;
}
