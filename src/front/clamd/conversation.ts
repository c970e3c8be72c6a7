/** What is said with one clamd client: its commands are read, its bodies scanned, and each is answered once (clamd-front.md 2-4). */

import type { Socket } from "node:net";
import {
  commandsLine,
  errorLine,
  errorName,
  type Frame,
  foundLine,
  framed,
  invalidInSession,
  noDescriptor,
  type OnError,
  okLine,
  plainInSession,
  readTimedOut,
  statsLines,
  unavailableCommand,
  unknownCommand,
  versionLine,
} from "../../codec/clamd/answer.ts";
import {
  type ClamdCommand,
  type CommandForm,
  type CommandName,
  type RequestEvent,
  RequestReader,
} from "../../codec/clamd/request.ts";
import type { Clock } from "../../core/clock.ts";
import type { PoolStats } from "../../core/engine.ts";
import { ClamgateError, type ErrorCode, toClamgateError } from "../../core/errors.ts";
import type { Emit } from "../../core/events.ts";
import { Pace } from "../../core/pace.ts";
import { findings, type Scan, type ScannedBody } from "../../core/scan.ts";
import type { EngineVersion } from "../../core/verdict.ts";
import { IncomingBody } from "./incoming-body.ts";
import { type PathLinesOptions, pathLines } from "./path-lines.ts";
import { type LingerBounds, shortLinger, type Talk, Wire } from "./wire.ts";

/** What all conversations share. */
export interface ConversationParts extends Pick<PathLinesOptions, "roots" | "walkLimits" | "walkTurns"> {
  readonly scan: Scan;
  readonly engineVersion: () => EngineVersion | null;
  readonly poolStats: () => PoolStats;
  /** The limit of one body, which `scan` enforces; one that says it is larger is refused before its data has come. */
  readonly maxBytes: number;
  /** For the first command to be whole. */
  readonly commandTimeoutMs: number;
  /** Without a byte, in a body or between the commands of a session. */
  readonly readTimeoutMs: number;
  /** Of a body; 0: any rate. */
  readonly minBytesPerSecond: number;
  /** For an answer to be taken. */
  readonly answerTimeoutMs: number;
  readonly uniqueId: () => string;
  readonly emit: Emit;
  readonly clock: Clock;
}

export interface Peer {
  /** As `ScanOptions.client`. */
  readonly client: string;
  /** For the log: `address@port`, or `local`. */
  readonly name: string;
}

export interface ConversationOptions {
  readonly peer: Peer;
  readonly onError: OnError;
  readonly parts: ConversationParts;
}

/** An old-style command is whole when nothing follows for so long. */
const plainPauseMs = 100;
/** Of one session. */
const maxPending = 8;
const sessionCommands: ReadonlySet<CommandName> = new Set([
  "PING",
  "VERSION",
  "VERSIONCOMMANDS",
  "STATS",
  "INSTREAM",
  "SCAN",
  "FILDES",
]);
/** How the rest of a body is read on whose answer is known already. */
const skip = { maxMs: 60_000, idleMs: 5_000, maxBodies: 4 } as const;

/** `text` is null where the connection ends in place of an answer. */
interface Answer {
  readonly text: string | null;
  /** Nothing is taken behind it. */
  readonly isLast: boolean;
}

/** The body that is coming in. */
interface OpenBody {
  readonly incoming: IncomingBody;
  readonly frame: Frame;
  announcedBytes: number;
  isStarted: boolean;
  isWhole: boolean;
  /** Known before the end of the body, for which it waits in a session. */
  answer: Answer | null;
  answeredAt: number;
  skippedBytes: number;
}

export class Conversation implements Talk {
  readonly #wire: Wire;
  readonly #peer: Peer;
  readonly #onError: OnError;
  readonly #parts: ConversationParts;
  readonly #reader = new RequestReader();
  readonly #gone = new AbortController();
  readonly #openedAt: number;
  /** Of the client's sending; null until it has sent a command. */
  #pace: Pace | null = null;
  #isSession = false;
  #lastId = 0;
  #lastForm: CommandForm = "z";
  #body: OpenBody | null = null;
  /** Commands that have come whole and whose answer is out. */
  #pending = 0;
  /** False when no command is read any more: what comes is dropped. */
  #isTaking = true;
  #isInputOver = false;
  #droppedBytes = 0;

  constructor(socket: Socket, { peer, onError, parts }: ConversationOptions) {
    this.#peer = peer;
    this.#onError = onError;
    this.#parts = parts;
    this.#openedAt = parts.clock();
    this.#wire = new Wire(socket, this, parts);
    this.#wire.wake();
  }

