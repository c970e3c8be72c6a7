/** `clamgate keys create|list|revoke`: API_KEYS_FILE from the command line. A running gateway takes the change up by itself. */

import { parseArgs } from "node:util";
import { changeKeyFile, type EntryJson, listKeys } from "../../auth/edit-key-file.ts";
import { makeKey } from "../../auth/key.ts";
import type { KeyEntry } from "../../auth/key-file.ts";

export interface KeysCommand {
  readonly args: readonly string[];
  /** API_KEYS_FILE. */
  readonly file: string | undefined;
  /** Told where no command is named. */
  readonly usage: string;
  readonly stdout: (text: string) => unknown;
  readonly stderr: (text: string) => unknown;
}

const file = { file: { type: "string" } } as const;
const createOptions = {
  ...file,
  name: { type: "string" },
  scopes: { type: "string", default: "scan" },
  from: { type: "string" },
  "not-after": { type: "string" },
  requests: { type: "string" },
  bytes: { type: "string" },
  concurrent: { type: "string" },
  quota: { type: "string" },
  priority: { type: "string" },
  san: { type: "string" },
} as const;

/** Resolves with the exit code. Rejects with an Error for people. */
export async function runKeysCommand({ args, ...command }: KeysCommand): Promise<number> {
  const [action, ...rest] = args;
  switch (action) {
    case "create": {
      const { values } = parseArgs({ args: rest, options: createOptions });
      const { id, key, sha256 } = makeKey();
      const secret = values.san === undefined ? { sha256: sha256.toString("hex") } : {};
      const entry = entryOf(id, values, secret);
      await changeKeyFile(pathOf(values.file, command), (entries) => [...entries, entry]);
      command.stderr(
        values.san === undefined
          ? `The key of ${values.name} (${id}); it is shown this once and kept nowhere:\n`
          : `${values.name} comes with a certificate for ${values.san}; its id:\n`,
      );
      command.stdout(`${values.san === undefined ? key : id}\n`);
      return 0;
    }
    case "list": {
      const { values } = parseArgs({ args: rest, options: file });
      const entries = await listKeys(pathOf(values.file, command));
      command.stdout(entries.map((entry) => `${describe(entry)}\n`).join(""));
      return 0;
    }
    case "revoke": {
      const { values, positionals } = parseArgs({ args: rest, options: file, allowPositionals: true });
      if (positionals.length === 0) throw new Error("keys revoke needs the ids of the keys");
      await changeKeyFile(pathOf(values.file, command), (entries) => without(entries, positionals));
      command.stderr(`Revoked: ${positionals.join(", ")}. A running gateway refuses them within 10 s.\n`);
      return 0;
    }
    default:
      command.stderr(command.usage);
      return 2;
  }
}

type Values = { readonly [Name in keyof typeof createOptions]?: string };

function entryOf(id: string, values: Values, secret: EntryJson): EntryJson {
  const { name, scopes, from, "not-after": notAfter, requests, bytes, concurrent, quota, priority, san } = values;
  const limits = given({ requests, bytes, concurrent: concurrent === undefined ? undefined : Number(concurrent) });
  return given({
    id,
    name,
    ...secret,
    san,
    scopes: scopes?.split(","),
    notAfter,
    from: from?.split(","),
    limits: Object.keys(limits).length === 0 ? undefined : limits,
    quota: quota === undefined ? undefined : { bytes: quota },
    priority,
  });
}

function given(fields: Readonly<Record<string, unknown>>): EntryJson {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function pathOf(named: string | undefined, { file: set }: Pick<KeysCommand, "file">): string {
  const path = named ?? set;
  if (path === undefined || path === "") throw new Error("API_KEYS_FILE is not set, and there is no --file");
  return path;
}

function without(entries: readonly EntryJson[], ids: readonly string[]): readonly EntryJson[] {
  const unknown = ids.find((id) => !entries.some((entry) => entry.id === id));
  if (unknown !== undefined) throw new Error(`there is no key ${JSON.stringify(unknown.slice(0, 8))}`);
  return entries.filter(({ id }) => !ids.some((one) => one === id));
}

function describe({ client, san, notAfter, from }: KeyEntry): string {
  const { id, name, scopes } = client;
  const until = notAfter === null ? "" : `, until ${new Date(notAfter).toISOString()}`;
  const where = from === null ? "" : `, from ${from.map(({ network, bits }) => `${network.text}/${bits}`).join(" ")}`;
  return `${id}  ${name}: ${[...scopes].join(" ")}${san === null ? "" : `, ${san}`}${until}${where}`;
}
