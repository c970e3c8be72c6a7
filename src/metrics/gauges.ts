/** What is true right now: slots, queue, backends, spool, signatures. */

import { Counter, Gauge, type Registry } from "@prometheus-io/client";
import type { Spool } from "../core/spool.ts";
import type { EngineVersion } from "../core/verdict.ts";

/** The state of the gateway at one moment. */
export interface GaugeSnapshot {
  readonly slots: { readonly inUse: number; readonly total: number };
  /** Scans that wait for a slot. */
  readonly queueLength: number;
  readonly backends: {
    readonly up: number;
    readonly down: number;
    /** Of those that are up: late with their proof, and given no more for now. */
    readonly busy: number;
    /** Of those that are up: given no scans, since another one has newer signatures or reports more. */
    readonly behind: number;
    /** Whose clamd.conf lacks a line without which it calls clean what it skips. */
    readonly lacking: number;
  };
  /** Connections to the ICAP server. */
  readonly icapConnections: number;
  readonly spool: ReturnType<Spool["usage"]>;
  /** Open now. */
  readonly clamdConnections: number;
  readonly signatures: {
    /** When the loaded daily database was built; null when none is loaded. */
    readonly builtAt: Date | null;
    readonly isTestOnly: boolean;
    /** Files of the directory, or the whole of it, that are not in use as they are. */
    readonly keptOut: number;
  };
  /** `Engine.version()`. */
  readonly engine: EngineVersion | null;
  /** Since the start. */
  readonly lostLogLines: number;
}

export interface GaugesOptions {
  readonly registry: Registry;
  readonly version: string;
  readonly now: () => number;
}

export function createGauges(options: GaugesOptions): (snapshot: GaugeSnapshot) => void {
  const { registry, version, now } = options;
  const gauge = (name: string, help: string) => new Gauge({ name: `clamgate_${name}`, help, registers: [registry] });
  const labelled = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Gauge({ name: `clamgate_${name}`, help, labelNames, registers: [registry] });

  const slotsInUse = gauge("slots_in_use", "Engine slots that a scan occupies, abandoned scans included.");
  const slotsTotal = gauge("slots", "Engine slots of all backends that are up.");
  const queueLength = gauge("queue_length", "Scans that wait for an engine slot.");
  const backends = labelled("backends", "Backends by state.", ["state"]);
  const busy = gauge("backends_busy", "Backends that are up and late with their proof: they have more to do than they can.");
  const behind = gauge("backends_behind", "Backends that get no scans, since another one has newer signatures or reports more.");
  const lacking = gauge("backends_lacking_alerts", "Given clamds whose clamd.conf has them call clean what they skip.");
  const icapConnections = gauge("icap_connections", "Connections to the ICAP server, with TLS and without.");
  const spoolBodies = gauge("spool_bodies", "Bodies held in the spool.");
  const spoolMemoryBytes = gauge("spool_memory_bytes", "Bytes of bodies held in memory.");
  const spoolFileBytes = gauge("spool_file_bytes", "Bytes of bodies held in files.");
  const clamdConnections = gauge("clamd_connections", "Connections to the clamd door.");
  const signatureAge = gauge("signature_age_seconds", "Age of the loaded daily database; absent when none is loaded.");
  const testOnly = gauge("signatures_test_only", "1 when nothing but the built-in test signatures is loaded, else 0.");
  const keptOut = gauge("signatures_kept_out", "Signature files that do not load, or not whole; a whole set counts as one.");
  const lostLogLines = new Counter({
    name: "clamgate_log_lines_lost_total",
    help: "Lines of the log that were left out because nobody read them or they could not be written.",
    registers: [registry],
  });
  const engineLabels = ["engine", "database", "tag"] as const;
  const engineInfo = labelled("engine_info", "The engine and the signatures that verdicts come from, always 1.", engineLabels);
  labelled("build_info", "The gateway's version and its runtime's, always 1.", ["version", "node"]).set(
    { version, node: process.versions.node },
    1,
  );

  return (snapshot) => {
    slotsInUse.set(snapshot.slots.inUse);
    slotsTotal.set(snapshot.slots.total);
    queueLength.set(snapshot.queueLength);
    backends.set({ state: "up" }, snapshot.backends.up);
    backends.set({ state: "down" }, snapshot.backends.down);
    busy.set(snapshot.backends.busy);
    behind.set(snapshot.backends.behind);
    lacking.set(snapshot.backends.lacking);
    icapConnections.set(snapshot.icapConnections);
    spoolBodies.set(snapshot.spool.bodies);
    spoolMemoryBytes.set(snapshot.spool.memoryBytes);
    spoolFileBytes.set(snapshot.spool.fileBytes);
    clamdConnections.set(snapshot.clamdConnections);
    const { builtAt, isTestOnly } = snapshot.signatures;
    // Without a database there is no age: 0 would look as fresh as can be.
    if (builtAt === null) signatureAge.remove();
    else signatureAge.set(Math.max(0, (now() - builtAt.getTime()) / 1000));
    testOnly.set(isTestOnly ? 1 : 0);
    keptOut.set(snapshot.signatures.keptOut);
    lostLogLines.reset();
    lostLogLines.inc(snapshot.lostLogLines);
    // Labels of the version before must not stay beside the new ones.
    engineInfo.reset();
    if (snapshot.engine === null) return;
    const { engine, database, tag } = snapshot.engine;
    engineInfo.set({ engine, database: String(database), tag }, 1);
  };
}
