import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { marker } from "../../live/clamd.ts";
import { freePort } from "../../live/free-port.ts";
import { type LiveNginx, startNginx } from "../../live/nginx.ts";
import { type ScratchDirectory, scratchDirectory } from "../../scratch-directory.ts";
import type { GatewayProcess } from "../gateway-process.ts";
import { layOutDebian, layOutNpm, layOutPypi, type Registry, sampleText } from "./package-registries.ts";
import { startDownloadGateway } from "./proxy-stage.ts";

const deploy = new URL("../../../deploy/routes/", import.meta.url);

/** The clients' own configuration is of no account: each gets a home of its own, and the files of deploy/routes. */
describe("package managers that point straight at the gateway", { timeout: 120_000 }, () => {
  const opened = new AsyncDisposableStack();
  let scratch: ScratchDirectory;
  let registry: Registry;
  let gateway: GatewayProcess;
  let nginx: LiveNginx;

  before(async () => {
    scratch = opened.use(await scratchDirectory());
    const port = await freePort();
    registry = { directory: join(scratch.path, "registry"), url: `http://127.0.0.1:${port}`, virus: marker };
    await mkdir(registry.directory);
    nginx = opened.use(await startNginx(webServer(registry, port), [port]));
    const proxyPort = await freePort();
    const routes = join(scratch.path, "routes.json");
    await writeFile(routes, await routesFor(registry, port, proxyPort));
    const env = { DOWNLOAD_ROUTES: routes, DOWNLOAD_PROXY_PORT: String(proxyPort), DOWNLOAD_ALLOW_PRIVATE: "" };
    gateway = opened.use(await startDownloadGateway(port, opened, env));
  });
  after(() => opened.disposeAsync());

  /** A file of deploy/routes, with this gateway in the place of localhost:8080. */
  const configuration = async (name: string) =>
    (await readFile(new URL(name, deploy), "utf8")).replaceAll("http://localhost:8080", gateway.proxyUrl);

  test("npm installs a package and one with a scope, and says 409 to an infected one", async () => {
    await layOutNpm(registry);
    const home = join(scratch.path, "npm");
    await mkdir(home);
    await writeFile(join(home, "package.json"), '{"name":"mine","version":"1.0.0"}');
    await writeFile(join(home, ".npmrc"), await configuration("npmrc"));
    const npm = (...args: readonly string[]) => {
      const quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--ignore-scripts", "--fetch-retries=0"];
      const env = { npm_config_userconfig: join(home, ".npmrc"), npm_config_globalconfig: join(home, "none") };
      return run("npm", [...args, ...quiet, `--cache=${join(home, "cache")}`], home, env);
    };
    const installed = await npm("install", "clamgate-sample", "@clamgate/sample");
    assert.equal(installed.code, 0, installed.output);
    for (const name of ["clamgate-sample", "@clamgate/sample"])
      assert.equal(await readFile(join(home, "node_modules", name, "data.txt"), "utf8"), sampleText);
    assert.ok(
      !(await readFile(join(home, "package-lock.json"), "utf8")).includes(registry.url),
      "nothing leads past the gateway",
    );

    const refused = await npm("install", "clamgate-infected");
    assert.notEqual(refused.code, 0);
    assert.match(refused.output, /409/);
    assert.match(refused.output, /clamgate-infected-1\.0\.0\.tgz/);
    await assert.rejects(readFile(join(home, "node_modules/clamgate-infected/data.txt")));
  });

  test("pip downloads and installs a package, and says 409 to an infected one", async (context) => {
    const python = await pythonWithPip();
    if (python === null) return context.diagnostic("there is no pip here");
    await layOutPypi(registry);
    const home = join(scratch.path, "pip");
    await mkdir(home);
    await writeFile(join(home, "pip.conf"), await configuration("pip.conf"));
    const pip = (...args: readonly string[]) => {
      const quiet = ["--disable-pip-version-check", "--no-input", "--retries=0", `--cache-dir=${join(home, "cache")}`];
      return run(python, ["-m", "pip", ...args, ...quiet], home, { PIP_CONFIG_FILE: join(home, "pip.conf") });
    };
    const downloaded = await pip("download", "clamgate-sample", "--no-deps", `--dest=${join(home, "wheels")}`);
    assert.equal(downloaded.code, 0, downloaded.output);
    const wheel = await readFile(join(home, "wheels/clamgate_sample-1.0-py3-none-any.whl"));
    assert.ok(wheel.equals(await readFile(join(registry.directory, "files/packages/aa/clamgate_sample-1.0-py3-none-any.whl"))));
    const installed = await pip("install", "clamgate-sample", "--no-deps", `--target=${join(home, "site")}`, "--no-cache-dir");
    assert.equal(installed.code, 0, installed.output);
    assert.equal(await readFile(join(home, "site/clamgate_sample/data.txt"), "utf8"), sampleText);

    const refused = await pip("install", "clamgate-infected", "--no-deps", `--target=${join(home, "site")}`);
    assert.notEqual(refused.code, 0);
    assert.match(refused.output, /409/);
    await assert.rejects(readFile(join(home, "site/clamgate_infected/data.txt")));
  });

  test("apt-get installs a package, and says 409 to an infected one", async (context) => {
    if ((await run("dpkg", ["--version"], scratch.path, {})).code !== 0) return context.diagnostic("this is no Debian");
    const architecture = (await run("dpkg", ["--print-architecture"], scratch.path, {})).output.trim();
    await layOutDebian(registry, architecture);
    const root = join(scratch.path, "apt");
    for (const path of [
      "etc/apt/apt.conf.d",
      "etc/apt/preferences.d",
      "etc/apt/sources.list.d",
      "etc/apt/trusted.gpg.d",
      "var/log/apt",
    ])
      await mkdir(join(root, path), { recursive: true });
    for (const path of ["updates", "info", "triggers"]) await mkdir(join(root, "var/lib/dpkg", path), { recursive: true });
    for (const path of ["lists/partial", "mirrors/partial"]) await mkdir(join(root, "var/lib/apt", path), { recursive: true });
    await mkdir(join(root, "var/cache/apt/archives/partial"), { recursive: true });
    await writeFile(join(root, "var/lib/dpkg/status"), "");
    await writeFile(join(root, "etc/apt/apt.conf.d/80clamgate"), await configuration("apt.conf"));
    // Nobody signs what the test has made.
    const sources = (await configuration("debian.list")).replace(/^deb /gm, "deb [trusted=yes] ");
    await writeFile(join(root, "etc/apt/sources.list"), sources);
    const main = join(root, "main.conf");
    await writeFile(main, aptConfiguration(root, architecture));
    const apt = (...args: readonly string[]) =>
      run("apt-get", ["--yes", "--quiet", ...args], root, { APT_CONFIG: main, DEBIAN_FRONTEND: "noninteractive" });

    const updated = await apt("update");
    assert.equal(updated.code, 0, updated.output);
    assert.doesNotMatch(updated.output, /^(W|E|Err):/m);
    const installed = await apt("install", "clamgate-sample");
    assert.equal(installed.code, 0, installed.output);
    assert.equal(await readFile(join(root, "usr/share/clamgate-sample/data.txt"), "utf8"), sampleText);

    const refused = await apt("install", "clamgate-infected");
    assert.notEqual(refused.code, 0);
    assert.match(refused.output, /409/);
    assert.match(refused.output, /clamgate-infected_1\.0_all\.deb/);
    await assert.rejects(readFile(join(root, "usr/share/clamgate-infected/data.txt")));
  });

  test("have been given nothing that was not scanned", async () => {
    assert.ok((await gateway.metric('clamgate_scans_total{verdict="infected",front="proxy"}')) >= 1);
    assert.equal(await gateway.metric("clamgate_released_bytes_total"), 0);
    assert.equal(
      await nginx
        .errors()
        .then((text) => text.match(/\[(error|crit)\].*/g)?.filter((line) => !line.includes("No such file"))?.length ?? 0),
      0,
    );
  });
});

