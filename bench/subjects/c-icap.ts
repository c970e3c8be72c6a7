/** The yardstick of the ICAP server: c-icap with virus_scan and clamd_mod, as Debian has them, over a clamd that is there already. */

import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { freePort } from "../../test/live/free-port.ts";
import { type Program, startProgram } from "./program.ts";

export interface CIcap extends AsyncDisposable {
  readonly url: string;
  readonly program: Program;
}

const modules = `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu/c_icap`;

/** Whether Debian's packages are there: c-icap and libc-icap-mod-virus-scan. */
export function hasCIcap(): boolean {
  return existsSync("/usr/bin/c-icap") && existsSync(`${modules}/virus_scan.so`);
}

/** Resolves when it answers. One process with threads enough for all clients: so nothing waits for a fork. */
export async function startCIcap(directory: string, clamdSocket: string): Promise<CIcap> {
  await mkdir(directory, { recursive: true });
  const port = await freePort();
  const conf = join(directory, "c-icap.conf");
  const lines = [
    `PidFile ${directory}/c-icap.pid`,
    `CommandsSocket ${directory}/c-icap.ctl`,
    "Timeout 300",
    "MaxKeepAliveRequests -1",
    "KeepAliveTimeout 600",
    "StartServers 1",
    "MaxServers 1",
    "MinSpareThreads 1",
    "MaxSpareThreads 64",
    "ThreadsPerChild 64",
    "MaxRequestsPerChild 0",
    `Port 127.0.0.1:${port}`,
    `TmpDir ${directory}`,
    "DebugLevel 0",
    `ModulesDir ${modules}`,
    `ServicesDir ${modules}`,
    "TemplateDir /usr/share/c_icap/templates/",
    "LoadMagicFile /etc/c-icap/c-icap.magic",
    `ServerLog ${directory}/server.log`,
    `AccessLog ${directory}/access.log`,
    "Service virus_scan virus_scan.so",
    "virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE GIF JPEG MSOFFICE",
    "virus_scan.SendPercentData 0",
    // Larger ones pass unscanned; its own limit is 5 MB.
    "virus_scan.MaxObjectSize 100M",
    "virus_scan.DefaultEngine clamd",
    "Module common clamd_mod.so",
    `clamd_mod.ClamdSocket ${clamdSocket}`,
  ];
  await writeFile(conf, `${lines.join("\n")}\n`);
  const program = await startProgram({
    name: "c-icap",
    command: "/usr/bin/c-icap",
    args: ["-N", "-f", conf],
    outputPath: join(directory, "output"),
  });
  try {
    await program.until(() => answers(port));
  } catch (error) {
    await program[Symbol.asyncDispose]();
    throw error;
  }
  return {
    // What Debian's file has as `avscan`: without these it sends a body that is clean back whole.
    url: `icap://127.0.0.1:${port}/virus_scan?allow204=on&sizelimit=off&mode=simple`,
    program,
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}

function answers(port: number): Promise<true | null> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const settle = (answer: true | null) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => settle(true)).once("error", () => settle(null));
  });
}
