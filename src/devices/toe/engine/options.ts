/** Socket options: ranges, and where they are kept. */
import type { Outcome, SocketOption } from "./api.ts";
import type { AnySocket } from "./engine.ts";
import { type Connection, LISTEN } from "./tcp/connection.ts";
import type { Tcp } from "./tcp/tcp.ts";

type Kept =
  | "noDelay"
  | "keepAlive"
  | "keepIdle"
  | "keepInterval"
  | "keepCount"
  | "sendBuffer"
  | "receiveBuffer"
  | "cubic"
  | "ecn"
  | "sack"
  | "timestamps"
  | "windowScale"
  | "mssLimit"
  | "delayedAck"
  | "userTimeout"
  | "hopLimit"
  | "trafficClass";

interface Rule {
  readonly field: Kept;
  readonly least: number;
  readonly most: number;
  /** Part of what SYNs agree on: only before the connection is opened. */
  readonly early?: boolean;
}

const RULES: { readonly [option in Exclude<SocketOption, "state">]: Rule } = {
  "no-delay": { field: "noDelay", least: 0, most: 1 },
  "keep-alive": { field: "keepAlive", least: 0, most: 1 },
  "keep-idle": { field: "keepIdle", least: 1, most: 32_767 },
  "keep-interval": { field: "keepInterval", least: 1, most: 32_767 },
  "keep-count": { field: "keepCount", least: 1, most: 127 },
  "send-buffer": { field: "sendBuffer", least: 2048, most: 16_777_216 },
  "receive-buffer": { field: "receiveBuffer", least: 2048, most: 16_777_216 },
  congestion: { field: "cubic", least: 0, most: 1 },
  ecn: { field: "ecn", least: 0, most: 1, early: true },
  sack: { field: "sack", least: 0, most: 1, early: true },
  timestamps: { field: "timestamps", least: 0, most: 1, early: true },
  "window-scale": { field: "windowScale", least: 0, most: 1, early: true },
  mss: { field: "mssLimit", least: 64, most: 9176, early: true },
  "delayed-ack": { field: "delayedAck", least: 0, most: 500 },
  "user-timeout": { field: "userTimeout", least: 0, most: 0x7fff_ffff },
  "hop-limit": { field: "hopLimit", least: 1, most: 255 },
  "traffic-class": { field: "trafficClass", least: 0, most: 255 },
};

export function setOption(t: Tcp, s: AnySocket, option: SocketOption, value: number): Outcome<void> {
  if (option === "state") return { ok: false, error: "invalid" };
  const rule = RULES[option];
  if (rule === undefined || !Number.isInteger(value) || value < rule.least || value > rule.most)
    return { ok: false, error: "invalid" };
  if (s.kind === "udp") {
    if (option === "receive-buffer") s.receiveBuffer = value;
    else if (option === "hop-limit") s.hopLimit = value;
    else if (option === "traffic-class") s.trafficClass = value;
    else return { ok: false, error: "invalid" };
    return { ok: true, value: undefined };
  }
  if (rule.early && s.state > LISTEN) return { ok: false, error: "wrong-state" };
  s[rule.field] = value;
  if (option === "keep-alive" || option === "keep-idle") t.keepAlive(s);
  return { ok: true, value: undefined };
}

/** Of an open connection "mss", "sack" and so on are what was agreed on. */
export function getOption(s: AnySocket, option: SocketOption): Outcome<number> {
  if (s.kind === "udp") {
    if (option === "receive-buffer") return { ok: true, value: s.receiveBuffer };
    if (option === "hop-limit") return { ok: true, value: s.hopLimit };
    if (option === "traffic-class") return { ok: true, value: s.trafficClass };
    return { ok: false, error: "invalid" };
  }
  if (option === "state") return { ok: true, value: s.state };
  const rule = RULES[option];
  if (rule === undefined) return { ok: false, error: "invalid" };
  return { ok: true, value: (s.state > LISTEN ? agreed(s, option) : undefined) ?? s[rule.field] };
}

function agreed(c: Connection, option: SocketOption): number | undefined {
  switch (option) {
    case "mss":
      return c.smss;
    case "sack":
      return c.sackOk;
    case "timestamps":
      return c.tsOk;
    case "ecn":
      return c.ecnOk;
    case "window-scale":
      return c.scaleOk;
    default:
      return undefined;
  }
}
