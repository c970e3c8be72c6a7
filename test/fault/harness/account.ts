/** The account of a run: each request is opened once and settled once, and each answer is held against what the body truly is. */

import type { Exchange } from "./counting-client.ts";
import { isSuccess, type RestAnswer, readRestAnswer, type Said } from "./rest-answer.ts";
import type { Subject } from "./subjects.ts";

export interface Settled {
  readonly subjects: readonly Subject[];
  readonly exchange: Exchange;
  /** Null where no whole answer came. */
  readonly answer: RestAnswer | null;
}

export interface Totals {
  readonly opened: number;
  /** Requests whose every body got a verdict. */
  readonly verdicts: number;
  /** Requests answered by an error for at least one body, or for the whole request. */
  readonly errors: number;
  /** Requests that the client itself ended. */
  readonly left: number;
  /** Requests that got neither an answer nor were left: there must be none. */
  readonly broken: number;
  readonly bodies: Readonly<Record<Said, number>>;
  readonly infectedBodies: number;
  readonly slowestMs: number;
  readonly statuses: Readonly<Record<string, number>>;
}

export interface Account {
  /** Counts a request from before it is sent until it is settled. */
  request(subjects: readonly Subject[], send: () => Promise<Exchange>): Promise<Settled>;
  totals(): Totals;
  /** What must never be, in words; each names the body. */
  readonly faults: {
    /** I1 */
    readonly cleanThatIsNot: string[];
    /** I2: more results than bodies, or fewer and no error. */
    readonly miscounted: string[];
    /** I3 */
    readonly mixedUp: string[];
    /** I4 */
    readonly wronglyRemembered: string[];
    /** I6 */
    readonly passedUnmarked: string[];
    /** Clean bodies that were refused: a false alarm is no danger, but no right verdict either. */
    readonly falseAlarms: string[];
  };
}

interface Memory {
  open: number;
  hasVerdict: boolean;
  hasLeft: boolean;
}

export interface AccountOptions {
  /** Whether the gateway's settings let pass what is unscannable, marked. */
  readonly isRelaxed?: boolean;
  /** Whether clean bodies may be refused as ones that nobody can see into: those that were being scanned as clamd was killed, twice. */
  readonly mayDoubt?: boolean;
}

export function openAccount({ isRelaxed = false, mayDoubt = false }: AccountOptions = {}): Account {
  let opened = 0;
  let verdicts = 0;
  let errors = 0;
  let left = 0;
  let broken = 0;
  let infectedBodies = 0;
  let slowestMs = 0;
  const bodies = { clean: 0, infected: 0, unscannable: 0, error: 0 };
  const statuses: Record<string, number> = {};
  const seen = new Map<string, Memory>();
  const faults: Account["faults"] = {
    cleanThatIsNot: [],
    miscounted: [],
    mixedUp: [],
    wronglyRemembered: [],
    passedUnmarked: [],
    falseAlarms: [],
  };

  function memoryOf({ sha256 }: Subject): Memory {
    const known = seen.get(sha256) ?? { open: 0, hasVerdict: false, hasLeft: false };
    seen.set(sha256, known);
    return known;
  }

  function judge({ subjects, answer }: Settled): void {
    if (answer === null) return;
    const [only, ...others] = subjects;
    const { status, said, descriptions, fileNames, sha256, isCached, allowedFor } = answer;
    for (const one of said) bodies[one] += 1;
    const isVerdict = said.length > 0 && !said.includes("error");
    if (isVerdict) verdicts += 1;
    else errors += 1;
    const label = (subject: Subject) => `${subject.name} (${subject.sha256}) was answered ${status} ${said.join()}`;
    // Without a result for each body none of them may be taken for clean by a client that looks at the status alone.
    if (isSuccess(status) && said.length < subjects.length) faults.cleanThatIsNot.push(subjects.map(label).join("; "));
    // Without subjects the request's bodies are nobody's to judge here.
    const isCounted = subjects.length > 0 && !said.includes("error");
    if (isCounted && said.length !== subjects.length) faults.miscounted.push(subjects.map(label).join("; "));
    for (const [index, subject] of subjects.entries()) {
      const one = said[index];
      const isAllowed = isRelaxed && subject.truth === "unscannable" && allowedFor !== null;
      const isPassed = one === "clean" || isSuccess(status);
      if (isPassed && subject.truth !== "clean" && !isAllowed) faults.cleanThatIsNot.push(label(subject));
      if (isPassed && subject.truth === "unscannable" && !isAllowed) faults.passedUnmarked.push(label(subject));
      const isAlarm = one === "infected" || (one === "unscannable" && !mayDoubt);
      if (isAlarm && subject.truth === "clean") faults.falseAlarms.push(label(subject));
      const fileName = fileNames[index] ?? subject.name;
      const isOther = fileName !== subject.name || (one === "infected" && descriptions[index] === subject.isNotNamed);
      if (isOther) faults.mixedUp.push(`${label(subject)} as ${fileName}, ${descriptions[index]}`);
    }
    if (only === undefined || others.length > 0) return;
    // Whoever has read the whole body tells which one it was; an error may come before that.
    const isOwn = sha256 === only.sha256 || (sha256 === null && !(said[0] === "clean" || said[0] === "infected"));
    if (!isOwn) faults.mixedUp.push(`${label(only)} with the digest ${sha256}`);
    const memory = memoryOf(only);
    // Shared with a request under way, or remembered of one that had a verdict (its client may have left): else from nowhere.
    const isOfNobody = memory.open === 0 && !memory.hasVerdict && !memory.hasLeft;
    if (isCached && isOfNobody && said[0] !== "unscannable") faults.wronglyRemembered.push(label(only));
  }

  return {
    async request(subjects, send) {
      opened += 1;
      for (const subject of subjects) {
        if (subject.truth === "infected") infectedBodies += 1;
        memoryOf(subject).open += 1;
      }
      const exchange = await send();
      for (const subject of subjects) memoryOf(subject).open -= 1;
      const answer = exchange.answer === null ? null : readRestAnswer(exchange.answer);
      const settled: Settled = { subjects, exchange, answer };
      slowestMs = Math.max(slowestMs, exchange.elapsedMs);
      const status = answer === null ? (exchange.hasLeft ? "left" : `broken: ${exchange.fault}`) : String(answer.status);
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (answer === null && exchange.hasLeft) left += 1;
      else if (answer === null) broken += 1;
      judge(settled);
      for (const [index, subject] of subjects.entries()) {
        const memory = memoryOf(subject);
        memory.hasLeft ||= answer === null;
        memory.hasVerdict ||= answer?.said[index] === "clean" || answer?.said[index] === "infected";
      }
      return settled;
    },
    totals: () => ({
      opened,
      verdicts,
      errors,
      left,
      broken,
      bodies: { ...bodies },
      infectedBodies,
      slowestMs,
      statuses: { ...statuses },
    }),
    faults,
  };
}
