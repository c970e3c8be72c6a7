/** Where a clamd listens. */

export type ClamdAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** As it stands in logs and metrics. */
export function describeAddress(address: ClamdAddress): string {
  switch (address.kind) {
    case "tcp":
      return address.host.includes(":") ? `tcp://[${address.host}]:${address.port}` : `tcp://${address.host}:${address.port}`;
    case "unix":
      return `unix://${address.path}`;
  }
}