  /** Takes no more commands, refuses a body that is not whole, and ends when what is pending has been answered. */
  drain(): void {
    if (!this.#isTaking) return;
    const body = this.#body;
    if (body !== null && body.answer === null) this.#fail(body, new ClamgateError("stopping", "The gateway is stopping"));
    else this.#endInput();
  }

  bytes(chunk: Buffer): void {
    this.#pace?.received(chunk.length);
    if (this.#isTaking) {
      this.#reader.push(chunk);
      this.#advance();
    } else {
      this.#droppedBytes += chunk.length;
      this.#flow();
    }
  }

  inputOver(): void {
    this.#isInputOver = true;
    this.#reader.endPlain();
    this.#advance();
  }

  due(): number {
    if (!this.#isTaking) return Number.POSITIVE_INFINITY;
    if (this.#body?.answer) return Math.min(this.#body.answeredAt + skip.maxMs, this.#wire.lastByteAt + skip.idleMs);
    const { clock, commandTimeoutMs } = this.#parts;
    const due = this.#pace === null ? this.#openedAt + commandTimeoutMs : clock() + this.#pace.remainingMs();
    return this.#reader.isInPlain ? Math.min(due, this.#wire.lastByteAt + plainPauseMs) : due;
  }

  late(now: number): void {
    const { emit, commandTimeoutMs } = this.#parts;
    if (!this.#isTaking) return;
    if (this.#body?.answer) {
      if (now >= this.due()) this.#endSkip(this.#body.answer);
      return;
    }
    if (this.#reader.isInPlain && now - this.#wire.lastByteAt >= plainPauseMs) {
      this.#reader.endPlain();
      this.#advance();
      return;
    }
    const isLate = this.#pace === null ? now - this.#openedAt >= commandTimeoutMs : this.#pace.isTooSlow();
    if (!isLate) return;
    emit({ kind: "clamd-read-timeout", peer: this.#peer.name });
    if (this.#body === null) this.#close(readTimedOut, this.#longLinger());
    else this.#fail(this.#body, new ClamgateError("client-slow", "The client sent too little for too long"));
  }

  roomAgain(): void {
    this.#advance();
  }

  closed(): void {
    this.#isTaking = false;
    if (this.#pending > 0 || this.#body !== null) this.#gone.abort(clientGone());
  }

  /** Takes what has come as far as it may be taken now. */
  #advance(): void {
    while (this.#isTaking && !this.#isBlocked()) {
      const event = this.#reader.next();
      if (event !== null) this.#take(event);
      else if (this.#isInputOver) this.#endInput();
      else break;
    }
    // Not before all that has come of it has been read: of most bodies that is the whole.
    if (this.#body !== null && this.#body.announcedBytes > 0) this.#start(this.#body);
    this.#flow();
  }

  /** True while the next event has to wait: for the spool, for a verdict, or for the client to take its answers. */
  #isBlocked(): boolean {
    if (this.#body !== null) return this.#body.incoming.isFull;
    return this.#pending >= maxPending || this.#wire.isFull;
  }

  #flow(): void {
    const isWanted = this.#isTaking ? !this.#isBlocked() : this.#droppedBytes <= shortLinger.maxBytes;
    this.#wire.read(isWanted);
    // Not held against the client: time in which we do not read, or in which it has verdicts to wait for.
    if (isWanted && this.#isTaking && this.#pending === 0) this.#pace?.wait();
    else this.#pace?.received(0);
    this.#wire.wake();
  }

  #take(event: RequestEvent): void {
    switch (event.kind) {
      case "command":
        this.#obey(event.command);
        break;
      case "unknown":
        this.#refuseUnknown(event.form, event.text);
        break;
      case "data":
        if (this.#body !== null) this.#takeData(this.#body, event.bytes, event.announcedBytes);
        break;
      case "body-end":
        if (this.#body !== null) this.#endBody(this.#body);
    }
  }

  /** Nothing more comes, or is to be taken: as END in a session, and too early within a body. */
  #endInput(): void {
    const body = this.#body;
    if (body !== null && body.answer === null) {
      this.#fail(body, new ClamgateError("malformed", "The stream ended early"));
      return;
    }
    this.#body = null;
    if (body?.answer) this.#give({ ...body.answer, isLast: true });
    else this.#takeNoMore();
  }

  #obey(command: ClamdCommand): void {
    const { name, form } = command;
    const { emit, engineVersion, poolStats, roots } = this.#parts;
    emit({ kind: "clamd-command", command: name });
    this.#pace ??= this.#newPace(0);
    if (this.#isSession && form !== "plain" && name === "END") {
      this.#takeNoMore();
      return;
    }
    if (this.#isSession && (form === "plain" || !sessionCommands.has(name))) {
      this.#refuseInSession(form);
      return;
    }
    const frame = this.#nextFrame(form);
    const ofVersion = (line: (version: EngineVersion) => string) => {
      const version = engineVersion();
      this.#reply(frame, version === null ? errorLine("engine-unavailable") : line(version));
    };
    switch (name) {
      case "PING":
        ofVersion(() => "PONG");
        break;
      case "VERSION":
        ofVersion(versionLine);
        break;
      case "VERSIONCOMMANDS":
        ofVersion((version) => commandsLine(version, { hasPaths: roots !== null }));
        break;
      case "STATS":
        this.#reply(frame, statsLines(poolStats()));
        break;
      case "INSTREAM":
        this.#openBody(frame);
        break;
      case "SCAN":
      case "CONTSCAN":
      case "MULTISCAN":
      case "ALLMATCHSCAN":
        this.#scanPath(command, frame);
        break;
      case "FILDES":
        // Node cannot receive a descriptor; the byte that carries it is dropped with all that follows.
        this.#refuse(frame, noDescriptor);
        break;
      case "IDSESSION":
        this.#isSession = true;
        this.#lastForm = form;
        break;
      case "DETSTATS":
      case "DETSTATSCLEAR":
        this.#takeNoMore();
        break;
      case "END":
        this.#refuse(frame, unknownCommand);
        break;
      case "RELOAD":
      case "SELFCHECK":
      case "SHUTDOWN":
      case "QUIT":
        emit({ kind: "clamd-refused", reason: "command", peer: this.#peer.name, detail: name });
        this.#refuse(frame, unavailableCommand);
    }
  }

  #nextFrame(form: CommandForm): Frame {
    if (!this.#isSession) return { form, id: null };
    this.#lastId += 1;
    this.#lastForm = form;
    return { form, id: this.#lastId };
  }

  #refuseUnknown(form: CommandForm, text: Buffer): void {
    const { emit } = this.#parts;
    emit({ kind: "clamd-command", command: "other" });
    emit({ kind: "clamd-refused", reason: "unknown", peer: this.#peer.name, detail: text.toString("latin1") });
    if (this.#isSession) this.#refuseInSession(form);
    else this.#refuse({ form, id: null }, unknownCommand);
  }

  /** The old style has no place in a session, and is answered in the form of the command before. */
  #refuseInSession(form: CommandForm): void {
    const isPlain = form === "plain";
    this.#refuse(this.#nextFrame(isPlain ? this.#lastForm : form), isPlain ? plainInSession : invalidInSession);
  }

  #reply(frame: Frame, line: string): void {
    this.#give({ text: framed(line, frame), isLast: !this.#isSession });
  }

  #refuse(frame: Frame, line: string): void {
    this.#give({ text: framed(line, frame), isLast: true });
  }

  #give({ text, isLast }: Answer, bounds = shortLinger): void {
    if (isLast || text === null) this.#stopTaking();
    if (!this.#isTaking && this.#pending === 0) this.#close(text, bounds);
    else if (text !== null) this.#wire.send(text);
  }

  #takeNoMore(): void {
    this.#stopTaking();
    this.#endIfDone();
  }

  /** A body that is on its way goes unanswered. */
  #stopTaking(): void {
    this.#isTaking = false;
    this.#body?.incoming.fail(clientGone());
    this.#body = null;
  }

  #endIfDone(): void {
    if (!this.#isTaking && this.#pending === 0) this.#close(null, shortLinger);
  }

  #close(text: string | null, bounds: LingerBounds): void {
    this.#isTaking = false;
    this.#wire.end(text, bounds);
  }

  #longLinger(): LingerBounds {
    return { maxMs: skip.maxMs, idleMs: skip.idleMs, maxBytes: skip.maxBodies * this.#parts.maxBytes };
  }

  #newPace(minBytesPerSecond: number): Pace {
    const { readTimeoutMs, clock } = this.#parts;
    return new Pace({ idleTimeoutMs: readTimeoutMs, minBytesPerSecond, clock });
  }

  #openBody(frame: Frame): void {
    this.#pace = this.#newPace(this.#parts.minBytesPerSecond);
    this.#body = {
      incoming: new IncomingBody(() => this.#advance()),
      frame,
      announcedBytes: 0,
      isStarted: false,
      isWhole: false,
      answer: null,
      answeredAt: 0,
      skippedBytes: 0,
    };
  }

  #takeData(body: OpenBody, bytes: Buffer, announcedBytes: number): void {
    if (body.answer !== null) {
      body.skippedBytes += bytes.length;
      if (body.skippedBytes > this.#longLinger().maxBytes) this.#endSkip(body.answer);
      return;
    }
    if (announcedBytes > this.#parts.maxBytes) {
      // Also how a client that has lost step shows: what it takes for data is read as a length (Cisco-Talos/clamav#1488).
      const detail = `${announcedBytes - body.announcedBytes} bytes announced behind ${body.announcedBytes}`;
      body.incoming.fail(new ClamgateError("too-large", "The body is larger than the limit", { detail }));
    }
    body.announcedBytes = announcedBytes;
    body.incoming.append(bytes);
  }

  #endBody(body: OpenBody): void {
    body.isWhole = true;
    body.incoming.finish();
    this.#body = null;
    if (this.#isSession) this.#pace = this.#newPace(0);
    else this.#isTaking = false;
    if (body.answer === null) {
      this.#pending += 1;
      this.#start(body);
    } else this.#give(body.answer);
  }

  #start(body: OpenBody): void {
    if (body.isStarted) return;
    body.isStarted = true;
    void this.#scan(body);
  }

  /** The body comes to no end, and nothing is taken behind it. */
  #fail(body: OpenBody, error: ClamgateError): void {
    body.incoming.fail(error);
    this.#isTaking = false;
    this.#start(body);
    this.#flow();
  }

  /** Never rejects. */
  async #scan(body: OpenBody): Promise<void> {
    const { scan, uniqueId } = this.#parts;
    const { client, name } = this.#peer;
    try {
      const scanned = await scan(body.incoming, {
        via: "clamd",
        requestId: uniqueId(),
        name: `instream(${name})`,
        client,
        signal: this.#gone.signal,
        expectedBytes: body.announcedBytes,
      });
      await scanned[Symbol.asyncDispose]();
      this.#conclude(body, { text: framed(verdictLine(scanned), body.frame), isLast: !this.#isSession });
    } catch (error) {
      this.#conclude(body, this.#failure(toClamgateError(error).code, body.frame));
    }
  }

  #failure(code: ErrorCode, frame: Frame): Answer {
    const isLast = !this.#isSession;
    switch (this.#onError) {
      case "error":
        return { text: code === "client-slow" ? readTimedOut : framed(errorLine(code), frame), isLast };
      case "close":
        return { text: null, isLast };
      case "found":
        return { text: framed(foundLine("stream", errorName(code)), frame), isLast };
    }
  }

  #conclude(body: OpenBody, answer: Answer): void {
    if (body.isWhole) {
      this.#pending -= 1;
      this.#give(answer);
      this.#advance();
    } else if (this.#body !== body) {
      // It was given up, and nobody waits for its answer.
    } else if (this.#isSession && this.#isTaking) {
      // What is left of it comes first, and the next command behind that.
      body.incoming.fail(clientGone());
      body.answer = answer;
      body.answeredAt = this.#parts.clock();
      this.#advance();
    } else {
      this.#body = null;
      this.#give({ ...answer, isLast: true }, this.#longLinger());
    }
  }

