import { describeDeclaration, fuzzDevice } from "../../registers/harness.ts";
import { buildGic, buildGicDriven, buildGicSecure, buildVirtualization } from "./device.ts";

describeDeclaration("GICD", buildGic, {
  target: "distributor",
  exempt: {
    GICD_TYPER: {
      rules: ["reset", "reset-after-use"],
      reason: "4.3.2: tells the configuration (here 4 CPUs, 288 interrupts), which the declaration does not know",
    },
    GICD_ITARGETSR: {
      rules: ["reset", "reset-after-use"],
      reason: "4.3.12: the fields of private interrupts read as the CPU that reads them",
    },
  },
});
describeDeclaration("GICC", buildGic, { target: "cpuInterface" });
describeDeclaration("GICH", buildVirtualization, { target: "hypervisor" });
describeDeclaration("GICV", buildVirtualization, { target: "virtualCpu" });
fuzzDevice("GICv2, 4 CPUs", buildGicDriven);
fuzzDevice("GICv2 with Security Extensions, 2 CPUs", buildGicSecure);
fuzzDevice("GICv2 virtualization, 2 CPUs", buildVirtualization);
