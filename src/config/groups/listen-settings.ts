/** Where the gateway listens, and to whom. */

import { host, ipRanges, path } from "../addresses.ts";
import { wholeNumber } from "../numbers.ts";
import { list, origin, yesOrNo } from "../parser.ts";
import { setting, unset, written } from "../setting.ts";

/** 0 lets the system choose. */
const port = wholeNumber({ from: 0, to: 65_535 });

export const listenSettings = [
  setting({
    name: "HOST",
    group: "Addresses",
    parser: host(),
    // As clamav-rest, which listens on ":9000". An address of one family would be deaf in a cluster that has only the other.
    default: written("::"),
    help: "Address to listen on. `::` is every address, IPv4 as well as IPv6; use `0.0.0.0` where the kernel has no IPv6.",
  }),
  setting({
    name: "PORT",
    group: "Addresses",
    parser: port,
    default: written("9000"),
    help: "Port for HTTP/1.1 and h2c. `0` takes any free one.",
  }),
  setting({
    name: "SSL_PORT",
    group: "Addresses",
    parser: port,
    default: unset,
    help: "Port for HTTP/1.1 and h2 over TLS. Without it there is no TLS, and SSL_CERT and SSL_KEY are ignored.",
  }),
  setting({
    name: "SSL_CERT",
    group: "Addresses",
    parser: path(),
    default: written("/etc/ssl/clamav-rest/server.crt"),
    help: "Certificate chain, PEM. Where it is missing, TLS is left out and the log says so.",
  }),
  setting({
    name: "SSL_KEY",
    group: "Addresses",
    parser: path(),
    default: written("/etc/ssl/clamav-rest/server.key"),
    help: "Private key of SSL_CERT, PEM.",
  }),
  setting({
    name: "ALLOW_ORIGINS",
    group: "Addresses",
    parser: list({ item: origin(), separator: "; ," }),
    default: written(""),
    isAnyCase: true,
    help: "Web origins whose pages may call the gateway (CORS); `*` alone is every origin. Unset or empty: only its own.",
  }),
  setting({
    name: "PAGE",
    group: "Addresses",
    parser: yesOrNo(),
    default: written("yes"),
    help: "Whether browsers get a page to scan files with at `/`, and the API's description at `/docs`. `no`: both are 404.",
  }),
  setting({
    name: "TRUSTED_PROXIES",
    group: "Addresses",
    parser: ipRanges,
    default: written(""),
    help: "Addresses and ranges of web servers in front that are believed whose request it is (`Forwarded` or `X-Forwarded-For`): clients then take turns and stand in the log by their own address. None: whoever connects is the client.",
  }),
] as const;
