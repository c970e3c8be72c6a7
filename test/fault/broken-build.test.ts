/** The harness is held to account once more: each of these gateways has one promise broken in its own code, and each is found out. */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type DownloadStage, openDownloads } from "../e2e/proxy-stage.ts";
import { ok } from "../fake/origin.ts";
import { marker } from "../live/clamd.ts";
import { type Breakage, breakBuild } from "./broken-build.ts";
import { countingClient } from "./counting-client.ts";
import { assertDownloadInvariants, openDownloadAccount } from "./download-account.ts";
import { assertCleanMeansScanned, assertFailsClosed, assertHonestMemory, assertOwnVerdicts } from "./invariants.ts";
import { seededRandom } from "./random.ts";
import { type FaultStage, openFaultStage } from "./stage.ts";
import { type Subject, subject, subjectSource } from "./subjects.ts";

/** Resolves when the gateway has ended. */
async function withBroken(breakages: readonly Breakage[], run: (env: Record<string, string>) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "clamgate-broken-"));
  try {
    await run({ ...(breakages.length === 0 ? {} : await breakBuild(directory, breakages)) });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** The same for each build: an infected body, a clean one and one that nobody sees into, alone and together, several at once. */
async function uploads({ rest, subjects }: FaultStage): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    const bodies = [subjects.clean(5_000), subjects.infected(5_000), subjects.unscannable()];
    await Promise.all([rest.upload(bodies), ...bodies.map((one) => rest.raw(one)), rest.raw(subjects.infected(200_000))]);
  }
}

function faultOf(check: () => void): string {
  try {
    check();
    return "";
  } catch (error) {
    return String(error);
  }
}

const everythingClean: Breakage = {
  file: "core/scan.ts",
  from: "const verdict = await withUnsupported(finding.verdict, body, options.insteadOfClean);",
  to: 'const verdict = { kind: "clean" } as const;',
};

const brokenUploads: Readonly<Record<string, readonly [invariant: RegExp, Breakage]>> = {
  "calls everything clean": [/I1/, everythingClean],
  "lets pass what is infected": [
    /I1/,
    {
      file: "core/policy.ts",
      from: "return { isAllowed: false, relaxedFor: null };",
      to: "return { isAllowed: true, relaxedFor: null };",
    },
  ],
  "lets pass what nobody sees into, though nobody has set that": [
    /I1|I6/,
    { file: "core/policy.ts", from: "policy.allowedReasons.has(verdict.reason);", to: "true as boolean;" },
  ],
  "gives a body the verdict of whichever is being scanned": [
    /I1|I3/,
    { file: "core/scan.ts", from: `const key = \`\${body.sha256}:`, to: "const key = `any:" },
  ],
  "tells the digest of another body": [
    /I3/,
    { file: "core/scan.ts", from: "sha256: body.sha256,\n          size", to: 'sha256: "ab".repeat(32),\n          size' },
  ],
  "remembers verdicts that nobody made": [
    /I4/,
    {
      file: "core/scan.ts",
      from: "return await cache.get(key);",
      to: 'return (await cache.get(key)) ?? { kind: "infected", signatures: ["Eicar"] };',
    },
  ],
  "keeps each body for ever": [
    /I5/,
    { file: "spool/held-body.ts", from: "if (this.#shared.holders === 0) await this.#shared.release();", to: "" },
  ],
  "thinks of nothing but one body for seconds": [
    /I7/,
    {
      file: "core/scan.ts",
      from: "const startedAt = clock();\n    try {",
      to: `const startedAt = clock();
    const isFirst = !("isThinking" in globalThis);
    Object.assign(globalThis, { isThinking: true });
    while (isFirst && clock() - startedAt < 3_500);
    try {`,
    },
  ],
};

describe("a gateway for uploads", () => {
  test("that is whole holds all invariants", async () => {
    await using stage = await openFaultStage();
    await uploads(stage);
    assert.deepEqual(stage.account.totals().bodies, { clean: 6, infected: 9, unscannable: 6, error: 0 });
  });

  for (const [what, [invariant, breakage]] of Object.entries(brokenUploads)) {
    test(`that ${what} is found out`, async () => {
      await withBroken([breakage], async (env) => {
        const stage = await openFaultStage({ env, leakMs: 500 });
        await uploads(stage);
        const checks = [assertCleanMeansScanned, assertOwnVerdicts, assertHonestMemory, assertFailsClosed];
        const faults = checks.map((check) => faultOf(() => check(stage.account)));
        faults.push(await stage[Symbol.asyncDispose]().then(() => "", String));
        assert.match(faults.join("\n"), invariant);
      });
    });
  }
});

const dripping = { DOWNLOAD_DRIP_AFTER: "20ms", DOWNLOAD_DRIP_INTERVAL: "1ms" };
const releasingPrefix = `{
  const { head, prefix } = download.progress();
  if (head === null) return 0;
  if (sent === 0) client.begin(head);
  await client.send(prefix.slice(sent));
  await delay(200); // or the reset overtakes it
  return prefix.length;
}`;
const brokenDownloads: Readonly<Record<string, readonly [mode: string, breakages: readonly Breakage[], isCaught: boolean]>> = {
  "is whole, strict": ["strict", [], false],
  "is whole, dripping": ["drip", [], false],
  "is whole, streaming what is proved": ["verified-stream", [], false],
  "calls everything clean, strict": ["strict", [everythingClean], true],
  "calls everything clean, dripping": ["drip", [everythingClean], true],
  "calls everything clean, streaming what is proved": ["verified-stream", [everythingClean], true],
  "drips more than a virus needs": [
    "drip",
    [
      { file: "front/proxy/download.ts", from: "prefixBytes = 64;", to: "prefixBytes = 65;" },
      { file: "front/proxy/drip.ts", from: "if (isSettled) return sent;", to: `if (isSettled) ${releasingPrefix}` },
    ],
    true,
  ],
  "streams what it has not proved": [
    "verified-stream",
    [{ file: "front/proxy/verified-stream.ts", from: "!timingSafeEqual(tag, expected)", to: "tag.length === 0" }],
    true,
  ],
};

/** A clean file, an infected one, and one that turns from one into the other. */
async function downloads({ gateway, base, files }: DownloadStage) {
  const account = openDownloadAccount({ mayRelease: 64 });
  using client = countingClient(gateway.proxyUrl);
  const subjects = subjectSource(seededRandom(5), { isPlain: true });
  const get = (path: string, file: Subject, before?: Subject) => {
    files.set(path, () => ok(file.bytes));
    const headers = { "download-from": base, "cache-scan": "true" };
    return account.request(file, () => client.send({ method: "GET", path, headers }), before);
  };
  const clean = subjects.clean(300_000);
  const turned = subject("turned", Buffer.concat([clean.bytes.subarray(0, -marker.length), Buffer.from(marker)]), "infected");
  await get("/infected", subjects.infected(300_000));
  for (const file of [clean, clean]) await get("/turning", file);
  await get("/turning", turned, clean);
  return account;
}

describe("a gateway for downloads", () => {
  for (const [what, [mode, breakages, isCaught]] of Object.entries(brokenDownloads)) {
    test(`that ${what} ${isCaught ? "is found out" : "holds all invariants"}`, async () => {
      await withBroken(breakages, async (env) => {
        await using stage = await openDownloads({ DOWNLOAD_MODE: mode, ...dripping, ...env });
        const account = await downloads(stage);
        const check = () => assertDownloadInvariants(account, { withinMs: 60_000 });
        if (isCaught) assert.throws(check, /I1/);
        else check();
      });
    });
  }
});
