/** Every declared register of configuration space keeps what its declaration promises. */
import { describeDeclaration } from "../registers/harness.ts";
import { buildEndpointConfig, buildRootPortConfig } from "./device.ts";

describeDeclaration("configuration space of an endpoint with SR-IOV", buildEndpointConfig, {
  exempt: {
    PMCSR: { rules: ["read-write"], reason: "7.5.2.2: states that are not supported are not entered" },
    PCIE_DEVICE_CONTROL_STATUS: { rules: ["read-write", "widths"], reason: "7.5.3.4: bit 15 resets the function" },
    SRIOV_NUM_VFS: { rules: ["read-write", "widths"], reason: "9.3.3.7: no more than TotalVFs" },
  },
});
describeDeclaration("configuration space of a root port", buildRootPortConfig, {
  exempt: {
    PMCSR: { rules: ["read-write"], reason: "7.5.2.2: states that are not supported are not entered" },
    PCIE_LINK_CONTROL_STATUS: {
      rules: ["reset", "reset-after-use", "read-only"],
      reason: "7.5.3.8: the link is active, something is below; Link Disable (7.5.3.7) takes it down",
    },
    PCIE_SLOT_CONTROL_STATUS: { rules: ["reset", "reset-after-use"], reason: "7.5.3.11: something is in the slot" },
  },
});
