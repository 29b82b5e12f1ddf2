/**
 * A small typed WebAssembly assembler: values are pieces of code with a type, control flow is structured, branch depths
 * are computed when a function is finished. Opcodes follow the WebAssembly core specification 2.0, section 5.4.
 */

export type ValueType = "i32" | "i64" | "f32" | "f64" | "v128";
export type BlockType = ValueType | "void";

const TYPE_CODE: Readonly<Record<BlockType, number>> = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
  void: 0x40,
};

/** Target of branches: the block or loop that bears it. */
export class Label {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

interface Structured {
  readonly kind: "block" | "loop" | "if";
  readonly label: Label;
  readonly type: BlockType;
  readonly body: Code;
  readonly otherwise?: Code;
  /** For `if`: whether the condition is expected to hold. */
  readonly hint?: boolean;
}
interface Branch {
  readonly kind: "br" | "br_if";
  readonly label: Label;
  readonly hint?: boolean;
}
interface Table {
  readonly kind: "br_table";
  readonly labels: readonly Label[];
  readonly fallback: Label;
}
/** Code in its final form, without branches to labels outside it. */
interface Raw {
  readonly kind: "raw";
  readonly bytes: Uint8Array;
  readonly hints: readonly (readonly [number, number])[];
}
export type Node = number | Structured | Branch | Table | Raw | Code;
export type Code = readonly Node[];

/** A piece of code that leaves one value of type T on the stack. */
export interface Value<T extends ValueType = ValueType> {
  readonly type: T;
  readonly code: Code;
}
export type I32 = Value<"i32">;
export type I64 = Value<"i64">;
export type F32 = Value<"f32">;
export type F64 = Value<"f64">;
export type V128 = Value<"v128">;

export function value<T extends ValueType>(type: T, ...code: Node[]): Value<T> {
  return { type, code };
}

export function unsigned(n: number): number[] {
  const out: number[] = [];
  let rest = n;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    out.push(rest > 0 ? low | 0x80 : low);
  } while (rest > 0);
  return out;
}

/** Signed LEB128 of the 64-bit value with the halves `low` and `high` (int32 each). */
export function signed(low: number, high: number = low >> 31): number[] {
  const out: number[] = [];
  let lo = low | 0;
  let hi = high | 0;
  for (;;) {
    const byte = lo & 0x7f;
    lo = (lo >>> 7) | (hi << 25);
    hi >>= 7;
    const done = (lo === 0 && hi === 0 && (byte & 0x40) === 0) || (lo === -1 && hi === -1 && (byte & 0x40) !== 0);
    out.push(done ? byte : byte | 0x80);
    if (done) return out;
  }
}

export const i32Const = (n: number): I32 => value("i32", 0x41, signed(n | 0));
export const i64Const = (low: number, high: number = low >> 31): I64 => value("i64", 0x42, signed(low, high));
export const f64Const = (n: number): F64 => value("f64", 0x44, ieee(8, n));
export const f32Const = (n: number): F32 => value("f32", 0x43, ieee(4, n));

function ieee(bytes: 4 | 8, n: number): number[] {
  const view = new DataView(new ArrayBuffer(8));
  if (bytes === 4) view.setFloat32(0, n, true);
  else view.setFloat64(0, n, true);
  return Array.from({ length: bytes }, (_, i) => view.getUint8(i));
}

export const unary =
  <A extends ValueType, R extends ValueType>(result: R, ...opcode: number[]) =>
  (a: Value<A>): Value<R> =>
    value(result, a.code, ...opcode);
export const binary =
  <A extends ValueType, B extends ValueType, R extends ValueType>(result: R, ...opcode: number[]) =>
  (a: Value<A>, b: Value<B>): Value<R> =>
    value(result, a.code, b.code, ...opcode);

/** A SIMD opcode: prefix 0xfd and an unsigned number. */
export const simd = (opcode: number): number[] => [0xfd, ...unsigned(opcode)];

/** `align` is the logarithm of the alignment hint; 0 everywhere, as guest accesses may be unaligned. */
export function load<T extends ValueType>(type: T, opcode: readonly number[], address: I32, offset = 0): Value<T> {
  return value(type, address.code, ...opcode, 0, unsigned(offset));
}
export function store(opcode: readonly number[], address: I32, v: Value, offset = 0): Code {
  return [address.code, v.code, ...opcode, 0, unsigned(offset)];
}

export const LOAD_I32 = [0x28];
export const LOAD_I64 = [0x29];
export const LOAD_U16 = [0x2f];
export const LOAD_U8 = [0x2d];
export const STORE_I32 = [0x36];
export const STORE_I64 = [0x37];

