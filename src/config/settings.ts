/** The table of all settings, and the type of a configuration that follows from it. */

import { accessSettings } from "./groups/access-settings.ts";
import { clamdDoorSettings } from "./groups/clamd-door-settings.ts";
import { downloadSettings } from "./groups/download-settings.ts";
import { engineSettings } from "./groups/engine-settings.ts";
import { icapSettings } from "./groups/icap-settings.ts";
import { limitSettings } from "./groups/limit-settings.ts";
import { listenSettings } from "./groups/listen-settings.ts";
import { runningSettings } from "./groups/running-settings.ts";
import { scanningSettings } from "./groups/scanning-settings.ts";
import { signatureSettings } from "./groups/signature-settings.ts";
import { storageSettings } from "./groups/storage-settings.ts";
import type { Parser } from "./parser.ts";
import type { Setting } from "./setting.ts";

export const settings = [
  ...listenSettings,
  ...accessSettings,
  ...engineSettings,
  ...limitSettings,
  ...signatureSettings,
  ...storageSettings,
  ...scanningSettings,
  ...downloadSettings,
  ...icapSettings,
  ...clamdDoorSettings,
  ...runningSettings,
] as const satisfies readonly Setting[];

type Entry = (typeof settings)[number];

export type SettingName = Entry["name"];

/** What every setting is. Sizes are bytes, durations milliseconds, paths absolute, and null what is unset. */
export type Config = { readonly [One in Entry as One["name"]]: ValueOf<One> };

type ValueOf<One extends Entry> = Parsable<One> | (One["default"] extends { readonly kind: "unset" } ? null : never);
type Parsable<One extends Entry> = One["parser"] extends Parser<infer Value> ? Value : never;
