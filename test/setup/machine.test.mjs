/** The family of a system, by os-release. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { detectSystem } from "../../setup/machine.mjs";
import { releases, ScratchMachine } from "./scratch-machine.mjs";

describe("detectSystem", () => {
  /** @type {ReadonlyArray<readonly [string, string | undefined, string, string]>} */
  const cases = [
    ["linux", releases.debian, "debian", "Debian GNU/Linux 12 (bookworm)"],
    ["linux", releases.ubuntu, "debian", "Ubuntu 24.04 LTS"],
    ["linux", "ID=raspbian\nID_LIKE=debian\n", "debian", "raspbian"],
    ["linux", releases.alpine, "alpine", "Alpine Linux v3.23"],
    ["linux", releases.fedora, "fedora", "Fedora Linux 43"],
    ["linux", releases.rocky, "fedora", "Rocky Linux 9"],
    ["linux", releases.plan9, "unknown", "Some Other Linux"],
    ["linux", "=\n\n#\nID\n", "unknown", "an unknown Linux"],
    ["linux", undefined, "unknown", "an unknown Linux"],
    ["darwin", undefined, "macos", "macOS"],
    ["win32", undefined, "unknown", "win32"],
  ];
  for (const [platform, release, kind, name] of cases) {
    test(`takes ${name} on ${platform} for ${kind}`, () => {
      const scratch = new ScratchMachine({ platform, ...(release === undefined ? {} : { release }) });
      try {
        assert.deepEqual(detectSystem(scratch.machine), { kind, name });
      } finally {
        scratch.remove();
      }
    });
  }
});
