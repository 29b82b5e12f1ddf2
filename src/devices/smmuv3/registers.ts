/** Arm SMMUv3 (Arm IHI 0070, v3.1), Non-secure programming interface: register pages 0 and 1. */
import { defineRegisters, ro, rw } from "../../registers/index.ts";

/** Limits that the identification registers tell. */
export const STREAM_ID_BITS = 16;
export const SUBSTREAM_ID_BITS = 20;
export const QUEUE_BITS = 19;
/** Bits of output addresses (OAS), and of intermediate ones. */
export const OUTPUT_BITS = 44;

const ATTRIBUTES = "memory attributes of the SMMU's own accesses have no effect: memory is coherent";
const BITS_51 = [51, 6] as const;

function interruptConfiguration(at: number, clause: string, name: string) {
  return {
    at,
    title: `${name} interrupt configuration 0: MSI address, 0 for the wire`,
    clause,
    width: 64,
    fields: { ADDR: rw([51, 2], "Address bits 51:2") },
  } as const;
}
function interruptData(at: number, clause: string, name: string) {
  return {
    at,
    title: `${name} interrupt configuration 1: MSI payload`,
    clause,
    fields: { DATA: rw([31, 0], "Payload") },
  } as const;
}
function interruptAttributes(at: number, clause: string, name: string) {
  return {
    at,
    title: `${name} interrupt configuration 2: attributes of the MSI write, without effect here`,
    clause,
    fields: { MemAttr: rw([3, 0], "Memory type"), SH: rw([5, 4], "Shareability") },
  } as const;
}

