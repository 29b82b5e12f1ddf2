import { describeDeclaration, fuzzDevice } from "../../registers/harness.ts";
import { buildSp804, devices } from "./device.ts";

describeDeclaration("SP804", buildSp804);
for (const [name, factory] of Object.entries(devices)) fuzzDevice(name, factory);
