/** The schema of a file of VMs, as published in docs/vm-config.schema.json (JSON Schema draft 7). */
const size = {
  description: "Bytes, or a number with K, M or G",
  anyOf: [
    { type: "integer", minimum: 1 },
    { type: "string", pattern: "^[0-9]+[KMG]?$" },
  ],
};
const mode = {
  description: "trap: a model of the same class stands behind it; pass: the machine's own; none: an external abort",
  enum: ["trap", "pass", "none"],
};

/** Properties of virtio0 to virtio31. */
const virtio = {
  device: { description: "virtio0 to virtio31: as -device, virtio-blk-device,serial=one", type: "string" },
  file: { description: "virtio-blk-device: a raw image, written to unless readonly or snapshot", type: "string" },
  readonly: { description: "virtio-blk-device, virtio-9p-device", type: "boolean" },
  snapshot: { description: "virtio-blk-device: what is written stays in memory", type: "boolean" },
  net: { description: "virtio-net-device: as -netdev without id, hubport,hubid=0", type: "string" },
  folder: { description: "virtio-9p-device: a folder of the host", type: "string" },
  legacy: { description: "virtio: version 1 of the register layout; version 2 unless given", type: "boolean" },
};

export const VM_CONFIG_SCHEMA = {
  $schema: "http://json-schema.org/draft-07/schema#",
  title: "Armature: virtual machines under the hypervisor",
  type: "object",
  additionalProperties: false,
  required: ["vms"],
  properties: {
    $schema: { type: "string" },
    machine: {
      description: "The machine below: the virt board with EL2",
      type: "object",
      additionalProperties: false,
      properties: {
        cpus: { type: "integer", minimum: 1, maximum: 8 },
        cpu: { enum: ["cortex-a53", "cortex-a57", "max"] },
        memory: size,
        seed: { type: "integer", minimum: 0 },
      },
    },
    scheduler: {
      type: "object",
      additionalProperties: false,
      properties: {
        policy: { description: "Name of a policy, docs/schedulers.md", type: "string" },
        options: { type: "object", additionalProperties: { type: ["number", "boolean"] } },
      },
    },
    costs: {
      description: "Numbers of the cost table (src/hypervisor/costs.ts) to replace",
      type: "object",
      additionalProperties: { type: "number", minimum: 0 },
    },
    trapWfe: { description: "WFE of guests yields the CPU", type: "boolean" },
    limit: { description: "Simulated seconds after which the run ends", type: "number", exclusiveMinimum: 0 },
    peer: {
      description: "A host inside the simulation that fetches a file by HTTP from each VM with an interface of the TOE",
      type: "object",
      additionalProperties: false,
      required: ["address", "path"],
      properties: {
        address: { description: "IPv4 with prefix length: 10.0.2.1/24", type: "string" },
        path: { type: "string", pattern: "^/" },
      },
    },
    pci: {
      description: "PCIe cards of the machine, each behind a root port, by name",
      type: "object",
      propertyNames: { pattern: "^[A-Za-z_][A-Za-z0-9_-]*$" },
      additionalProperties: {
        type: "object",
        additionalProperties: false,
        required: ["device"],
        properties: {
          device: { description: "igb: Intel 82576; pcie-test: docs/pcie.md", type: "string" },
          vfs: {
            description: "Virtual functions to give to VMs; without any, the card is given as a whole",
            type: "integer",
            minimum: 0,
          },
          mac: { description: "Network card: its address", type: "string" },
          net: {
            description: "Network card: what its port is joined to, as -netdev without id: user, hubport,hubid=0",
            type: "string",
          },
        },
      },
    },
    vms: {
      type: "array",
      minItems: 1,
      items: {
        type: "object",
        additionalProperties: false,
        required: ["name", "memory", "kernel"],
        properties: {
          name: { type: "string", pattern: "^[A-Za-z_][A-Za-z0-9_-]*$" },
          memory: size,
          vcpus: { type: "integer", minimum: 1, maximum: 8 },
          psci: { enum: ["hvc", "smc"] },
          kernel: { description: "Linux image, ELF or flat binary", type: "string" },
          initrd: { type: "string" },
          dtb: { description: "In place of the tree that is made", type: "string" },
          append: { type: "string" },
          devices: {
            description: "By the parts of the virt board that the guest sees",
            type: "object",
            additionalProperties: {
              anyOf: [
                mode,
                {
                  type: "object",
                  additionalProperties: false,
                  required: ["mode"],
                  properties: {
                    mode,
                    physical: {
                      description: "The machine's part behind pass; of the same name unless given",
                      type: "string",
                    },
                    at: {
                      description: "Where the guest sees it; as on the board unless given",
                      type: "string",
                      pattern: "^0x[0-9a-f]+$",
                    },
                    address: { description: "TOE: the VM's IPv4 address with prefix length", type: "string" },
                    gateway: { description: "TOE: IPv4", type: "string" },
                    weight: {
                      description: "TOE: of a passed interface in the dispatcher",
                      type: "integer",
                      minimum: 1,
                      maximum: 65535,
                    },
                    ...virtio,
                    registers: {
                      description: "Registers that go another way than the rest",
                      type: "object",
                      additionalProperties: mode,
                    },
                  },
                },
              ],
            },
          },
          pci: {
            description: "Functions of the machine's PCIe cards that are passed to the VM: devices 1 and up of its bus",
            type: "array",
            items: {
              type: "object",
              additionalProperties: false,
              required: ["function"],
              properties: {
                function: { description: "Name of a card", type: "string" },
                vf: { description: "Number of its virtual function", type: "integer", minimum: 0 },
                mac: { description: "igb: address of the virtual function", type: "string" },
                vlan: {
                  description: "igb: the VLAN that all packets of the virtual function are in",
                  type: "integer",
                  minimum: 1,
                  maximum: 4094,
                },
              },
            },
          },
          scheduling: {
            description: "The policy's parameters of this VM",
            type: "object",
            additionalProperties: { type: ["number", "boolean", "string"] },
          },
          affinity: {
            description: "For each vCPU the CPUs that it may run on",
            type: "array",
            items: { type: "array", minItems: 1, items: { type: "integer", minimum: 0, maximum: 7 } },
          },
          stopOnReset: { type: "boolean" },
        },
      },
    },
  },
} as const;
