/** The acceptance cases of clamd-front.md 8 that are told by what is sent and what is answered: for the door, and for clamd itself. */

import { chunk, end, instream, length, type Piece } from "./door-client.ts";

export interface Case {
  readonly id: string;
  readonly send: readonly Piece[];
  /** All bytes up to the end. */
  readonly answer: string | RegExp | readonly string[];
  /** Half-closes behind what was sent. */
  readonly finishes?: true;
  /** What clamd does that the door does not; null: it has nothing of the kind, or answers in its own time. */
  readonly clamd?: string | RegExp | null;
}

const tls = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/** @param infected a body that is found. @param name under this name. @param root a directory below SCAN_PATH_ROOTS, see `acceptanceFiles`. */
export function acceptanceCases({ infected: v, name, root }: { infected: string; name: string; root: string }): readonly Case[] {
  const unknown = "UNKNOWN COMMAND";
  return [
    ...["zPING\0", "nPING\n", "nPING\r\n", "PING\n", "PING\r\n", "PING"].map(
      (text): Case => ({
        id: "A1",
        send: [text],
        answer: text.startsWith("z") ? "PONG\0" : "PONG\n",
      }),
    ),
    { id: "A2", send: ["zPI", 20, "NG\0"], answer: "PONG\0" },
    { id: "A2", send: ["PI", 20, "NG\n"], answer: "PONG\n", clamd: /^UNKNOWN COMMAND\n/ },
    ...["zPING x\0", "zping\0", "z\0", "zPING\r\n\0", "zSTREAM\0", "zEND\0"].map(
      (text): Case => ({
        id: "A3",
        send: [text],
        answer: `${unknown}\0`,
      }),
    ),
    { id: "A4", send: [`GET / HTTP/1.1\r\n\r\n${instream(v)}`], answer: `${unknown}\n` },
    { id: "A4", send: ["STATS\n"], answer: `${unknown}\n` },
    { id: "A4", send: ["INSTREAM\n"], answer: `${unknown}\n` },
    { id: "A4", send: [tls], answer: `${unknown}\n` },
    { id: "A5", send: [`z${"A".repeat(5_000)}`], answer: `${unknown}\0`, clamd: "" },
    { id: "A8", send: ["zSTATS\0"], answer: /^POOLS: 1\n\nSTATE: VALID PRIMARY\n[\s\S]*\nEND\0$/ },
    { id: "A8", send: ["nSTATS\n"], answer: /^POOLS: 1\n\nSTATE: VALID PRIMARY\n[\s\S]*\nEND\n$/ },
    { id: "A11", send: [instream("hello")], answer: "stream: OK\0" },
    { id: "A11", send: [instream("")], answer: "stream: OK\0" },
    { id: "A12", send: [instream(v, "n")], answer: `stream: ${name} FOUND\n` },
    {
      id: "A12",
      send: [...`nINSTREAM\n${[...v].map((byte) => chunk(byte)).join("")}${end}`],
      answer: `stream: ${name} FOUND\n`,
    },
    ...["\n", end].flatMap((more): Case[] => [
      { id: "A13", send: [`${instream("hello")}${more}`], answer: "stream: OK\0" },
      { id: "A13", send: [instream("hello"), 5, more], answer: "stream: OK\0" },
    ]),
    { id: "A16", send: [`zINSTREAM\0${length(0xffffffff)}`], answer: "INSTREAM size limit exceeded. ERROR\0" },
    {
      id: "A18",
      send: [`zINSTREAM\0${chunk("abc")}`],
      finishes: true,
      answer: "The stream ended early. ERROR\0",
      clamd: "",
    },
    { id: "A19", send: [instream(v)], finishes: true, answer: `stream: ${name} FOUND\0` },
    { id: "A29", send: ["zIDSESSION\0zPING\0zVERSION\0zEND\0"], answer: /^1: PONG.2: ClamAV .*$/s },
    {
      id: "A30",
      send: [`zIDSESSION\0${instream("slow and clean")}${instream(v)}zPING\0zEND\0`],
      answer: ["1: stream: OK\0", `2: stream: ${name} FOUND\0`, "3: PONG\0"],
    },
    {
      id: "A31",
      send: [`nIDSESSION\nzPING\0nPING\n${instream("hello")}nEND\n`],
      answer: ["1: PONG\0", "2: PONG\n", "3: stream: OK\0"],
    },
    {
      id: "A33",
      send: ["zIDSESSION\0zCONTSCAN /x\0"],
      answer: "1: Command invalid inside IDSESSION. ERROR\0",
    },
    ...["zRELOAD\0", "zFOO\0", "zIDSESSION\0"].map(
      (text): Case => ({
        id: "A33",
        send: [`zIDSESSION\0${text}zPING\0`],
        answer: "1: Command invalid inside IDSESSION. ERROR\0",
      }),
    ),
    {
      id: "A34",
      send: [`zIDSESSION\0${instream("hello")}`, 50, "PING\n"],
      answer: ["1: stream: OK\0", "2: Only nCMDS\\n and zCMDS\\0 are accepted inside IDSESSION. ERROR\0"],
      // It has a line more, with the same id.
      clamd: /^(?=.*1: stream: OK)(?=.*2: Only nCMDS).*2: Error processing command\. ERROR/s,
    },
    { id: "A37", send: ["zIDSESSION\0zEND\0zPING\0"], answer: "" },
    ...["zSHUTDOWN\0", "QUIT\n", "zRELOAD\0"].map(
      (text): Case => ({
        id: "A39",
        send: [text],
        answer: text.startsWith("z") ? "COMMAND UNAVAILABLE\0" : "COMMAND UNAVAILABLE\n",
        clamd: null,
      }),
    ),
    { id: "A40", send: [`SCAN ${root}/v\n`], answer: `${root}/v: ${name} FOUND\n` },
    { id: "A40", send: [`zSCAN ${root}/v\0`], answer: `${root}/v: ${name} FOUND\0` },
    {
      id: "A41",
      send: [`zSCAN ${root}/missing\0`],
      answer: `${root}/missing: File path check failure: No such file or directory. ERROR\0`,
    },
    {
      id: "A41",
      send: [`zSCAN ${root}/fifo\0`],
      answer: `${root}/fifo: Not supported file type. ERROR\0`,
      clamd: `${root}/fifo: Not supported file type ERROR\0${root}/fifo: OK\0`,
    },
    { id: "A41", send: [`zSCAN ${root}/link-out\0`], answer: `${root}/link-out: Access denied. ERROR\0`, clamd: null },
    { id: "A41", send: ["zSCAN /etc/passwd\0"], answer: "/etc/passwd: Access denied. ERROR\0", clamd: null },
    { id: "A41", send: [`zSCAN ${root}/clean.txt\0`], answer: `${root}/clean.txt: OK\0` },
    { id: "A41", send: ["zSCAN clean.txt\0"], answer: "clean.txt: File path check failure: No such file or directory. ERROR\0" },
    {
      id: "A43",
      send: [`zCONTSCAN ${root}/d/\0`],
      answer: [`${root}/d/v: ${name} FOUND\0`, `${root}/d/sub/v: ${name} FOUND\0`],
    },
    {
      id: "A44",
      send: [`zCONTSCAN ${root}/gone\0`],
      answer: `${root}/gone: File path check failure: No such file or directory. ERROR\0`,
    },
    { id: "A45", send: [`zCONTSCAN ${root}/good\0`], answer: `${root}/good: OK\0` },
    { id: "A45", send: [`nMULTISCAN ${root}/good/\n`], answer: `${root}/good/: OK\n`, clamd: null },
    { id: "A45", send: [`zALLMATCHSCAN ${root}/empty\0`], answer: `${root}/empty: OK\0` },
  ];
}

/** Of `root`; besides there are a FIFO `fifo`, a link `link-out` to a file elsewhere, and an empty directory `empty`. */
export function acceptanceFiles(infected: string): Readonly<Record<string, string>> {
  return {
    v: infected,
    "clean.txt": "clean",
    "d/clean": "clean",
    "d/v": infected,
    "d/sub/v": infected,
    "good/a": "clean",
    "good/sub/b": "clean",
  };
}