function webServer({ directory }: Registry, port: number): string {
  return `server {
  listen 127.0.0.1:${port};
  root ${directory};
  default_type application/octet-stream;
  types { text/html html; application/json json; }
  index index.html;
  location /npm/ { try_files $uri $uri/index.json =404; }
}`;
}

/** The shipped example, with the local registry in the place of the public ones. */
async function routesFor({ url }: Registry, port: number, proxyPort: number): Promise<string> {
  const text = (await readFile(new URL("routes.json", deploy), "utf8"))
    .replaceAll("http://localhost:8080", `http://127.0.0.1:${proxyPort}`)
    .replaceAll("https://pypi.org", `${url}/pypi`)
    .replaceAll("https://files.pythonhosted.org", `${url}/files`)
    .replaceAll("https://registry.npmjs.org", `${url}/npm`)
    .replaceAll("http://deb.debian.org", url);
  const { routes } = JSON.parse(text) as { routes: readonly object[] };
  return JSON.stringify({ routes: routes.map((route) => ({ ...route, allowPrivate: [`127.0.0.1:${port}`] })) });
}

/** Everything below `root`; nothing of the system's own configuration, and no proxy or look-up. */
function aptConfiguration(root: string, architecture: string): string {
  return `Dir "${root}";
Dir::State::status "${root}/var/lib/dpkg/status";
APT::Architecture "${architecture}";
APT::Architectures "${architecture}";
APT::Sandbox::User "";
Acquire::http::Proxy "DIRECT";
Acquire::EnableSrvRecords "false";
Acquire::Languages "none";
Dpkg::Use-Pty "false";
DPkg::Options { "--root=${root}"; "--force-not-root"; "--log=${root}/var/log/dpkg.log"; };
`;
}

/** The interpreter itself: what stands on PATH may be a script that finds it by a home that the test does not have. */
async function pythonWithPip(): Promise<string | null> {
  const { HOME = "/", PATH = "" } = process.env;
  const found = await run("python3", ["-c", "import sys, pip; print(sys.executable)"], "/", { HOME, PATH });
  return found.code === 0 ? found.output.trim() : null;
}

interface Ended {
  /** The exit code; `null` where the program is not there, or was killed. */
  readonly code: number | null;
  readonly output: string;
}

/** With that home, and with nothing else of the environment. */
function run(command: string, args: readonly string[], home: string, env: Readonly<Record<string, string>>): Promise<Ended> {
  const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
  const options = { cwd: home, env: { PATH, HOME: home, LC_ALL: "C", ...env }, timeout: 60_000 };
  return new Promise((resolve) => {
    execFile(command, [...args], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : null;
      resolve({ code, output: stdout + stderr });
    });
  });
}
