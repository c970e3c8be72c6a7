/** Directories laid out as PyPI, the npm registry and a Debian mirror have them, with one small package and one infected package each. */

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { tar } from "../../fault/tar.ts";
import { zip } from "../../live/zip.ts";

export const sampleText = "a file of a package\n";

export interface Registry {
  /** Root of the web server. */
  readonly directory: string;
  /** Of the web server: registries name themselves in what they serve. */
  readonly url: string;
  /** What the infected packages hold. */
  readonly virus: string;
}

/** `clamgate-sample` and `clamgate-infected`, at `/pypi/simple/` and `/files/`. */
export async function layOutPypi({ directory, url, virus }: Registry): Promise<void> {
  for (const [name, content] of packages(virus)) {
    const module = name.replace("-", "_");
    const info = `${module}-1.0.dist-info`;
    const files = [
      { name: `${module}/__init__.py`, bytes: Buffer.from("") },
      { name: `${module}/data.txt`, bytes: Buffer.from(content) },
      { name: `${info}/METADATA`, bytes: Buffer.from(`Metadata-Version: 2.1\nName: ${name}\nVersion: 1.0\n`) },
      { name: `${info}/WHEEL`, bytes: Buffer.from("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n") },
    ];
    const record = [...files.map((file) => `${file.name},,`), `${info}/RECORD,,`, ""].join("\n");
    const wheel = zip([...files, { name: `${info}/RECORD`, bytes: Buffer.from(record) }]);
    const path = `packages/aa/${module}-1.0-py3-none-any.whl`;
    const link = `<a href="${url}/files/${path}#sha256=${hash("sha256", wheel, "hex")}">${module}-1.0-py3-none-any.whl</a>`;
    await put(join(directory, "files", path), wheel);
    await put(join(directory, "pypi/simple", name, "index.html"), `<!DOCTYPE html><html><body>${link}</body></html>\n`);
  }
}

/** The same names, and `@clamgate/sample`, at `/npm/`; what npm asks for by a package's name is its `index.json`. */
export async function layOutNpm({ directory, url, virus }: Registry): Promise<void> {
  for (const [name, content] of [...packages(virus), ["@clamgate/sample", sampleText] as const]) {
    const manifest = { name, version: "1.0.0" };
    const first = tar("package/package.json", Buffer.from(JSON.stringify(manifest)));
    // Each ends with the two blocks that end an archive.
    const archive = gzipSync(Buffer.concat([first.subarray(0, -1024), tar("package/data.txt", Buffer.from(content))]));
    const file = `${name}/-/${name.split("/").at(-1)}-1.0.0.tgz`;
    const dist = {
      tarball: `${url}/npm/${file}`,
      integrity: `sha512-${hash("sha512", archive, "base64")}`,
      shasum: hash("sha1", archive, "hex"),
    };
    const document = { name, "dist-tags": { latest: "1.0.0" }, versions: { "1.0.0": { ...manifest, dist } } };
    await put(join(directory, "npm", file), archive);
    await put(join(directory, "npm", name, "index.json"), JSON.stringify(document));
  }
}

/** The same names in `bookworm main`, at `/debian/`; `bookworm-updates` and `bookworm-security` are there and empty. */
export async function layOutDebian({ directory, virus }: Registry, architecture: string): Promise<void> {
  const entries: string[] = [];
  for (const [name, content] of packages(virus)) {
    const tree = join(directory, "build", name);
    const control = `Package: ${name}\nVersion: 1.0\nArchitecture: all\nMaintainer: Tests <tests@clamgate.invalid>\nDescription: a sample\n`;
    await put(join(tree, "DEBIAN/control"), control);
    await put(join(tree, "usr/share", name, "data.txt"), content);
    const path = `pool/main/c/${name}_1.0_all.deb`;
    const file = join(directory, "debian", path);
    await mkdir(dirname(file), { recursive: true });
    // Uncompressed: ClamAV does not open these archives, it sees what lies open in them.
    await promisify(execFile)("dpkg-deb", ["-Znone", "--build", tree, file]);
    const bytes = await readFile(file);
    entries.push(`${control}Filename: ${path}\nSize: ${bytes.length}\nSHA256: ${hash("sha256", bytes, "hex")}\n`);
  }
  await putSuite(join(directory, "debian/dists/bookworm"), entries.join("\n"), architecture);
  await putSuite(join(directory, "debian/dists/bookworm-updates"), "", architecture);
  await putSuite(join(directory, "debian-security/dists/bookworm-security"), "", architecture);
}

async function putSuite(directory: string, index: string, architecture: string): Promise<void> {
  const path = `main/binary-${architecture}/Packages`;
  await put(join(directory, path), index);
  const line = ` ${hash("sha256", Buffer.from(index), "hex")} ${Buffer.byteLength(index)} ${path}`;
  const release = `Origin: Tests\nCodename: ${basename(directory)}\nArchitectures: all ${architecture}\nComponents: main\nDate: ${new Date().toUTCString()}\nSHA256:\n${line}\n`;
  await put(join(directory, "Release"), release);
}

function packages(virus: string): readonly (readonly [name: string, content: string])[] {
  return [
    ["clamgate-sample", sampleText],
    ["clamgate-infected", `${virus}\n`],
  ];
}

async function put(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}

function hash(name: string, bytes: Uint8Array, encoding: "hex" | "base64"): string {
  return createHash(name).update(bytes).digest(encoding);
}
