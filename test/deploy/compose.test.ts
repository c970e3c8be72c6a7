import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { configInImage, deployDirectory, isWritable, writtenDirectories } from "./image.ts";
import { readOneYaml } from "./yaml-file.ts";

const clamdEndMs = 5_000;
const compose = readOneYaml("compose.yaml");
const service = compose.at("services", "clamgate");
const config = configInImage(service.at("environment").texts());

describe("compose.yaml", () => {
  test("builds from the repository with the Dockerfile that is there", () => {
    const context = new URL(`${service.at("build", "context").text()}/`, deployDirectory);
    assert.ok(existsSync(new URL(service.at("build", "dockerfile").text(), context)));
  });

  test("publishes the ports that the gateway listens on, for this machine alone", () => {
    const ports = service
      .at("ports")
      .items()
      .map((port) => port.text());
    assert.deepEqual(ports, [`127.0.0.1:${config.PORT}:${config.PORT}`, `127.0.0.1:${config.SSL_PORT}:${config.SSL_PORT}`]);
  });

  test("keeps what the gateway writes in a volume that it declares", () => {
    const [volume] = service
      .at("volumes")
      .items()
      .map((one) => one.text());
    const [name = "", path = ""] = (volume ?? "").split(":");
    assert.ok(compose.find("volumes", name));
    for (const written of writtenDirectories(config)) assert.ok(isWritable(written, [{ path, isReadOnly: false }]), written);
  });

  test("lets scans finish before it kills: longer than SHUTDOWN_GRACE and the end of clamd", () => {
    assert.ok(milliseconds(service.at("stop_grace_period").text()) > config.SHUTDOWN_GRACE + clamdEndMs);
  });

  test("has memory for two sets of signatures and for the threads it allows", () => {
    assert.equal(service.at("mem_limit").text(), "3g");
    assert.ok(2 * 1.1 + config.MAX_THREADS * 0.1 < 3);
  });

  test("asks the gateway itself whether it is well", () => {
    assert.deepEqual(service.at("healthcheck", "test").value, ["CMD", "clamgate", "healthcheck"]);
  });
});

describe("compose.readonly.yaml", () => {
  const hardened = readOneYaml("compose.readonly.yaml");
  const its = hardened.at("services", "clamgate");

  test("is the service of compose.yaml, with its volume", () => {
    assert.deepEqual(its.at("extends").value, { file: "compose.yaml", service: "clamgate" });
    assert.deepEqual(hardened.at("volumes").value, compose.at("volumes").value);
    assert.equal(hardened.at("name").value, compose.at("name").value);
  });

  test("cannot write its root, has no capability, gains no rights, is not root", () => {
    assert.equal(its.at("read_only").value, true);
    assert.deepEqual(its.at("cap_drop").value, ["ALL"]);
    assert.deepEqual(its.at("security_opt").value, ["no-new-privileges:true"]);
    assert.equal(its.at("user").text(), "100:101");
  });

  test("leaves /tmp to the libraries, and nothing there can be run", () => {
    const [temporary = ""] = its
      .at("tmpfs")
      .items()
      .map((one) => one.text());
    assert.match(temporary, /^\/tmp:.*mode=1777.*noexec/);
  });
});

/** Compose's durations, as far as ours go. */
function milliseconds(text: string): number {
  const [, number, unit] = /^(\d+)(s|m)$/.exec(text) ?? [];
  if (number === undefined) throw new Error(`${text} is no duration`);
  return Number(number) * (unit === "m" ? 60_000 : 1_000);
}
