#!/usr/bin/env node
/** The command of the installed package: what is built, on a Node that is new enough. A checkout runs its source by ./clamgate. */

import { existsSync, readFileSync } from "node:fs";

const root = new URL("../", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL("package.json", root), "utf8"));
const least = manifest.engines.node.replace(">=", "");

if (isOlder(process.versions.node, least)) {
  process.stderr.write(
    `clamgate ${manifest.version} needs Node.js ${least} or newer, and this is ${process.versions.node} (${process.execPath}).\n` +
      `Install a newer one from https://nodejs.org, or take it from npm for this run: npx -p node@${least} -p clamgate clamgate\n`,
  );
  process.exitCode = 1;
} else {
  const source = new URL("src/main.ts", root);
  await import((existsSync(source) ? source : new URL("dist/src/main.js", root)).href);
}

/**
 * Compares what is written as `24.12` or `26.10.0`.
 * @param {string} version
 * @param {string} other
 */
function isOlder(version, other) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [otherMajor = 0, otherMinor = 0] = other.split(".").map(Number);
  return major < otherMajor || (major === otherMajor && minor < otherMinor);
}
