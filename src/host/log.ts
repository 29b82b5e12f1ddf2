/**
 * Where records go. Guest errors are structured records of a pino logger with two sinks: a file of JSON lines, and text on standard error or
 * in the file of `-D`. Call sites pass numbers; text is made in the sink. Register traces are text of their own, one line an access.
 */
import { pino } from "pino";
import type { Declarations } from "../observe/index.ts";
import { formatGuestError, GuestErrorLog, RegisterTrace } from "../observe/index.ts";
import type { GuestError, Simulation } from "../sim/index.ts";
import { openOutput } from "./chardev/device.ts";
import type { RunOptions } from "./options/run-options.ts";

export interface Log {
  readonly guestErrors: GuestErrorLog;
  /** Writes out what is buffered. */
  flush(): void;
  close(): void;
}

type LogOptions = Pick<
  RunOptions,
  "logGuestErrors" | "logUnimplemented" | "logFile" | "guestErrorsFile" | "strict" | "trace" | "traceFile"
>;

export function attachLog(options: LogOptions, simulation: Simulation, declarations: Declarations): Log {
  const text = pino.destination({
    fd: options.logFile === undefined ? 2 : openOutput(options.logFile, false),
    sync: true,
  });
  const wholeText = options.guestErrorsFile !== undefined || options.strict;
  const showMistakes = wholeText || options.logGuestErrors;
  const showLimits = wholeText || options.logUnimplemented;
  const streams: pino.StreamEntry[] = [];
  if (options.guestErrorsFile !== undefined) {
    const fd = openOutput(options.guestErrorsFile, false);
    streams.push({ level: "info", stream: pino.destination({ fd, sync: true }) });
  }
  if (showMistakes || showLimits) {
    const textSink = {
      write: (line: string) => {
        const record = JSON.parse(line) as GuestError & { readonly level: string; readonly last?: boolean };
        if (record.kind === "unimplemented" ? !showLimits : !showMistakes) return;
        const more = record.last === true && record.kind !== "unimplemented" ? " (further ones are only counted)" : "";
        text.write(`${formatGuestError(record)}${more}\n`);
      },
    };
    streams.push({ level: "info", stream: textSink });
  }
  const logger = pino(
    {
      base: null,
      timestamp: false,
      formatters: { level: (label) => ({ level: label === "warn" ? "guest-error" : "limit" }) },
    },
    pino.multistream(streams),
  );
  const guestErrors = new GuestErrorLog(
    streams.length === 0
      ? []
      : [
          {
            record: (error, last) => {
              const record = last ? { ...error, last } : error;
              if (error.kind === "unimplemented") logger.info(record);
              else logger.warn(record);
            },
          },
        ],
  );
  const removers = [simulation.reporter.observe(guestErrors)];
  let traceText = text;
  let traced = false;
  if (options.trace.length > 0) {
    if (options.traceFile !== undefined) {
      traceText = pino.destination({ fd: openOutput(options.traceFile, false), sync: true, minLength: 65_536 });
    }
    const who = () => {
      const { initiator } = simulation;
      return initiator === null ? "" : `CPU ${initiator.cpu} at ${initiator.pc()}`;
    };
    const trace = new RegisterTrace(
      options.trace,
      declarations,
      (line) => {
        traced = true;
        traceText.write(`${line}\n`);
      },
      who,
    );
    removers.push(simulation.reporter.observe(trace));
  }
  return {
    guestErrors,
    // what is written at once needs none; flushing waits for the disk, so it is not done for nothing
    flush: () => {
      if (traceText !== text && traced) traceText.flushSync();
      traced = false;
    },
    close: () => {
      for (const remove of removers) remove();
      text.flushSync();
      if (traceText !== text) traceText.flushSync();
    },
  };
}
