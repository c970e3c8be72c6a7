import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { proxyPlace } from "../../src/app/proxy.ts";
import { configInImage, deployDirectory, isWritable, writtenDirectories } from "./image.ts";
import { readOneYaml } from "./yaml-file.ts";

const compose = readOneYaml("compose.proxy.yaml");
const nginx = compose.at("services", "nginx");
const gateway = compose.at("services", "clamgate");
const config = configInImage(gateway.at("environment").texts());
const template = readFileSync(new URL("nginx/templates/example.conf.template", deployDirectory), "utf8");

describe("compose.proxy.yaml", () => {
  test("gives nginx every variable of its template, and no other", () => {
    const wanted = new Set([...template.matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name));
    assert.deepEqual(new Set(Object.keys(nginx.at("environment").texts())), wanted);
  });

  test("publishes nginx's port for this machine alone, and none of the others", () => {
    const port = nginx.at("environment", "EXAMPLE_PORT").text();
    assert.deepEqual(nginx.at("ports").value, [`127.0.0.1:${port}:${port}`]);
    for (const name of ["clamgate", "redis"]) assert.equal(compose.find("services", name, "ports"), null);
  });

  test("mounts files that are there, read-only", () => {
    for (const mount of nginx.at("volumes").items()) {
      const [from = "", , mode] = mount.text().split(":");
      assert.ok(existsSync(new URL(from, deployDirectory)), from);
      assert.equal(mode, "ro");
    }
  });

  test("has the gateway where nginx looks for it, under the names of both", () => {
    const upstream = readFileSync(new URL("nginx/clamgate.conf", deployDirectory), "utf8");
    assert.match(upstream, new RegExp(`server clamgate:${config.DOWNLOAD_PROXY_PORT};`));
    assert.deepEqual(gateway.at("networks", "default", "aliases").value, ["clamav-scanservice"]);
    assert.equal(config.DOWNLOAD_PROXY_PORT, 80, "where clamav-proxy's templates look");
  });

  test("is reached by nginx: its settings say what it is for", () => {
    assert.deepEqual(proxyPlace(config), { host: "::", isKeptHere: false });
  });

  test("allows the origin that the template names, and that alone", () => {
    const from = new URL(nginx.at("environment", "EXAMPLE_DOWNLOAD_FROM").text());
    assert.deepEqual(gateway.at("environment", "DOWNLOAD_ORIGINS").text(), from.origin);
    assert.equal(config.DOWNLOAD_ORIGINS.length, 1);
    assert.equal(config.DOWNLOAD_ALLOW_PRIVATE.length, 0);
  });

  test("keeps verdicts in the Redis that it starts, and nothing of it on a disk", () => {
    const { VERDICT_CACHE: cache } = config;
    assert.ok(cache.kind === "redis" && cache.target.place.kind === "standalone");
    assert.ok(compose.find("services", cache.target.place.host));
    assert.equal(compose.find("services", "redis", "volumes"), null);
  });

  test("keeps what the gateway writes in a volume that it declares", () => {
    const [volume] = gateway.at("volumes").items();
    const [name = "", path = ""] = (volume?.text() ?? "").split(":");
    assert.ok(compose.find("volumes", name) !== null || Object.keys(compose.at("volumes").value ?? {}).includes(name));
    for (const written of writtenDirectories(config)) assert.ok(isWritable(written, [{ path, isReadOnly: false }]), written);
  });
});

describe("the template for nginx", () => {
  test("waits longer than a gateway that fetches and scans, and speaks HTTP/1.1 to it (P79)", () => {
    for (const line of [
      "proxy_read_timeout 600s;",
      "proxy_http_version 1.1;",
      'proxy_set_header Connection "";',
      "proxy_max_temp_file_size 0;",
    ])
      assert.ok(template.includes(line), line);
  });
});
