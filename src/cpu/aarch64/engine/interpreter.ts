/**
 * The interpreter of one machine. The compiled module is shared by all machines that are given the same `InterpreterCode`.
 */
import type { Arena } from "../../../bus/arena.ts";
import { CodeCache, type CodeCacheOptions } from "./codecache.ts";
import { Decoder } from "./decode.ts";
import type { Handlers } from "./handlers.ts";
import type { InterpreterHost } from "./host.ts";
import { buildInterpreter } from "./interpreter-module.ts";
import { SLOT } from "./layout.ts";

/** The compiled modules; the one that steps is made when first asked for. */
export class InterpreterCode {
  readonly handlers: Handlers;
  readonly module: WebAssembly.Module;
  #stepModule: WebAssembly.Module | null = null;

  constructor() {
    const { bytes, handlers } = buildInterpreter(false);
    this.handlers = handlers;
    this.module = new WebAssembly.Module(bytes);
  }
  get stepModule(): WebAssembly.Module {
    this.#stepModule ??= new WebAssembly.Module(buildInterpreter(true).bytes);
    return this.#stepModule;
  }
}

type Run = (context: number) => number;

export class Interpreter {
  readonly codeCache: CodeCache;
  readonly #code: InterpreterCode;
  readonly #words: Int32Array;
  readonly #imports: WebAssembly.Imports;
  /**
   * Runs the CPU at arena address `context` from its PC until COUNT reaches LIMIT at a block end (RUN_LIMIT), a planted breakpoint
   * (RUN_BREAKPOINT), or the host leaves (its status).
   */
  readonly run: Run;
  #step: Run | null = null;

  constructor(
    code: InterpreterCode,
    arena: Arena,
    host: Omit<InterpreterHost, "decode">,
    options: CodeCacheOptions & { readonly absent?: ReadonlySet<string> } = {},
  ) {
    const cache = new CodeCache(arena, new Decoder(code.handlers, options.absent), options);
    this.#words = arena.words;
    this.codeCache = cache;
    this.#code = code;
    this.#imports = {
      env: {
        memory: arena.memory,
        fetch: (context: number) => host.fetch(context >>> 0),
        decode: (_context: number, slot: number) => cache.decode(slot >>> 0),
        load: (context: number, size: number) => host.load(context >>> 0, size),
        store: (context: number, size: number) => host.store(context >>> 0, size),
        sysreg: (context: number, encoding: number, write: number) => host.sysreg(context >>> 0, encoding, write),
        system: (context: number, kind: number) => host.system(context >>> 0, kind),
      },
    };
    this.run = this.#instantiate(code.module);
  }

  /** The instruction word that called out; only inside a call of the host. */
  wordAt(context: number): number {
    return this.codeCache.wordOf(this.#words[(context + SLOT) >>> 2] as number);
  }

  /** As `run`, but the limit is checked after each instruction. BLOCK_END says whether the last one ended a block. */
  get step(): Run {
    this.#step ??= this.#instantiate(this.#code.stepModule);
    return this.#step;
  }

  #instantiate(module: WebAssembly.Module): Run {
    const { run } = new WebAssembly.Instance(module, this.#imports).exports as { run: Run };
    return run;
  }
}
