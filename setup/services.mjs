/**
 * Keeps Debian's services asleep: a Debian package starts and enables its service as it is installed, and its own clamd,
 * freshclam, redis or nginx must not run beside ours, neither now nor after the next boot.
 *
 * How: while packages are installed, policy-rc.d(8) answers "no" to every start of a service that is new here; a former
 * policy-rc.d is moved aside, still asked for all other services, and put back at the end. Then the new services' links are
 * taken from the boot (systemd and System V alike), which later upgrades respect (deb-systemd-helper(1p) was-enabled).
 * A service that was here before the set-up, or that runs or is enabled by whatever means, is the operator's: never denied,
 * stopped or disabled.
 *
 * The policy file is also the journal: it names the new services, so a set-up that was killed is tidied up by the next one.
 * It denies only while the process that wrote it lives; after that it asks the former policy alone.
 */

import { chmodSync, existsSync, lstatSync, readdirSync, readlinkSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { at, readIfThere } from "./machine.mjs";

/** @typedef {import("./machine.mjs").Machine} Machine */
/** @typedef {import("./command.mjs").Run} Run */

/** @typedef {{ readonly name: string, readonly units: readonly string[], readonly packages: readonly string[] }} Service */

/** @type {readonly Service[]} */
const services = [
  { name: "clamav-daemon", units: ["clamav-daemon.service", "clamav-daemon.socket"], packages: ["clamav-daemon"] },
  { name: "clamav-freshclam", units: ["clamav-freshclam.service"], packages: ["clamav-freshclam"] },
  { name: "redis-server", units: ["redis-server.service"], packages: ["redis-server"] },
  { name: "caddy", units: ["caddy.service", "caddy-api.service"], packages: ["caddy"] },
  { name: "prometheus", units: ["prometheus.service"], packages: ["prometheus", "prometheus-node-exporter"] },
  { name: "haproxy", units: ["haproxy.service"], packages: ["haproxy"] },
  { name: "nginx", units: ["nginx.service"], packages: ["nginx", "nginx-common"] },
  { name: "squid", units: ["squid.service"], packages: ["squid-openssl"] },
  { name: "rspamd", units: ["rspamd.service"], packages: ["rspamd"] },
  { name: "clamav-milter", units: ["clamav-milter.service"], packages: ["clamav-milter"] },
  { name: "c-icap", units: ["c-icap.service"], packages: ["c-icap"] },
];

const policyPath = "/usr/sbin/policy-rc.d";
const formerPath = "/usr/sbin/policy-rc.d.before-clamgate";
const mark = "# clamgate set-up keeps asleep:";

/**
 * Denies the start of services that are not here yet, until `release`, which always has to be called.
 * @param {{ readonly machine: Machine, readonly run: Run }} options
 * @returns {Promise<{ release: () => Promise<void> }>}
 */
export async function holdServices({ machine, run }) {
  const left = leftBehind(machine) ?? [];
  /** @type {Service[]} */
  const fresh = [];
  for (const service of services) {
    if (left.includes(service.name) || !(await isOperators(service, machine, run))) fresh.push(service);
  }
  const path = at(machine, policyPath);
  if (isPresent(path) && !isOurs(machine)) renameSync(path, at(machine, formerPath));
  try {
    writeFileSync(path, policyScript(fresh, machine));
    chmodSync(path, 0o755); // writeFileSync's mode would be cut by the umask
  } catch (error) {
    restorePolicy(machine);
    throw error;
  }
  return { release: () => release(fresh, machine, run) };
}

/**
 * Whether a set-up was killed before it released what it held: programs may be unpacked then, and yet not be configured.
 * @param {Machine} machine
 */
export function isHoldLeftBehind(machine) {
  return leftBehind(machine) !== null;
}

/**
 * For a person who installs these packages by hand: how to keep their services asleep; null where nothing would start them.
 * @param {Machine} machine
 * @param {readonly string[]} packages
 * @returns {string | null}
 */
export function disableCommand(machine, packages) {
  const started = services.filter((service) => service.packages.some((name) => packages.includes(name)));
  if (started.length === 0 || !hasSystemd(machine)) return null;
  return `sudo systemctl disable --now ${started.flatMap((service) => service.units).join(" ")}`;
}

/**
 * The order matters: the journal goes last, so that whatever interrupts this, the next set-up does it again.
 * @param {readonly Service[]} fresh
 * @param {Machine} machine
 * @param {Run} run
 */
async function release(fresh, machine, run) {
  const here = fresh.filter((service) => isInstalled(service, machine));
  for (const service of here) {
    if (existsSync(at(machine, `/etc/init.d/${service.name}`))) {
      await run("update-rc.d", [service.name, "disable"], { isCleanup: true });
    }
    for (const unit of service.units) removeUnitLinks(unit, machine);
  }
  if (here.length > 0 && hasSystemd(machine)) {
    await run("systemctl", ["daemon-reload"], { isCleanup: true });
    // They were new and could not start; should one have found a way all the same, it ends here.
    await run("systemctl", ["stop", ...here.flatMap((service) => service.units)], { isCleanup: true });
  }
  restorePolicy(machine);
}

/**
 * The services that a killed set-up held; null when there was none. Killed between moving the former policy aside and
 * writing its own, it held none.
 * @param {Machine} machine
 * @returns {string[] | null}
 */
function leftBehind(machine) {
  const line = readIfThere(at(machine, policyPath))
    .split("\n")
    .find((text) => text.startsWith(mark));
  if (line !== undefined) return line.slice(mark.length).trim().split(" ");
  return isPresent(at(machine, formerPath)) && !isPresent(at(machine, policyPath)) ? [] : null;
}

/** @param {Machine} machine */
function isOurs(machine) {
  return readIfThere(at(machine, policyPath)).includes(mark);
}

/** @param {Machine} machine */
function restorePolicy(machine) {
  if (isPresent(at(machine, formerPath))) renameSync(at(machine, formerPath), at(machine, policyPath));
  else rmSync(at(machine, policyPath), { force: true });
}

/**
 * @param {Service} service
 * @param {Machine} machine
 * @param {Run} run
 */
async function isOperators(service, machine, run) {
  for (const name of service.packages) {
    // "half-configured" is not "installed": that is what an interrupted set-up leaves.
    const { code, output } = await run("dpkg-query", ["-W", "-f", `\${db:Status-Status}`, name]);
    if (code === 0 && output.trim() === "installed") return true;
  }
  if (hasSystemd(machine)) {
    for (const unit of service.units) {
      for (const question of ["is-active", "is-enabled"]) {
        if ((await run("systemctl", ["--quiet", question, unit])).code === 0) return true;
      }
    }
    return false;
  }
  if (!existsSync(at(machine, `/etc/init.d/${service.name}`))) return false;
  return (await run("service", [service.name, "status"])).code === 0;
}

/** @param {Service} service @param {Machine} machine */
function isInstalled(service, machine) {
  const places = [`/etc/init.d/${service.name}`, ...service.units.flatMap((unit) => unitPlaces(unit))];
  return places.some((path) => existsSync(at(machine, path)));
}

/** @param {Machine} machine */
function hasSystemd(machine) {
  return existsSync(at(machine, "/run/systemd/system")); // sd_booted(3)
}

/** @param {string} unit */
function unitPlaces(unit) {
  return [`/lib/systemd/system/${unit}`, `/usr/lib/systemd/system/${unit}`];
}

/**
 * What `systemctl disable` does, also where there is no systemctl: every link to the package's unit goes, aliases too.
 * @param {string} unit
 * @param {Machine} machine
 */
function removeUnitLinks(unit, machine) {
  const base = at(machine, "/etc/systemd/system");
  for (const directory of [base, ...linkDirectories(base)]) {
    for (const name of entries(directory)) {
      const path = `${directory}/${name}`;
      if (lstatSync(path).isSymbolicLink() && unitPlaces(unit).includes(readlinkSync(path))) rmSync(path);
    }
  }
}

/** @param {string} base */
function linkDirectories(base) {
  return entries(base)
    .filter((name) => name.endsWith(".wants") || name.endsWith(".requires"))
    .map((name) => `${base}/${name}`);
}

/** @param {string} directory */
function entries(directory) {
  return existsSync(directory) ? readdirSync(directory) : [];
}

/** Also true for a link that leads nowhere. @param {string} path */
function isPresent(path) {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/**
 * invoke-rc.d passes a service's name, deb-systemd-invoke a unit's; 101 is "no" (policy-rc.d(8)). The last lines decide for
 * other services as if there were no policy: nothing starts without an init, nor what invoke-rc.d itself would not start,
 * which it says by an action in parentheses.
 * @param {readonly Service[]} fresh
 * @param {Machine} machine
 */
function policyScript(fresh, machine) {
  const names = fresh.flatMap((service) => [service.name, ...service.units]);
  const former = at(machine, formerPath);
  return `#!/bin/sh
${mark} ${fresh.map((service) => service.name).join(" ")}
# Only while packages are installed; put back to what was here before at its end, or at its next start.
if kill -0 ${machine.pid} 2>/dev/null; then
  for word in "$@"; do
    case "$word" in
      ${names.length > 0 ? names.join("|") : "-"}) exit 101 ;;
    esac
  done
fi
if [ -x ${former} ]; then exec ${former} "$@"; fi
if [ ! -e ${at(machine, "/sbin/init")} ]; then exit 101; fi
case "$*" in *"("*) exit 101 ;; esac
exit 0
`;
}
