import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { describe, test } from "node:test";
import { execForm, readDockerfile, type Stage, textOf, textsOf, words } from "./dockerfile.ts";
import { readIgnoreList } from "./ignore-list.ts";
import { configInImage, deployDirectory } from "./image.ts";

const repository = new URL("../../", import.meta.url);
const { defaults, stages } = readDockerfile(new URL("Dockerfile", deployDirectory));
const image = stages.at(-1);
if (image === undefined) throw new Error("deploy/Dockerfile has no stage");
const isSent = readIgnoreList(readFileSync(new URL(".dockerignore", repository), "utf8"));

describe("the Dockerfile", () => {
  test("starts every stage from an official image by its tag, or from a stage before it", () => {
    const names: (string | null)[] = [];
    for (const { name, from } of stages) {
      assert.ok(names.includes(from) || /^(node|debian):[\w.-]+-slim$/.test(from), from);
      names.push(name);
    }
  });

  test("runs the major version of Node that package.json pins for the tests", () => {
    const manifest = JSON.parse(readFileSync(new URL("package.json", repository), "utf8"));
    const [major] = String(manifest.devDependencies.node).split(".");
    assert.match(defaults.NODE_IMAGE ?? "", new RegExp(`^node:${major}-bookworm-slim$`));
  });

  test("takes Node from an image of the same Debian as the one it is put into", () => {
    assert.equal(/-(\w+)-slim$/.exec(defaults.NODE_IMAGE ?? "")?.[1], /:(\w+)-slim$/.exec(defaults.DEBIAN_IMAGE ?? "")?.[1]);
  });

  test("copies nothing but what is there and what .dockerignore sends", () => {
    const copies = stages.flatMap((stage) => textsOf(stage, "COPY")).map(words);
    const local = copies.filter(([first]) => !first?.startsWith("--from=")).flatMap((copy) => copy.slice(0, -1));
    assert.ok(local.length > 0);
    for (const source of local) {
      assert.ok(statSync(new URL(source, repository)), source);
      assert.ok(isSent(source), `${source} is kept from the builder`);
    }
  });

  test("names files of src that there are", () => {
    const named = stages
      .flatMap((stage) => textsOf(stage, "RUN"))
      .flatMap((run) => run.match(/\/opt\/clamgate\/src\/[\w./-]+/g) ?? []);
    assert.equal(named.length, 2);
    for (const path of named) assert.ok(statSync(new URL(path.slice("/opt/clamgate/".length), repository)), path);
  });

  test("copies from stages that come before", () => {
    const names: (string | null)[] = [];
    for (const stage of stages) {
      for (const copy of textsOf(stage, "COPY")) {
        const [, from] = /^--from=(\S+)/.exec(copy) ?? [];
        assert.ok(from === undefined || names.includes(from), copy);
      }
      names.push(stage.name);
    }
  });

  test("installs the locked production packages alone", () => {
    const installs = stages.flatMap((stage) => textsOf(stage, "RUN")).filter((run) => run.includes("npm "));
    assert.deepEqual(installs.length, 1);
    assert.match(installs[0] ?? "", /^npm ci --omit=dev --omit=optional --ignore-scripts /);
  });

  test("leaves no package lists, and fails where ClamAV is older than 1.4.6", () => {
    const run = runOf("runtime", "apt-get");
    assert.match(run, /apt-get install -y --no-install-recommends/);
    assert.match(run, /dpkg --compare-versions .*clamav-daemon\)" ge 1\.4\.6/);
    assert.match(run, /rm -rf \/var\/lib\/apt\/lists\/\*/);
  });

  test("does not run as root, and says so in numbers, those that it gives its user", () => {
    const [user, group] = textOf(image, "USER").split(":");
    assert.equal(`${user}:${group}`, "100:101");
    const run = runOf("runtime", "useradd");
    assert.match(run, new RegExp(`groupadd --system --gid ${group} clamav`));
    assert.match(run, new RegExp(`useradd --system --uid ${user} --gid ${group} .* clamav`));
  });

  test("makes no file that lends its owner's rights", () => {
    assert.match(runOf("runtime", "apt-get"), /find \/ -xdev -type f -perm \/6000 -exec chmod a-s/);
  });

  test("serves in production: real signatures or none", () => {
    assert.deepEqual(execForm(textOf(image, "CMD")), ["serve"]);
    const entry = execForm(textOf(image, "ENTRYPOINT"));
    assert.equal(entry[0], "/usr/bin/tini");
    assert.equal(entry.at(-1), "/usr/local/bin/clamgate-entrypoint");
    for (const name of ["Dockerfile", "entrypoint", "compose.yaml", "kubernetes/single/deployment.yaml"]) {
      assert.doesNotMatch(readFileSync(new URL(name, deployDirectory), "utf8"), /allow-test-signatures/);
    }
  });

  test("asks the gateway itself whether it is well", () => {
    const [, command = ""] = /CMD (\[.*\])$/.exec(textOf(image, "HEALTHCHECK")) ?? [];
    assert.deepEqual(execForm(command), ["clamgate", "healthcheck"]);
    assert.match(runOf("runtime", "ln -s"), /ln -s \/opt\/clamgate\/src\/main\.ts \/usr\/local\/bin\/clamgate/);
    assert.ok(statSync(new URL("src/main.ts", repository)).mode & 0o100, "src/main.ts can be executed");
    assert.ok(statSync(new URL("entrypoint", deployDirectory)).mode & 0o100, "deploy/entrypoint can be executed");
  });

  test("sets what is a setting, to what it allows", () => {
    const config = configInImage({});
    assert.deepEqual(words(textOf(image, "EXPOSE")).map(Number), [config.PORT, config.SSL_PORT]);
    assert.equal(textOf(image, "STOPSIGNAL"), "SIGTERM");
  });

  test("writes in its volume alone", () => {
    const config = configInImage({});
    const volume = textOf(image, "VOLUME");
    for (const path of [config.STATE_DIRECTORY, config.DATABASE_DIRECTORY, config.SPOOL_DIRECTORY]) {
      assert.ok(path === volume || path.startsWith(`${volume}/`), path);
    }
  });

  test("keeps clamav-rest's places, and its defaults but for who may call it from a web page", () => {
    const config = configInImage({});
    assert.equal(config.DATABASE_DIRECTORY, "/clamav/data");
    assert.ok(config.SCAN_PATH_ROOTS.includes("/clamav/tmp"));
    assert.equal(config.SSL_CERT, "/etc/ssl/clamav-rest/server.crt");
    assert.deepEqual([config.PORT, config.SSL_PORT, config.SIGNATURE_CHECKS], [9000, 9443, 2]);
    assert.deepEqual(config.ALLOW_ORIGINS, []);
  });

  test("makes every directory that SCAN_PATH_ROOTS opens", () => {
    const run = runOf("runtime", "install -d");
    for (const root of configInImage({}).SCAN_PATH_ROOTS) assert.ok(words(run).includes(root), root);
  });
});

describe(".dockerignore", () => {
  test("keeps from the builder what no image needs, and what none may have", () => {
    for (const path of [
      ".git/config",
      ".env",
      "node_modules/node/package.json",
      "state/spool",
      "test/deploy/image.ts",
      "server.key",
    ]) {
      assert.equal(isSent(path), false, path);
    }
  });

  test("sends signatures that were put there", () => {
    assert.equal(isSent("deploy/signatures/daily.cvd"), true);
    assert.equal(isSent("deploy/signatures/.gitignore"), false);
  });
});

function stageNamed(name: string): Stage {
  const stage = stages.find((one) => one.name === name);
  if (stage === undefined) throw new Error(`there is no stage ${name}`);
  return stage;
}

/** The one RUN of a stage that holds the text. */
function runOf(stage: string, text: string): string {
  const runs = textsOf(stageNamed(stage), "RUN").filter((run) => run.includes(text));
  if (runs.length !== 1) throw new Error(`${runs.length} RUN with ${text}`);
  return runs[0] ?? "";
}
