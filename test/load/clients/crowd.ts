/** Connections that cost a server room and give it nothing to do: idle ones, heads and bodies that come a byte a second. */

import { connect, type Socket } from "node:net";

export interface CrowdPlan {
  /** Of the gateway's REST front. */
  readonly port: number;
  /** Kept alive after one request. */
  readonly idle: number;
  /** Heads of requests that do not end. */
  readonly heads: number;
  /** Bodies of uploads that do not end. */
  readonly bodies: number;
  /** At most so many connections are opened in a second. */
  readonly perSecond: number;
}

export interface CrowdState {
  readonly open: number;
  /** Requests that never end and were answered all the same, or whose connection was ended. */
  readonly cut: Readonly<Record<Kind, number>>;
  /** The longest that one of them was waited for, or is. */
  readonly oldestMs: Readonly<Record<Kind, number>>;
  /** Connections that could not be opened. */
  readonly refused: readonly string[];
}

const kinds = ["idle", "heads", "bodies"] as const;
type Kind = (typeof kinds)[number];

interface Member {
  readonly kind: Kind;
  readonly since: number;
  isCut: boolean;
}

/** Thousands of clients are independent of each other: what they send does not come at ten moments of each second, but all the time. */
const tickMs = 10;
const ticksPerByte = 100;
const beginnings: Readonly<Record<Kind, string>> = {
  idle: "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
  heads: "POST /v2/scan HTTP/1.1\r\nHost: x\r\nX-Slow: ",
  bodies: "POST /scanHandlerBody HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n",
};

export class Crowd {
  readonly #plan: CrowdPlan;
  readonly #members = new Map<Socket, Member>();
  readonly #missing: Kind[] = [];
  /** Those who send a byte, by when in a second they do. */
  readonly #turns: readonly Set<Socket>[] = Array.from({ length: ticksPerByte }, () => new Set());
  readonly #cut: Record<Kind, number> = { idle: 0, heads: 0, bodies: 0 };
  readonly #oldestMs: Record<Kind, number> = { idle: 0, heads: 0, bodies: 0 };
  readonly #refused: string[] = [];
  #whenWhole: (() => void) | null = null;
  #timer: NodeJS.Timeout | null = null;
  #opened = 0;
  #connecting = 0;
  #startedAt = 0;
  #tick = 0;

  constructor(plan: CrowdPlan) {
    this.#plan = plan;
    const most = Math.max(...kinds.map((kind) => plan[kind]));
    for (let index = 0; index < most; index += 1) {
      for (const kind of kinds) if (index < plan[kind]) this.#missing.push(kind);
    }
  }

  /** Resolves when every connection has been opened once. */
  async gather(): Promise<CrowdState> {
    const whole = new Promise<void>((resolve) => {
      this.#whenWhole = resolve;
    });
    this.#startedAt = performance.now();
    this.#timer = setInterval(() => this.#beat(), tickMs);
    await whole;
    return this.state();
  }

  state(): CrowdState {
    for (const member of this.#members.values()) this.#aged(member);
    return { open: this.#members.size, cut: { ...this.#cut }, oldestMs: { ...this.#oldestMs }, refused: this.#refused };
  }

  disperse(): CrowdState {
    const last = this.state();
    if (this.#timer !== null) clearInterval(this.#timer);
    for (const socket of this.#members.keys()) socket.removeAllListeners("close").destroy();
    this.#members.clear();
    return last;
  }

  /** Makes up for ticks that came late. */
  #beat(): void {
    const now = Math.floor((performance.now() - this.#startedAt) / tickMs);
    for (; this.#tick < now; this.#tick += 1) {
      const opened = (tick: number) => Math.floor((tick * tickMs * this.#plan.perSecond) / 1000);
      for (const kind of this.#missing.splice(0, opened(this.#tick + 1) - opened(this.#tick))) this.#open(kind);
      for (const socket of this.#turns[this.#tick % ticksPerByte] ?? []) socket.write("x");
    }
  }

  #open(kind: Kind): void {
    this.#connecting += 1;
    this.#opened += 1;
    // One address would run out of ports: those of closed connections stay taken for a minute.
    const localAddress = `127.0.0.${2 + (this.#opened % 16)}`;
    const socket = connect({ host: "127.0.0.1", port: this.#plan.port, localAddress, noDelay: true });
    const member: Member = { kind, since: performance.now(), isCut: false };
    const turn = kind === "idle" ? null : this.#turns[this.#opened % ticksPerByte];
    let isOpen = false;
    socket.on("connect", () => {
      isOpen = true;
      this.#connecting -= 1;
      this.#members.set(socket, member);
      turn?.add(socket);
      socket.write(beginnings[kind]);
      if (this.#missing.length === 0 && this.#connecting === 0) this.#whenWhole?.();
    });
    socket.on("error", (error) => {
      if (!isOpen) this.#refused.push(error.message);
    });
    // Whoever trickles for its own sake does not go when it is told to: its bytes go on until the connection is ended.
    socket.on("data", () => {
      if (kind !== "idle") this.#cutOff(member);
    });
    socket.on("end", () => socket.destroy());
    socket.on("close", () => {
      if (isOpen) this.#cutOff(member);
      else this.#connecting -= 1;
      this.#members.delete(socket);
      turn?.delete(socket);
      this.#missing.push(kind);
    });
  }

  #cutOff(member: Member): void {
    if (member.isCut) return;
    this.#aged(member);
    this.#cut[member.kind] += 1;
    member.isCut = true;
  }

  #aged({ kind, since, isCut }: Member): void {
    if (!isCut) this.#oldestMs[kind] = Math.max(this.#oldestMs[kind], performance.now() - since);
  }
}
