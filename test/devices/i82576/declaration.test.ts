import { describeDeclaration, fuzzDevice } from "../../registers/harness.ts";
import { buildI82576 } from "./device.ts";

describeDeclaration("82576", buildI82576, { exempt: {} });
fuzzDevice("82576", buildI82576, { accesses: 20_000 });