export const SMMUV3 = defineRegisters({
  name: "SMMUV3",
  title: "System MMU, version 3.1",
  manual: "Arm IHI 0070",
  size: 0x2_0000,
  sizes: [4],
  registers: {
    SMMU_IDR0: {
      at: 0x000,
      title: "Features",
      clause: "6.3.1",
      fields: {
        S2P: ro(0, "Stage 2 translation", { reset: 1 }),
        S1P: ro(1, "Stage 1 translation", { reset: 1 }),
        TTF: ro([3, 2], "Translation table formats: AArch64", { reset: 2 }),
        COHACC: ro(4, "Coherent access to tables and queues", { reset: 1 }),
        BTM: ro(5, "Broadcast TLB maintenance: none"),
        HTTU: ro([7, 6], "Hardware update of access flag and dirty state: none"),
        DORMHINT: ro(8, "Dormant hint: none"),
        Hyp: ro(9, "EL2 stage 1 contexts", { reset: 1 }),
        ATS: ro(10, "PCIe ATS", { reset: 1 }),
        NS1ATS: ro(11, "Split-stage ATS is supported (0)"),
        ASID16: ro(12, "16-bit ASIDs", { reset: 1 }),
        MSI: ro(13, "Message-signalled interrupts", { reset: 1 }),
        SEV: ro(14, "Event for WFE at command completion", { reset: 1 }),
        ATOS: ro(15, "Address translation operations: none"),
        PRI: ro(16, "Page request interface", { reset: 1 }),
        VMW: ro(17, "VMID wildcards: none"),
        VMID16: ro(18, "16-bit VMIDs", { reset: 1 }),
        CD2L: ro(19, "Two-level context descriptor tables", { reset: 1 }),
        VATOS: ro(20, "Virtual ATOS page: none"),
        TTENDIAN: ro([22, 21], "Translation tables are little-endian", { reset: 2 }),
        STALL_MODEL: ro([25, 24], "Stalls: not supported", { reset: 1 }),
        TERM_MODEL: ro(26, "CD.A chooses abort or RAZ/WI (0)"),
        ST_LEVEL: ro([28, 27], "Linear and two-level stream tables", { reset: 1 }),
      },
    },
    SMMU_IDR1: {
      at: 0x004,
      title: "Sizes",
      clause: "6.3.2",
      fields: {
        SIDSIZE: ro([5, 0], "StreamID bits", { reset: STREAM_ID_BITS }),
        SSIDSIZE: ro([10, 6], "SubstreamID bits", { reset: SUBSTREAM_ID_BITS }),
        PRIQS: ro([15, 11], "log2 of the largest PRI queue", { reset: QUEUE_BITS }),
        EVENTQS: ro([20, 16], "log2 of the largest Event queue", { reset: QUEUE_BITS }),
        CMDQS: ro([25, 21], "log2 of the largest Command queue", { reset: QUEUE_BITS }),
        ATTR_PERMS_OVR: ro(26, "Incoming privilege and instruction marks can be overridden", { reset: 1 }),
        ATTR_TYPES_OVR: ro(27, "Incoming memory attributes can be overridden: no"),
        REL: ro(28, "Preset bases are relative: none are preset"),
        QUEUES_PRESET: ro(29, "Queue bases are fixed: no"),
        TABLES_PRESET: ro(30, "Table bases are fixed: no"),
      },
    },
    SMMU_IDR2: { at: 0x008, title: "VATOS page: none", clause: "6.3.3", fields: { BA_VATOS: ro([9, 0], "None") } },
    SMMU_IDR3: {
      at: 0x00c,
      title: "More features",
      clause: "6.3.4",
      fields: {
        HAD: ro(2, "Hierarchical attribute disables", { reset: 1 }),
        PBHA: ro(3, "Page-based hardware attributes: none"),
        XNX: ro(4, "Stage 2 execute-never by exception level", { reset: 1 }),
        RIL: ro(10, "Range invalidation and level hints", { reset: 1 }),
        BBML: ro([12, 11], "Block size may change without break-before-make", { reset: 2 }),
      },
    },
    SMMU_IDR4: { at: 0x010, title: "Implementation defined", clause: "6.3.5", fields: { Value: ro([31, 0], "Zero") } },
    SMMU_IDR5: {
      at: 0x014,
      title: "Address sizes and granules",
      clause: "6.3.6",
      fields: {
        OAS: ro([2, 0], "Output addresses of 44 bits", { reset: 4 }),
        GRAN4K: ro(4, "4 KiB granule", { reset: 1 }),
        GRAN16K: ro(5, "16 KiB granule", { reset: 1 }),
        GRAN64K: ro(6, "64 KiB granule", { reset: 1 }),
        VAX: ro([11, 10], "Virtual addresses of 48 bits"),
        STALL_MAX: ro([31, 16], "Outstanding stalls: none"),
      },
    },
    SMMU_IIDR: {
      at: 0x018,
      title: "Implementation: none that errata are known of",
      clause: "6.3.7",
      fields: { Value: ro([31, 0], "Zero") },
    },
    SMMU_AIDR: {
      at: 0x01c,
      title: "Architecture version",
      clause: "6.3.8",
      fields: {
        ArchMinorRev: ro([3, 0], "Minor revision: SMMUv3.1", { reset: 1 }),
        ArchMajorRev: ro([7, 4], "Major revision: SMMUv3"),
      },
    },
    SMMU_CR0: {
      at: 0x020,
      title: "Control 0",
      clause: "6.3.9",
      fields: {
        SMMUEN: rw(0, "Translation"),
        PRIQEN: rw(1, "PRI queue writes"),
        EVENTQEN: rw(2, "Event queue writes"),
        CMDQEN: rw(3, "Command queue processing"),
        ATSCHK: rw(4, "ATS translated transactions are checked"),
      },
    },
    SMMU_CR0ACK: {
      at: 0x024,
      title: "Control 0 as in effect: at once",
      clause: "6.3.10",
      computed: true,
      fields: {
        SMMUEN: ro(0, "Translation"),
        PRIQEN: ro(1, "PRI queue"),
        EVENTQEN: ro(2, "Event queue"),
        CMDQEN: ro(3, "Command queue"),
        ATSCHK: ro(4, "ATS check"),
      },
    },
    SMMU_CR1: {
      at: 0x028,
      title: "Control 1: attributes of table and queue accesses, without effect here",
      clause: "6.3.11",
      fields: {
        QUEUE_IC: rw([1, 0], "Queues, inner cacheability"),
        QUEUE_OC: rw([3, 2], "Queues, outer cacheability"),
        QUEUE_SH: rw([5, 4], "Queues, shareability"),
        TABLE_IC: rw([7, 6], "Tables, inner cacheability"),
        TABLE_OC: rw([9, 8], "Tables, outer cacheability"),
        TABLE_SH: rw([11, 10], "Tables, shareability"),
      },
    },
    SMMU_CR2: {
      at: 0x02c,
      title: "Control 2",
      clause: "6.3.12",
      fields: {
        E2H: rw(0, "EL2 contexts have ASIDs and two ranges"),
        RECINVSID: rw(1, "C_BAD_STREAMID is recorded"),
        PTM: rw(2, "Private TLB maintenance; broadcasts are never taken part in"),
      },
    },
    SMMU_STATUSR: { at: 0x040, title: "Status", clause: "6.3.13", fields: { DORMANT: ro(0, "Dormant hint: never") } },
    SMMU_GBPA: {
      at: 0x044,
      title: "Global bypass attributes; a write takes effect with UPDATE = 1 only",
      clause: "6.3.14",
      fields: {
        MemAttr: rw([3, 0], "Memory type, without effect"),
        MTCFG: rw(4, "Memory type override, without effect"),
        ALLOCCFG: rw([11, 8], "Allocation hints, without effect"),
        SHCFG: rw([13, 12], "Shareability, without effect: 1 for incoming", { reset: 1 }),
        PRIVCFG: rw([17, 16], "Privilege of bypassing transactions, without effect"),
        INSTCFG: rw([19, 18], "Instruction mark of bypassing transactions, without effect"),
        ABORT: rw(20, "Abort all transactions while SMMUEN = 0"),
        UPDATE: rw(31, "Take the other fields; reads as zero once done, which is at once"),
      },
    },
    SMMU_AGBPA: {
      at: 0x048,
      title: "Alternate global bypass attributes: none",
      clause: "6.3.15",
      fields: { Value: ro([31, 0], "Zero") },
    },
    SMMU_IRQ_CTRL: {
      at: 0x050,
      title: "Interrupt enables",
      clause: "6.3.16",
      fields: {
        GERROR_IRQEN: rw(0, "Global errors"),
        PRIQ_IRQEN: rw(1, "PRI queue"),
        EVENTQ_IRQEN: rw(2, "Event queue"),
      },
    },
    SMMU_IRQ_CTRLACK: {
      at: 0x054,
      title: "Interrupt enables as in effect: at once",
      clause: "6.3.17",
      computed: true,
      fields: {
        GERROR_IRQEN: ro(0, "Global errors"),
        PRIQ_IRQEN: ro(1, "PRI queue"),
        EVENTQ_IRQEN: ro(2, "Event queue"),
      },
    },
    SMMU_GERROR: {
      at: 0x060,
      title: "Global errors: a bit that differs from SMMU_GERRORN is active",
      clause: "6.3.18",
      fields: {
        CMDQ_ERR: ro(0, "Command queue error; SMMU_CMDQ_CONS.ERR says which"),
        EVENTQ_ABT_ERR: ro(2, "A write to the Event queue was aborted"),
        PRIQ_ABT_ERR: ro(3, "A write to the PRI queue was aborted"),
        MSI_CMDQ_ABT_ERR: ro(4, "A CMD_SYNC's MSI was aborted"),
        MSI_EVENTQ_ABT_ERR: ro(5, "The Event queue's MSI was aborted"),
        MSI_PRIQ_ABT_ERR: ro(6, "The PRI queue's MSI was aborted"),
        MSI_GERROR_ABT_ERR: ro(7, "The global error MSI was aborted"),
        SFM_ERR: ro(8, "Service failure mode: never entered"),
      },
    },
    SMMU_GERRORN: {
      at: 0x064,
      title: "Global errors that software has acknowledged",
      clause: "6.3.19",
      fields: {
        CMDQ_ERR: rw(0, "Command queue error"),
        EVENTQ_ABT_ERR: rw(2, "Event queue abort"),
        PRIQ_ABT_ERR: rw(3, "PRI queue abort"),
        MSI_CMDQ_ABT_ERR: rw(4, "CMD_SYNC MSI abort"),
        MSI_EVENTQ_ABT_ERR: rw(5, "Event queue MSI abort"),
        MSI_PRIQ_ABT_ERR: rw(6, "PRI queue MSI abort"),
        MSI_GERROR_ABT_ERR: rw(7, "Global error MSI abort"),
        SFM_ERR: rw(8, "Service failure mode"),
      },
    },
    SMMU_GERROR_IRQ_CFG0: interruptConfiguration(0x068, "6.3.20", "Global error"),
    SMMU_GERROR_IRQ_CFG1: interruptData(0x070, "6.3.21", "Global error"),
    SMMU_GERROR_IRQ_CFG2: interruptAttributes(0x074, "6.3.22", "Global error"),
    SMMU_STRTAB_BASE: {
      at: 0x080,
      title: "Stream table base",
      clause: "6.3.23",
      width: 64,
      fields: { ADDR: rw(BITS_51, "Address bits 51:6"), RA: rw(62, `Read-allocate: ${ATTRIBUTES}`) },
    },
    SMMU_STRTAB_BASE_CFG: {
      at: 0x088,
      title: "Stream table format",
      clause: "6.3.24",
      fields: {
        LOG2SIZE: rw([5, 0], "log2 of the number of streams"),
        SPLIT: rw([10, 6], "Bits that the second level resolves: 6, 8 or 10"),
        FMT: rw([17, 16], "0: linear, 1: two levels"),
      },
    },
    SMMU_CMDQ_BASE: {
      at: 0x090,
      title: "Command queue base",
      clause: "6.3.25",
      width: 64,
      fields: {
        LOG2SIZE: rw([4, 0], "log2 of the number of entries"),
        ADDR: rw([51, 5], "Address bits 51:5"),
        RA: rw(62, `Read-allocate: ${ATTRIBUTES}`),
      },
    },
    SMMU_CMDQ_PROD: {
      at: 0x098,
      title: "Command queue, software's index",
      clause: "6.3.26",
      fields: { WR: rw([19, 0], "Index and wrap bit of the next free entry") },
    },
    SMMU_CMDQ_CONS: {
      at: 0x09c,
      title: "Command queue, the SMMU's index; writable while CMDQEN = 0",
      clause: "6.3.27",
      fields: {
        RD: rw([19, 0], "Index and wrap bit of the next command"),
        ERR: rw([30, 24], "Why processing stopped", {
          values: { 0: "CERROR_NONE", 1: "CERROR_ILL", 2: "CERROR_ABT", 3: "CERROR_ATC_INV_SYNC" },
        }),
      },
    },
    SMMU_EVENTQ_BASE: {
      at: 0x0a0,
      title: "Event queue base",
      clause: "6.3.28",
      width: 64,
      fields: {
        LOG2SIZE: rw([4, 0], "log2 of the number of entries"),
        ADDR: rw([51, 5], "Address bits 51:5"),
        WA: rw(62, `Write-allocate: ${ATTRIBUTES}`),
      },
    },
    SMMU_EVENTQ_IRQ_CFG0: interruptConfiguration(0x0b0, "6.3.31", "Event queue"),
    SMMU_EVENTQ_IRQ_CFG1: interruptData(0x0b8, "6.3.32", "Event queue"),
    SMMU_EVENTQ_IRQ_CFG2: interruptAttributes(0x0bc, "6.3.33", "Event queue"),
    SMMU_PRIQ_BASE: {
      at: 0x0c0,
      title: "PRI queue base",
      clause: "6.3.34",
      width: 64,
      fields: {
        LOG2SIZE: rw([4, 0], "log2 of the number of entries"),
        ADDR: rw([51, 5], "Address bits 51:5"),
        WA: rw(62, `Write-allocate: ${ATTRIBUTES}`),
      },
    },
    SMMU_PRIQ_IRQ_CFG0: interruptConfiguration(0x0d0, "6.3.37", "PRI queue"),
    SMMU_PRIQ_IRQ_CFG1: interruptData(0x0d8, "6.3.38", "PRI queue"),
    SMMU_PRIQ_IRQ_CFG2: {
      at: 0x0dc,
      title: "PRI queue interrupt configuration 2",
      clause: "6.3.39",
      fields: {
        MemAttr: rw([3, 0], "Memory type of the MSI write, without effect"),
        SH: rw([5, 4], "Shareability, without effect"),
        LO: rw(31, "Interrupt at the last request of a group only"),
      },
    },
    SMMU_ID_REGS: {
      at: 0xfd0,
      title: "Peripheral and component identification, as QEMU's model has them (an MMU-600's)",
      clause: "6.3.40",
      count: 12,
      resets: [0x04, 0, 0, 0, 0x84, 0xb4, 0xf0, 0x10, 0x0d, 0xf0, 0x05, 0xb1],
      fields: { Value: ro([7, 0], "Identification") },
    },
    SMMU_EVENTQ_PROD: {
      at: 0x1_00a8,
      title: "Event queue, the SMMU's index; writable while EVENTQEN = 0",
      clause: "6.3.29",
      fields: {
        WR: rw([19, 0], "Index and wrap bit of the next record"),
        OVFLG: rw(31, "Overflow, toggled by the SMMU"),
      },
    },
    SMMU_EVENTQ_CONS: {
      at: 0x1_00ac,
      title: "Event queue, software's index",
      clause: "6.3.30",
      fields: { RD: rw([19, 0], "Index and wrap bit of the next to read"), OVACKFLG: rw(31, "Overflow acknowledged") },
    },
    SMMU_PRIQ_PROD: {
      at: 0x1_00c8,
      title: "PRI queue, the SMMU's index; writable while PRIQEN = 0",
      clause: "6.3.35",
      fields: {
        WR: rw([19, 0], "Index and wrap bit of the next request"),
        OVFLG: rw(31, "Overflow, toggled by the SMMU"),
      },
    },
    SMMU_PRIQ_CONS: {
      at: 0x1_00cc,
      title: "PRI queue, software's index",
      clause: "6.3.36",
      fields: { RD: rw([19, 0], "Index and wrap bit of the next to read"), OVACKFLG: rw(31, "Overflow acknowledged") },
    },
  },
});
