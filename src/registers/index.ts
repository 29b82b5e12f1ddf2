export { type BankOptions, type FieldMask, type Hooks, type HooksOf, RegisterBank } from "./bank.ts";
export * from "./declare.ts";