  /** More of the body is left than is read for the sake of what may follow. */
  #endSkip(answer: Answer): void {
    this.#body = null;
    this.#give({ ...answer, isLast: true });
  }

  #scanPath({ name, path }: ClamdCommand, frame: Frame): void {
    this.#pending += 1;
    if (!this.#isSession) this.#isTaking = false;
    void this.#writePathLines({ name, path: path ?? Buffer.alloc(0) }, frame);
  }

  /** Never rejects: `pathLines` does not. */
  async #writePathLines({ name, path }: { readonly name: CommandName; readonly path: Buffer }, frame: Frame): Promise<void> {
    const asked = {
      requestId: this.#parts.uniqueId(),
      client: this.#peer.client,
      signal: this.#gone.signal,
      onError: this.#onError,
    };
    for await (const line of pathLines(name, path, { ...this.#parts, ...asked })) {
      if (this.#wire.isOver) break;
      this.#wire.send(framed(line, frame));
      await this.#wire.room();
    }
    this.#pending -= 1;
    this.#endIfDone();
    this.#advance();
  }
}

/** The one place that says OK of a body. */
function verdictLine(scanned: Pick<ScannedBody, "report" | "decision">): string {
  return scanned.decision.isAllowed ? okLine("stream") : foundLine("stream", findings(scanned)[0] ?? "");
}

function clientGone(): ClamgateError {
  return new ClamgateError("client-gone", "The client went away");
}
