/** `--expect` and `--send`: waits for text that the guest prints and types text in return. */
import type { ScriptStep } from "./options/run-options.ts";

export interface ScriptHost {
  /** Text to type, in Latin-1. */
  send(text: string): void;
  /** Host time in milliseconds. */
  now(): number;
}

export class Script {
  readonly #steps: readonly ScriptStep[];
  readonly #host: ScriptHost;
  #at = 0;
  /** Output since the last match, as far as a match can still begin in it. */
  #seen = "";
  #since = 0;
  #last = "";

  constructor(steps: readonly ScriptStep[], host: ScriptHost) {
    this.#steps = steps;
    this.#host = host;
  }

  get empty(): boolean {
    return this.#steps.length === 0;
  }
  get done(): boolean {
    return this.#at >= this.#steps.length;
  }
  /** Host time at which the current step has waited too long. */
  get deadline(): number {
    const step = this.#steps[this.#at];
    return step?.kind === "expect" ? this.#since + step.timeout * 1000 : Number.POSITIVE_INFINITY;
  }

  start(): void {
    this.#since = this.#host.now();
    this.#advance();
  }

  /** The guest has printed `text`. */
  output(text: string): void {
    this.#last = (this.#last + text).slice(-KEPT);
    if (this.done) return;
    this.#seen += text;
    this.#advance();
  }

  /** What it is waiting for, for messages. */
  get waitingFor(): string {
    const step = this.#steps[this.#at];
    if (step === undefined) return "nothing";
    return `${JSON.stringify(step.text)} (step ${this.#at + 1} of ${this.#steps.length})`;
  }
  /** The end of what the guest printed, for messages. */
  get lastOutput(): string {
    return this.#last;
  }

  #advance(): void {
    for (;;) {
      const step = this.#steps[this.#at];
      if (step === undefined) return;
      if (step.kind === "send") this.#host.send(step.text);
      else {
        const found = this.#seen.indexOf(step.text);
        if (found < 0) {
          this.#seen = this.#seen.slice(-Math.max(step.text.length - 1, 1));
          return;
        }
        this.#seen = this.#seen.slice(found + step.text.length);
      }
      this.#at++;
      this.#since = this.#host.now();
    }
  }
}

const KEPT = 400;
