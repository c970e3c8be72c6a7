/** Packages of one file, by the tools that make them. */

import { noBytes } from "../../test/containers/made-zip.ts";
import type { Workshop } from "./workshop.ts";

const name = "evil.txt";

export function deb(workshop: Workshop, packing: string, bytes: Uint8Array): Buffer {
  const control = "Package: a\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: a\n";
  const root = workshop.folder({ "a/DEBIAN/control": control, [`a/${name}`]: bytes });
  return workshop.file("a.deb", root, "dpkg-deb", ["--root-owner-group", `-Z${packing}`, "--build", "a", "a.deb"]);
}

/** rpm's own words for them (macro `_binary_payload`). */
export const rpmPayloads = { gzip: "w9.gzdio", bzip2: "w9.bzdio", xz: "w6.xzdio", zstd: "w3.zstdio" } as const;

export function rpm(workshop: Workshop, payload: string, bytes: Uint8Array): Buffer {
  const spec = `Name: a\nVersion: 1\nRelease: 1\nSummary: a\nLicense: MIT\nBuildArch: noarch\n%description\na\n%install\nmkdir -p %{buildroot}/opt\ncp %{_sourcedir}/${name} %{buildroot}/opt/\n%files\n/opt/${name}\n`;
  const top = workshop.folder({ "a.spec": spec, [name]: bytes });
  const defines = { _topdir: top, _sourcedir: top, _rpmdir: top, _binary_payload: payload, _rpmfilename: "a.rpm", _dbpath: top };
  const args = Object.entries(defines).flatMap(([key, value]) => ["--define", `${key} ${value}`]);
  return workshop.file("a.rpm", top, "rpmbuild", ["-bb", "--quiet", ...args, "a.spec"]);
}

export function makeself(workshop: Workshop, packing: string, bytes: Uint8Array): Buffer {
  // A script that does without what it calls: the one that packs is asked for first.
  if (packing !== "base64") workshop.run(packing, ["-c"], { input: noBytes });
  const folder = workshop.folder({ [`a/${name}`]: bytes });
  return workshop.file("a.run", folder, "makeself", [`--${packing}`, "--nox11", "a", "a.run", "a", "true"]);
}
