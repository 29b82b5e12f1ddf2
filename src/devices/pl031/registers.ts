/** The programmer's model of the PL031 real-time clock, r1p3: Arm DDI 0224C chapters 3 and 4 (test registers). */
import { defineRegisters, ro, rw, wo } from "../../registers/index.ts";

export const PL031 = defineRegisters({
  name: "PL031",
  title: "PrimeCell Real Time Clock (PL031) r1p3",
  manual: "Arm DDI 0224C",
  size: 0x1000,
  sizes: [1, 2, 4],
  registers: {
    RTCDR: {
      at: 0x000,
      title: "Data Register",
      clause: "3.3.1",
      computed: true,
      fields: { RTCDR: ro([31, 0], "Current RTC value") },
    },
    RTCMR: {
      at: 0x004,
      title: "Match Register",
      clause: "3.3.2",
      fields: { RTCMR: rw([31, 0], "RTC value that raises the interrupt") },
    },
    RTCLR: {
      at: 0x008,
      title: "Load Register",
      clause: "3.3.3",
      fields: { RTCLR: rw([31, 0], "Value that the RTC is updated to; reads give the last written one") },
    },
    RTCCR: {
      at: 0x00c,
      title: "Control Register",
      clause: "3.3.4",
      computed: true,
      fields: { RTCStart: rw(0, "RTC start; reads give the status of the RTC") },
    },
    RTCIMSC: {
      at: 0x010,
      title: "Interrupt Mask Set or Clear register",
      clause: "3.3.5",
      fields: { RTCIMSC: rw(0, "Interrupt mask: 1 lets RTCINTR through") },
    },
    RTCRIS: {
      at: 0x014,
      title: "Raw Interrupt Status",
      clause: "3.3.6",
      computed: true,
      fields: { RTCRIS: ro(0, "Interrupt state before masking") },
    },
    RTCMIS: {
      at: 0x018,
      title: "Masked Interrupt Status",
      clause: "3.3.7",
      computed: true,
      fields: { RTCMIS: ro(0, "Interrupt state after masking") },
    },
    RTCICR: {
      at: 0x01c,
      title: "Interrupt Clear Register",
      clause: "3.3.8",
      computed: true,
      fields: { RTCICR: wo(0, "Writing 1 clears the interrupt") },
    },
    RTCITCR: {
      at: 0x080,
      title: "Integration Test Control Register",
      clause: "4.3.1",
      fields: {
        TESTOFFSET: rw(2, "RTCTOFFSET reads and writes the offset register"),
        TESTCOUNT: rw(1, "RTCTCOUNT reads and writes the counter"),
        ITEN: rw(0, "Integration test enable: RTCITOP drives RTCINTR"),
      },
    },
    // RTCITIP at 0x084 (4.3.2) has a width of 0, reserved for future use: it answers as an offset without a register.
    RTCITOP: {
      at: 0x088,
      title: "Integration Test Output register",
      clause: "4.3.3",
      computed: true,
      fields: { RTCINTR: rw(0, "Drives RTCINTR in integration test mode; reads its level behind the multiplexer") },
    },
    RTCTOFFSET: {
      at: 0x08c,
      title: "Test Offset register",
      clause: "4.3.4",
      computed: true,
      fields: { OFFSET: rw([31, 0], "The offset register, while TESTOFFSET is set") },
    },
    RTCTCOUNT: {
      at: 0x090,
      title: "Test Count register",
      clause: "4.3.5",
      computed: true,
      fields: { COUNT: rw([31, 0], "The counter, while TESTCOUNT is set") },
    },
    RTCPeriphID0: {
      at: 0xfe0,
      title: "Peripheral identification 0",
      clause: "3.4.1",
      fields: { PartNumber0: ro([7, 0], "Part number [7:0]", { reset: 0x31 }) },
    },
    RTCPeriphID1: {
      at: 0xfe4,
      title: "Peripheral identification 1",
      clause: "3.4.2",
      fields: {
        Designer0: ro([7, 4], "Designer [3:0]", { reset: 0x1 }),
        PartNumber1: ro([3, 0], "Part number [11:8]", { reset: 0x0 }),
      },
    },
    RTCPeriphID2: {
      at: 0xfe8,
      title: "Peripheral identification 2",
      clause: "3.4.3",
      fields: {
        Revision: ro([7, 4], "Revision", { reset: 0x0, values: { 0: "r1p3" } }),
        Designer1: ro([3, 0], "Designer [7:4]", { reset: 0x4 }),
      },
    },
    RTCPeriphID3: {
      at: 0xfec,
      title: "Peripheral identification 3",
      clause: "3.4.4",
      fields: { Configuration: ro([7, 0], "Configuration", { reset: 0x00 }) },
    },
    RTCPCellID0: {
      at: 0xff0,
      title: "PrimeCell identification 0",
      clause: "3.5.1",
      fields: { RTCPCellID0: ro([7, 0], "0x0D", { reset: 0x0d }) },
    },
    RTCPCellID1: {
      at: 0xff4,
      title: "PrimeCell identification 1",
      clause: "3.5.2",
      fields: { RTCPCellID1: ro([7, 0], "0xF0", { reset: 0xf0 }) },
    },
    RTCPCellID2: {
      at: 0xff8,
      title: "PrimeCell identification 2",
      clause: "3.5.3",
      fields: { RTCPCellID2: ro([7, 0], "0x05", { reset: 0x05 }) },
    },
    RTCPCellID3: {
      at: 0xffc,
      title: "PrimeCell identification 3",
      clause: "3.5.4",
      fields: { RTCPCellID3: ro([7, 0], "0xB1", { reset: 0xb1 }) },
    },
  },
});
