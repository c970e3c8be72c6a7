/** A gateway process that asks its clients who they are, in front of a scripted clamd. */

import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Act, clean, type FakeClamd, startFakeClamd } from "../../fake/clamd.ts";
import { oneOf } from "../../fake/threads.ts";
import { scratchDirectory } from "../../scratch-directory.ts";
import { type GatewayProcess, startGatewayProcess } from "../gateway-process.ts";

/** One entry of API_KEYS_FILE, as far as a test has something to say of it. */
export interface TestClient {
  readonly id: string;
  readonly key: string;
  readonly entry: Readonly<Record<string, unknown>>;
}

/** @param id of eight characters. */
export function testClient(id: string, entry: Readonly<Record<string, unknown>> = {}): TestClient {
  const key = `cgk_${id}_${randomBytes(32).toString("base64url")}`;
  const sha256 = createHash("sha256").update(key).digest("hex");
  return { id, key, entry: { id, name: id, sha256, scopes: ["scan", "status"], ...entry } };
}

export interface ClientStage extends AsyncDisposable {
  readonly gateway: GatewayProcess;
  readonly clamd: FakeClamd;
  /** Scans the body as that client, by `/v3/scan`. */
  scan(client: TestClient, body: string, path?: string): Promise<Response>;
}

export interface ClientStageOptions {
  readonly clients?: readonly TestClient[];
  readonly env?: Readonly<Record<string, string>>;
  /** As `GatewayProcessOptions.state`. */
  readonly state?: string;
  readonly threads?: number;
  /** How long the scan of that body takes. */
  readonly scanMs?: (body: Buffer) => number;
}

/** Ready for scans. */
export async function openClientStage(options: ClientStageOptions = {}): Promise<ClientStage> {
  const { clients = [], env = {}, threads = 4, scanMs = () => 0 } = options;
  const opened = new AsyncDisposableStack();
  try {
    const directory = opened.use(await scratchDirectory());
    const file = join(directory.path, "keys.json");
    await writeFile(file, JSON.stringify({ keys: clients.map(({ entry }) => entry) }), { mode: 0o600 });
    const thread = oneOf(threads);
    const clamd = opened.use(
      await startFakeClamd({
        scan: (body): Promise<Act> => thread(() => delay(scanMs(body), clean)),
      }),
    );
    const gateway = opened.use(
      await startGatewayProcess({
        ...(options.state === undefined ? {} : { state: options.state }),
        env: {
          CLAMD_PORT: `tcp://127.0.0.1:${clamd.address.port}`,
          CLAMD_THREADS: String(threads),
          DOWNLOAD_PROXY_PORT: "off",
          AUTH: "keys",
          API_KEYS_FILE: file,
          ...env,
        },
      }),
    );
    await gateway.ready();
    return {
      gateway,
      clamd,
      scan: ({ key }, body, path = "/v3/scan") =>
        fetch(`${gateway.url}${path}`, { method: "POST", body, headers: { authorization: `Bearer ${key}` } }),
      [Symbol.asyncDispose]: () => opened.disposeAsync(),
    };
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}
