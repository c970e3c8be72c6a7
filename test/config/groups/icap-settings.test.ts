import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readConfig } from "../../../src/config/read-config.ts";

function faultsOf(environment: Record<string, string>): readonly string[] {
  const reading = readConfig(environment, { cwd: "/srv", cores: 4 });
  return reading.kind === "faults" ? reading.faults : [];
}

describe("ICAP settings", () => {
  for (const text of ["", "cut", "proxy=page", "reset,page", "reset,a=page,a=reset", "reset,a=", "reset,a=PAGE", "reset,,"]) {
    test(`refuse ICAP_ON_ERROR=${JSON.stringify(text)}`, () => {
      if (text === "") assert.deepEqual(faultsOf({ ICAP_ON_ERROR: text }), [], "unset");
      else assert.match(faultsOf({ ICAP_ON_ERROR: text }).join(), /^ICAP_ON_ERROR: /);
    });
  }

  test("take a word for the empty path", () => {
    assert.deepEqual(faultsOf({ ICAP_ON_ERROR: "reset,=page" }), []);
  });

  for (const text of ["/avscan", "a b", "a?b", ","]) {
    test(`refuse ICAP_SERVICES=${JSON.stringify(text)}`, () => {
      assert.match(faultsOf({ ICAP_SERVICES: text }).join(), /^ICAP_SERVICES: /);
    });
  }

  test("take ports and previews at their limits alone", () => {
    for (const name of ["ICAP_PORT", "ICAP_SSL_PORT", "ICAP_PREVIEW"]) {
      for (const good of ["0", "65535", "off"]) assert.deepEqual(faultsOf({ [name]: good }), [], `${name}=${good}`);
      for (const bad of ["-1", "65536", "on"]) assert.match(faultsOf({ [name]: bad }).join(), new RegExp(`^${name}: `));
    }
    assert.match(faultsOf({ ICAP_MAX_CONNECTIONS: "0" }).join(), /too small/);
    assert.match(faultsOf({ ICAP_CLIENTS: "10.0.0.1/8" }).join(), /^ICAP_CLIENTS: /);
  });
});