export const block = (label: Label, body: Code, type: BlockType = "void"): Node => ({
  kind: "block",
  label,
  type,
  body,
});
export const loop = (label: Label, body: Code): Node => ({ kind: "loop", label, type: "void", body });
export const br = (label: Label): Node => ({ kind: "br", label });
export function brIf(condition: I32, label: Label, hint?: boolean): Code {
  return [condition.code, hint === undefined ? { kind: "br_if", label } : { kind: "br_if", label, hint }];
}
export function brTable(index: I32, labels: readonly Label[], fallback: Label): Code {
  return [index.code, { kind: "br_table", labels, fallback }];
}
export function when(condition: I32, body: Code, otherwise?: Code, hint?: boolean): Code {
  return [condition.code, conditional("void", body, otherwise, hint)];
}
export function choose<T extends ValueType>(condition: I32, yes: Value<T>, no: Value<T>, hint?: boolean): Value<T> {
  return chooseCode(yes.type, condition, yes.code, no.code, hint);
}
/** As `choose`, for arms that hold statements before their value. */
export function chooseCode<T extends ValueType>(
  type: T,
  condition: I32,
  yes: Code,
  no: Code,
  hint?: boolean,
): Value<T> {
  return value(type, condition.code, conditional(type, yes, no, hint));
}
function conditional(type: BlockType, body: Code, otherwise: Code | undefined, hint: boolean | undefined): Node {
  return {
    kind: "if",
    label: new Label("if"),
    type,
    body,
    ...(otherwise ? { otherwise } : {}),
    ...(hint === undefined ? {} : { hint }),
  };
}

export const RETURN = 0x0f;
export const UNREACHABLE = 0x00;
export const DROP = 0x1a;
export const select = <T extends ValueType>(condition: I32, yes: Value<T>, no: Value<T>): Value<T> =>
  yes.type === "v128"
    ? value(yes.type, yes.code, no.code, condition.code, 0x1c, 1, TYPE_CODE.v128)
    : value(yes.type, yes.code, no.code, condition.code, 0x1b);

/** A local variable or parameter of a function. */
export class Local<T extends ValueType = ValueType> {
  readonly index: number;
  readonly type: T;
  constructor(index: number, type: T) {
    this.index = index;
    this.type = type;
  }
  get get(): Value<T> {
    return value(this.type, 0x20, unsigned(this.index));
  }
  set(v: Value<T>): Code {
    return [v.code, 0x21, unsigned(this.index)];
  }
  tee(v: Value<T>): Value<T> {
    return value(this.type, v.code, 0x22, unsigned(this.index));
  }
}

/** Bytes under construction. */
class Sink {
  #bytes = new Uint8Array(1 << 10);
  length = 0;

