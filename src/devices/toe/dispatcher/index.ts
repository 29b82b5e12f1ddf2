export { Dispatcher, POLICY } from "./dispatcher.ts";
