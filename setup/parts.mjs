/** What the gateway and its tests need from the system, which package brings it, and what of it is missing here. */

import { accessSync, constants, existsSync, readdirSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { at } from "./machine.mjs";

/** @typedef {import("./machine.mjs").Machine} Machine */
/** @typedef {import("./machine.mjs").SystemKind} SystemKind */

/** @typedef {"start" | "tests" | "fuzz"} Goal */

/** Each needs what the ones before it need. @type {readonly Goal[]} */
const goals = ["start", "tests", "fuzz"];

/**
 * @typedef {object} Part
 * @property {string} name
 * @property {(machine: Machine) => boolean} isHere
 * @property {Goal} goal the first one that needs it; those behind it need it too
 * @property {readonly SystemKind[] | null} onlyOn the systems where it is wanted; null: on all
 * @property {Readonly<Partial<Record<SystemKind, readonly string[]>>>} packages no entry: that system has no package of it
 */

/** Where Debian's package puts ClamAV's test files, and where the tests look for them. */
export const testFilesDirectory = "/usr/share/clamav-testfiles";

/** @type {readonly Part[]} */
const parts = [
  program("clamd", "start", ["clamav-daemon"], ["clamav-daemon"], ["clamd"], ["clamav"]),
  program("freshclam", "start", ["clamav-freshclam"], ["freshclam"], ["clamav-freshclam"], ["clamav"]),
  program("clamscan", "tests", ["clamav"], ["clamav-scanner"], ["clamav"], ["clamav"]),
  program("sigtool", "tests", ["clamav"], ["clamav-scanner"], ["clamav"], ["clamav"]),
  // Alpine and Fedora went from Redis to Valkey; the second package of each brings the name redis-server.
  program("redis-server", "tests", ["redis-server"], ["valkey", "valkey-compat"], ["valkey", "valkey-compat-redis"], ["redis"]),
  program("nginx", "tests", ["nginx"], ["nginx"], ["nginx"], ["nginx"]),
  program("haproxy", "tests", ["haproxy"], ["haproxy"], ["haproxy"], ["haproxy"]),
  program("caddy", "tests", ["caddy"], ["caddy"], ["caddy"], ["caddy"]),
  program("promtool", "tests", ["prometheus"], ["prometheus"], ["golang-github-prometheus"], ["prometheus"]),
  program("curl", "tests", ["curl"], ["curl"], ["curl"], ["curl"]),
  program("wget", "tests", ["wget"], ["wget"], ["wget"], ["wget"]),
  program("aria2c", "tests", ["aria2"], ["aria2"], ["aria2"], ["aria2"]),
  // Debian's plain one speaks no TLS to ICAP servers.
  program("squid", "tests", ["squid-openssl"], ["squid"], ["squid"], ["squid"]),
  program("openssl", "tests", ["openssl"], ["openssl"], ["openssl"], ["openssl"]),
  // Shells that are to complete the command line.
  program("zsh", "tests", ["zsh"], ["zsh"], ["zsh"], ["zsh"]),
  program("fish", "tests", ["fish"], ["fish"], ["fish"], ["fish"]),
  {
    // The pinned Node is linked with it, and a small Debian or Fedora comes without. Elsewhere nothing says whose package it is.
    name: "libatomic.so.1",
    isHere: (machine) => findLibrary(machine, "libatomic.so.1"),
    goal: "start",
    onlyOn: ["debian", "fedora"],
    packages: { debian: ["libatomic1"], fedora: ["libatomic"] },
  },
  {
    // Looks at the unit in deploy/systemd; small images come without.
    name: "systemd-analyze",
    isHere: (machine) => findProgram(machine, "systemd-analyze") !== null,
    goal: "tests",
    onlyOn: ["debian", "fedora"],
    packages: { debian: ["systemd"], fedora: ["systemd"] },
  },
  {
    // A client of the gateway in the tests, and a yardstick of the benchmark, which goes on without it.
    name: "clamdscan",
    isHere: (machine) => findProgram(machine, "clamdscan") !== null,
    goal: "tests",
    onlyOn: ["debian"],
    packages: { debian: ["clamdscan"] },
  },
  // Mail filters that ask the gateway in test/e2e/doors/clamd-mail.test.ts.
  ...["rspamd", "clamav-milter"].map((name) => ({
    name,
    isHere: (/** @type {Machine} */ machine) => findProgram(machine, name) !== null,
    goal: /** @type {Goal} */ ("tests"),
    onlyOn: /** @type {SystemKind[]} */ (["debian"]),
    packages: { debian: [name] },
  })),
  {
    // The browser in which the tests open the page.
    name: "chromium",
    isHere: (machine) => findProgram(machine, "chromium") !== null,
    goal: "tests",
    onlyOn: ["debian"],
    packages: { debian: ["chromium"] },
  },
  {
    name: "c-icap-client",
    isHere: (machine) => findProgram(machine, "c-icap-client") !== null,
    goal: "tests",
    onlyOn: ["debian"],
    packages: { debian: ["c-icap"] },
  },
  {
    name: "ClamAV's test files",
    isHere: (machine) => entries(at(machine, testFilesDirectory)).length > 0,
    goal: "tests",
    onlyOn: null,
    packages: { debian: ["clamav-testfiles"] },
  },
  // Clients of clamd, which test/e2e/doors/clamd-clients.test.ts has ask the gateway.
  reader("Python's pyclamd", "tests", "/usr/lib/python3/dist-packages/pyclamd", ["python3-pyclamd"]),
  reader("Perl's ClamAV::Client", "tests", "/usr/share/perl5/ClamAV/Client.pm", ["libclamav-client-perl"]),
  // Other people's readers, which test/fuzz/judged/readers.ts judges the gateway by. Few for every run of the tests, the heavy ones for fuzzing.
  ...["werkzeug", "django", "multipart", "aiohttp", "urllib3", "requests"].map((name) =>
    reader(`Python's ${name}`, "tests", `/usr/lib/python3/dist-packages/${name}`, [`python3-${name}`]),
  ),
  reader("Go", "fuzz", "/usr/bin/go", ["golang-go"]),
  reader("PHP", "fuzz", "/usr/bin/php", ["php-cli"]),
  reader("Rack", "fuzz", "/var/lib/dpkg/info/ruby-rack.list", ["ruby-rack"]),
  reader("Java's compiler", "fuzz", "/usr/bin/javac", ["default-jdk-headless"]),
  reader("commons-fileupload", "fuzz", "/usr/share/java/commons-fileupload.jar", ["libcommons-fileupload-java"]),
  reader("Java's servlet API", "fuzz", "/usr/share/java/servlet-api.jar", ["libservlet-api-java"]),
];

/** Daemons live where an ordinary user's PATH does not look. The same places as in src/process/find-program.ts, or one would find what the other misses. */
const moreDirectories = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/sbin", "/opt/homebrew/bin"];

/**
 * @param {{ readonly kind: SystemKind, readonly goal: Goal }} need
 * @returns {Part[]}
 */
export function wantedParts({ kind, goal }) {
  const isNeeded = (/** @type {Part} */ part) => goals.indexOf(part.goal) <= goals.indexOf(goal);
  return parts.filter((part) => isNeeded(part) && (part.onlyOn === null || part.onlyOn.includes(kind)));
}

/**
 * The wanted parts that are not here, in a fixed order.
 * @param {Machine} machine
 * @param {{ readonly kind: SystemKind, readonly goal: Goal }} need
 * @returns {Part[]}
 */
export function missingParts(machine, need) {
  return wantedParts(need).filter((part) => !part.isHere(machine));
}

/**
 * The packages that bring these parts on this kind of system, each once.
 * @param {readonly Part[]} wanted
 * @param {SystemKind} kind
 * @returns {string[]}
 */
export function packagesFor(wanted, kind) {
  return [...new Set(wanted.flatMap((part) => part.packages[kind] ?? []))];
}

/**
 * Where a program is; null when it is nowhere on PATH nor in the usual places for daemons.
 * @param {Machine} machine
 * @param {string} name
 * @returns {string | null}
 */
export function findProgram(machine, name) {
  const onPath = (machine.env.PATH ?? "").split(delimiter).filter((directory) => directory.startsWith("/"));
  for (const directory of [...onPath, ...moreDirectories]) {
    const path = at(machine, join(directory, name));
    if (isExecutable(path)) return path;
  }
  return null;
}

/**
 * In the directories of ld.so(8): /usr/lib64, or Debian's one for each architecture.
 * @param {Machine} machine
 * @param {string} name
 */
function findLibrary(machine, name) {
  const bases = ["/lib", "/usr/lib", "/lib64", "/usr/lib64"];
  const nested = bases.flatMap((base) =>
    entries(at(machine, base))
      .filter((entry) => entry.includes("-linux-gnu"))
      .map((entry) => `${base}/${entry}`),
  );
  return [...bases, ...nested].some((directory) => existsSync(at(machine, `${directory}/${name}`)));
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false; // not there, or not ours to run: the same to us
  }
}

/** @param {string} path */
function entries(path) {
  try {
    return readdirSync(path);
  } catch {
    return []; // not there
  }
}

/**
 * @param {string} name
 * @param {Goal} goal
 * @param {readonly string[]} debian
 * @param {readonly string[]} alpine
 * @param {readonly string[]} fedora
 * @param {readonly string[]} macos
 * @returns {Part}
 */
function program(name, goal, debian, alpine, fedora, macos) {
  return {
    name,
    isHere: (machine) => findProgram(machine, name) !== null,
    goal,
    onlyOn: null,
    packages: { debian, alpine, fedora, macos },
  };
}

/**
 * Wanted on Debian alone: elsewhere these lie in other places, and the campaign says which it misses.
 * @param {string} name
 * @param {Goal} goal
 * @param {string} path
 * @param {readonly string[]} debian
 * @returns {Part}
 */
function reader(name, goal, path, debian) {
  return { name, isHere: (machine) => existsSync(at(machine, path)), goal, onlyOn: ["debian"], packages: { debian } };
}
