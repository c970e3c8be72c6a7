/** What is said with one clamd client: its commands are read, and each is answered once, in its turn and its time (clamd-front.md 2-4). */

import type { Socket } from "node:net";
import {
  type Frame,
  framed,
  invalidInSession,
  type OnError,
  plainInSession,
  readTimedOut,
  unavailableCommand,
  unknownCommand,
} from "../../codec/clamd/answer.ts";
import { type ClamdCommand, type CommandForm, type RequestEvent, RequestReader } from "../../codec/clamd/request.ts";
import { ClamgateError } from "../../core/errors.ts";
import type { Emit } from "../../core/events.ts";
import { Pace } from "../../core/pace.ts";
import { type CommandParts, courseOf } from "./commands.ts";
import { type PathLinesOptions, pathLines } from "./path-lines.ts";
import { clientGone, type Peer, restBounds, StreamedBody, type StreamedBodyParts } from "./streamed-body.ts";
import { type LingerBounds, shortLinger, type Talk, Wire } from "./wire.ts";

/** What all conversations share. */
export interface ConversationParts
  extends StreamedBodyParts,
    CommandParts,
    Pick<PathLinesOptions, "roots" | "walkLimits" | "walkTurns"> {
  /** For the first command to be whole. */
  readonly commandTimeoutMs: number;
  /** Without a byte, in a body or between the commands of a session. */
  readonly readTimeoutMs: number;
  /** Of a body; 0: any rate. */
  readonly minBytesPerSecond: number;
  /** For an answer to be taken. */
  readonly answerTimeoutMs: number;
  readonly emit: Emit;
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
  /** The one that is coming in. */
  #body: StreamedBody | null = null;
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
    if (this.#body?.answer) return this.#body.restDue(this.#wire.lastByteAt);
    const { clock, commandTimeoutMs } = this.#parts;
    const due = this.#pace === null ? this.#openedAt + commandTimeoutMs : clock() + this.#pace.remainingMs();
    return this.#reader.isInPlain ? Math.min(due, this.#wire.lastByteAt + plainPauseMs) : due;
  }

  late(now: number): void {
    const { emit, commandTimeoutMs } = this.#parts;
    if (!this.#isTaking) return;
    if (this.#body?.answer) {
      if (now >= this.due()) this.#endRest(this.#body.answer);
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
    if (this.#body === null) this.#close(readTimedOut, restBounds(this.#parts.maxBytes));
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
    this.#body?.arrived();
    this.#flow();
  }

  /** True while the next event has to wait: for the spool, for a verdict, or for the client to take its answers. */
  #isBlocked(): boolean {
    if (this.#body !== null) return this.#body.isFull;
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
        this.#body?.append(event.bytes, event.announcedBytes);
        if (this.#body?.answer && this.#body.isRestTooLong) this.#endRest(this.#body.answer);
        break;
      case "body-end":
        if (this.#body !== null) this.#endBody(this.#body);
    }
  }

  /** Nothing more comes, or is to be taken: as END in a session, and too early within a body. */
  #endInput(): void {
    const body = this.#body;
    if (body === null) this.#takeNoMore();
    else if (body.answer === null) this.#fail(body, new ClamgateError("malformed", "The stream ended early"));
    else this.#endRest(body.answer);
  }

  #obey(command: ClamdCommand): void {
    const { name, form } = command;
    const { emit } = this.#parts;
    emit({ kind: "clamd-command", command: name });
    this.#pace ??= this.#newPace(0);
    const course = courseOf(command, this.#isSession, this.#parts);
    switch (course.kind) {
      case "reply":
        this.#give(framed(course.line, this.#nextFrame(form)));
        break;
      case "refuse":
        this.#refuse(form, course.line);
        break;
      case "unavailable":
        emit({ kind: "clamd-refused", reason: "command", peer: this.#peer.name, detail: name });
        this.#refuse(form, unavailableCommand);
        break;
      case "body":
        this.#openBody(this.#nextFrame(form));
        break;
      case "paths":
        void this.#scanPath(command, this.#nextFrame(form));
        break;
      case "session":
        this.#isSession = true;
        this.#lastForm = form;
        break;
      case "end":
        this.#takeNoMore();
    }
  }

  #refuseUnknown(form: CommandForm, text: Buffer): void {
    const { emit } = this.#parts;
    emit({ kind: "clamd-command", command: "other" });
    emit({ kind: "clamd-refused", reason: "unknown", peer: this.#peer.name, detail: text.toString("latin1") });
    if (this.#isSession) this.#refuse(form, form === "plain" ? plainInSession : invalidInSession);
    else this.#refuse(form, unknownCommand);
  }

  /** The old style has no place in a session, and is answered in the form of the command before. */
  #nextFrame(form: CommandForm): Frame {
    if (!this.#isSession) return { form, id: null };
    this.#lastId += 1;
    if (form !== "plain") this.#lastForm = form;
    return { form: this.#lastForm, id: this.#lastId };
  }

  #refuse(form: CommandForm, line: string): void {
    this.#give(framed(line, this.#nextFrame(form)), { isLast: true });
  }

  /** @param text is null where the connection ends in place of an answer. */
  #give(text: string | null, { isLast = !this.#isSession, bounds = shortLinger } = {}): void {
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
    this.#body?.giveUp();
    this.#body = null;
  }

  #endIfDone(): void {
    if (!this.#isTaking && this.#pending === 0) this.#close(null, shortLinger);
  }

  #close(text: string | null, bounds: LingerBounds): void {
    this.#isTaking = false;
    this.#wire.end(text, bounds);
  }

  #newPace(minBytesPerSecond: number): Pace {
    const { readTimeoutMs, clock } = this.#parts;
    return new Pace({ idleTimeoutMs: readTimeoutMs, minBytesPerSecond, clock });
  }

  #openBody(frame: Frame): void {
    this.#pace = this.#newPace(this.#parts.minBytesPerSecond);
    this.#body = new StreamedBody({
      peer: this.#peer,
      onError: this.#onError,
      frame,
      signal: this.#gone.signal,
      parts: this.#parts,
      onRoom: () => this.#advance(),
      onAnswer: (body, text) => this.#conclude(body, text),
    });
  }

  #endBody(body: StreamedBody): void {
    this.#body = null;
    if (this.#isSession) this.#pace = this.#newPace(0);
    else this.#isTaking = false;
    if (body.answer === null) this.#pending += 1;
    body.finish();
    if (body.answer !== null) this.#give(body.answer.text);
  }

  /** The body comes to no end, and nothing is taken behind it. */
  #fail(body: StreamedBody, error: ClamgateError): void {
    this.#isTaking = false;
    body.fail(error);
    this.#flow();
  }

  #conclude(body: StreamedBody, text: string | null): void {
    if (body.isWhole) {
      this.#pending -= 1;
      this.#give(text);
      this.#advance();
    } else if (this.#body !== body) {
      // It was given up, and nobody waits for its answer.
    } else if (this.#isSession && this.#isTaking) {
      // What is left of it comes first, and the next command behind that.
      body.skip(text);
      this.#advance();
    } else {
      this.#body = null;
      this.#give(text, { isLast: true, bounds: restBounds(this.#parts.maxBytes) });
    }
  }

  /** More of the body is left than is read for the sake of what may follow. */
  #endRest({ text }: { readonly text: string | null }): void {
    this.#body = null;
    this.#give(text, { isLast: true });
  }

  /** Never rejects: `pathLines` does not. */
  async #scanPath({ name, path }: ClamdCommand, frame: Frame): Promise<void> {
    this.#pending += 1;
    if (!this.#isSession) this.#isTaking = false;
    const asked = {
      requestId: this.#parts.uniqueId(),
      client: this.#peer.client,
      signal: this.#gone.signal,
      onError: this.#onError,
    };
    for await (const line of pathLines(name, path ?? Buffer.alloc(0), { ...this.#parts, ...asked })) {
      if (this.#wire.isOver) break;
      this.#wire.send(framed(line, frame));
      await this.#wire.room();
    }
    this.#pending -= 1;
    this.#endIfDone();
    this.#advance();
  }
}