  push(byte: number): void {
    if (this.length === this.#bytes.length) this.#grow(this.length + 1);
    this.#bytes[this.length++] = byte;
  }
  unsigned(n: number): void {
    let rest = n;
    while (rest > 127) {
      this.push((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.push(rest);
  }
  append(bytes: ArrayLike<number>): void {
    if (this.length + bytes.length > this.#bytes.length) this.#grow(this.length + bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.length);
  }
  #grow(least: number): void {
    const larger = new Uint8Array(Math.max(least, 2 * this.#bytes.length));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

/** A function under construction, or an import; `index` is final from the start. */
export class Func {
  readonly index: number;
  readonly parameters: readonly ValueType[];
  readonly result: BlockType;
  #locals: ValueType[] = [];
  body: Code = [];

  constructor(index: number, parameters: readonly ValueType[], result: BlockType) {
    this.index = index;
    this.parameters = parameters;
    this.result = result;
  }
  parameter<T extends ValueType>(at: number, type: T): Local<T> {
    if (this.parameters[at] !== type) throw new Error(`parameter ${at} is not ${type}`);
    return new Local(at, type);
  }
  local<T extends ValueType>(type: T): Local<T> {
    this.#locals.push(type);
    return new Local(this.parameters.length + this.#locals.length - 1, type);
  }
  /** The same locals as `other`, so that code made for it fits here. */
  shareLocals(other: Func): void {
    this.#locals = other.#locals;
  }
  call(...args: Value[]): Code {
    if (args.some((a, i) => a.type !== this.parameters[i]) || args.length !== this.parameters.length) {
      throw new Error(`function ${this.index}: arguments ${args.map((a) => a.type)}, expected ${this.parameters}`);
    }
    return [args.map((a) => a.code), 0x10, unsigned(this.index)];
  }
  callValue<T extends ValueType>(type: T, ...args: Value[]): Value<T> {
    if (this.result !== type) throw new Error(`function ${this.index} returns ${this.result}, not ${type}`);
    return value(type, this.call(...args));
  }
  /** Body as in the code section, and the branch hints as (offset, likely). */
  finish(): { bytes: Uint8Array; hints: [number, number][] } {
    const out = new Sink();
    out.unsigned(this.#locals.length);
    for (const type of this.#locals) {
      out.push(1);
      out.push(TYPE_CODE[type]);
    }
    const hints: [number, number][] = [];
    write(this.body, out, [], hints);
    out.push(0x0b);
    return { bytes: out.bytes, hints };
  }
}

function depth(label: Label, stack: readonly Label[]): number {
  const at = stack.lastIndexOf(label);
  if (at < 0) throw new Error(`branch to "${label.name}" from outside it`);
  return stack.length - 1 - at;
}

function write(code: Code, out: Sink, stack: Label[], hints: [number, number][]): void {
  for (const node of code) {
    if (typeof node === "number") out.push(node);
    else if (isCode(node)) write(node, out, stack, hints);
    else if (node.kind === "raw") {
      for (const [at, likely] of node.hints) hints.push([out.length + at, likely]);
      out.append(node.bytes);
    } else if (node.kind === "br_table") {
      // labels are mostly those around, innermost first: look each up once
      const depths = new Map(stack.map((label, i) => [label, stack.length - 1 - i]));
      out.push(0x0e);
      out.unsigned(node.labels.length);
      for (const label of [...node.labels, node.fallback]) out.unsigned(depths.get(label) ?? depth(label, stack));
    } else if (!("body" in node)) {
      if (node.hint !== undefined) hints.push([out.length, node.hint ? 1 : 0]);
      out.push(node.kind === "br" ? 0x0c : 0x0d);
      out.unsigned(depth(node.label, stack));
    } else {
      if (node.hint !== undefined) hints.push([out.length, node.hint ? 1 : 0]);
      out.push(node.kind === "block" ? 0x02 : node.kind === "loop" ? 0x03 : 0x04);
      out.push(TYPE_CODE[node.type]);
      stack.push(node.label);
      write(node.body, out, stack, hints);
      if (node.otherwise) {
        out.push(0x05);
        write(node.otherwise, out, stack, hints);
      }
      stack.pop();
      out.push(0x0b);
    }
  }
}
/** Text that is equal for equal code; `labels` are those that the code may branch to from outside itself. */
export function codeKey(code: Code, labels: readonly Label[]): string {
  const out = new Sink();
  write(code, out, [...labels], []);
  return String.fromCharCode(...out.bytes);
}
/** The same code in its final form; it may branch to no label outside itself. */
export function settled(code: Code): Code {
  const out = new Sink();
  const hints: [number, number][] = [];
  write(code, out, [], hints);
  return [{ kind: "raw", bytes: out.bytes.slice(), hints }];
}
function isCode(node: Structured | Branch | Table | Raw | Code): node is Code {
  return Array.isArray(node);
}

/** One module: imports first, then functions; the memory is imported. */
export class ModuleBuilder {
  readonly #types: string[] = [];
  readonly #typeCodes: number[][] = [];
  readonly #imports: number[][] = [];
  readonly #functions: Func[] = [];
  readonly #exports: number[][] = [];
  #imported = 0;

  importMemory(module: string, name: string): void {
    this.#imports.push([...text(module), ...text(name), 2, 0, 1]);
  }
  importFunction(module: string, name: string, parameters: readonly ValueType[], result: BlockType): Func {
    if (this.#functions.length > 0) throw new Error("imports come before functions");
    this.#imports.push([...text(module), ...text(name), 0, ...unsigned(this.#type(parameters, result))]);
    return new Func(this.#imported++, parameters, result);
  }
  func(parameters: readonly ValueType[], result: BlockType): Func {
    const f = new Func(this.#imported + this.#functions.length, parameters, result);
    this.#functions.push(f);
    return f;
  }
  export(name: string, f: Func): void {
    this.#exports.push([...text(name), 0, ...unsigned(f.index)]);
  }

  finish(): Uint8Array<ArrayBuffer> {
    const bodies = this.#functions.map((f) => ({ f, ...f.finish() }));
    const types = this.#functions.map((f) => unsigned(this.#type(f.parameters, f.result)));
    const hinted = bodies.filter((b) => b.hints.length > 0);
    const out = new Sink();
    out.append([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    section(out, 1, this.#typeCodes);
    section(out, 2, this.#imports);
    section(out, 3, types);
    section(out, 7, this.#exports);
    if (hinted.length > 0) {
      const body = new Sink();
      body.append(text("metadata.code.branch_hint"));
      body.unsigned(hinted.length);
      for (const { f, hints } of hinted) {
        body.unsigned(f.index);
        body.unsigned(hints.length);
        for (const [at, likely] of hints) {
          body.unsigned(at);
          body.push(1);
          body.push(likely);
        }
      }
      out.push(0);
      out.unsigned(body.length);
      out.append(body.bytes);
    }
    const code = new Sink();
    code.unsigned(bodies.length);
    for (const { bytes } of bodies) {
      code.unsigned(bytes.length);
      code.append(bytes);
    }
    out.push(10);
    out.unsigned(code.length);
    out.append(code.bytes);
    return out.bytes.slice();
  }

  #type(parameters: readonly ValueType[], result: BlockType): number {
    const key = `${parameters}>${result}`;
    const known = this.#types.indexOf(key);
    if (known >= 0) return known;
    const results = result === "void" ? [0] : [1, TYPE_CODE[result]];
    this.#typeCodes.push([0x60, parameters.length, ...parameters.map((p) => TYPE_CODE[p]), ...results]);
    return this.#types.push(key) - 1;
  }
}

function section(out: Sink, id: number, items: readonly (readonly number[])[]): void {
  const body = new Sink();
  body.unsigned(items.length);
  for (const item of items) body.append(item);
  out.push(id);
  out.unsigned(body.length);
  out.append(body.bytes);
}
function text(s: string): number[] {
  return [...unsigned(s.length), ...Array.from(s, (c) => c.charCodeAt(0))];
}
