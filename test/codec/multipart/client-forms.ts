/** Forms as clients and frameworks write them, byte for byte but for what is random: what they send must go on being taken. */

export interface ClientForm {
  readonly client: string;
  readonly contentType: string;
  /** One character per byte. Holds one file, `name`, of `content`. */
  readonly body: string;
  readonly name: string;
}

/** Looks like the beginning of a boundary, is binary, and ends like a line. */
export const content = "\x89PNG\r\n--\r\n----\n\0\xff\r\n";

interface Writing {
  readonly boundary: string;
  /** Default: `multipart/form-data; boundary=…`. */
  readonly contentType?: string;
  /** Header lines of the file's part. */
  readonly part: readonly string[];
  readonly name?: string;
  /** Behind the closing boundary. Default: one line end. */
  readonly end?: string;
  /** Before the first boundary. */
  readonly begin?: string;
  /** Default: CR LF. */
  readonly lineEnd?: string;
}

const file = 'Content-Disposition: form-data; name="file"; filename="a.bin"';
const binary = "Content-Type: application/octet-stream";

function written(client: string, { boundary, part, ...how }: Writing): ClientForm {
  const { contentType = `multipart/form-data; boundary=${boundary}`, name = "a.bin", begin = "", lineEnd = "\r\n" } = how;
  const head = [`--${boundary}`, ...part, "", ""].join(lineEnd);
  const body = `${begin}${head}${content}${lineEnd}--${boundary}--${how.end ?? lineEnd}`;
  return { client, contentType, body, name };
}

const hex = "d74496d66958873e";

export const clientForms: readonly ClientForm[] = [
  written("curl 8", { boundary: `------------------------${hex}`, part: [file, binary] }),
  written("curl before 7.56, Expect and all", { boundary: `----------------------------${hex.slice(4)}`, part: [file, binary] }),
  written("wget: --post-file of a form made by hand", { boundary: "AaB03x", part: [file, "Content-Type: text/plain"] }),
  written("Chrome, Edge, Safari (WebKit)", { boundary: "----WebKitFormBoundary7MA4YWxkTrZu0gW", part: [file, binary] }),
  written("Chrome with quotes and line ends in the name", {
    boundary: "----WebKitFormBoundary7MA4YWxkTrZu0gW",
    part: ['Content-Disposition: form-data; name="file"; filename="a%22%0D%0A.bin"', binary],
    name: "a%22%0D%0A.bin",
  }),
  written("Firefox", { boundary: "---------------------------293582696224464", part: [file, binary] }),
  written("Firefox since 100", { boundary: `----geckoformboundary${hex}${hex}`, part: [file, binary] }),
  written("Internet Explorer with its paths", {
    boundary: "---------------------------7e13971310878",
    part: [
      'Content-Disposition: form-data; name="file"; filename="C:\\docs\\a.bin"',
      "Content-Type: application/x-zip-compressed",
    ],
    name: "C:\\docs\\a.bin",
  }),
  written("Python requests, urllib3", { boundary: `${hex}${hex}`, part: [file] }),
  written("urllib3 with a type", { boundary: `${hex}${hex}`, part: [file, binary] }),
  written("urllib3 1, requests with an umlaut", {
    boundary: `${hex}${hex}`,
    part: ["Content-Disposition: form-data; name=\"file\"; filename*=utf-8''%C3%A4.bin"],
    name: "\u00e4.bin",
  }),
  written("requests-toolbelt", { boundary: `${hex}${hex}`, part: [file, "Content-Type: text/plain"] }),
  written("aiohttp", { boundary: `${hex}${hex}`, part: [binary, file] }),
  written("aiohttp 3.8 and before, with its length", {
    boundary: `${hex}${hex}`,
    part: [binary, file, `Content-Length: ${content.length}`],
  }),
  written("httpx", { boundary: `${hex}${hex}`, part: [file, binary] }),
  written("Python's email.mime", {
    boundary: "===============7330845974216740156==",
    contentType: 'multipart/form-data; boundary="===============7330845974216740156=="',
    part: [binary, "MIME-Version: 1.0", "Content-Transfer-Encoding: binary", file],
  }),
  written("Go mime/multipart", { boundary: `${hex}${hex}${hex}000000000000`, part: [file, binary] }),
  written("Go with a quoted boundary", {
    boundary: "my:boundary",
    contentType: 'multipart/form-data; boundary="my:boundary"',
    part: [file, binary],
  }),
  written("OkHttp 3 and 4, Retrofit", {
    boundary: "5f2c7fbc-8d1e-4a1c-9b0c-1a2b3c4d5e6f",
    part: [file, binary, `Content-Length: ${content.length}`],
  }),
  written("OkHttp 5", { boundary: "5f2c7fbc-8d1e-4a1c-9b0c-1a2b3c4d5e6f", part: [file, binary] }),
  written("Apache HttpClient 4, strict", {
    boundary: "AqDQyS_wdjxRmO-k1dMPFDyVJlXKqeA3KJz",
    part: [file, binary, "Content-Transfer-Encoding: binary"],
  }),
  written("Apache HttpClient 4 with a charset", {
    boundary: "AqDQyS_wdjxRmO-k1dMPFDyVJlXKqeA3KJz",
    contentType: "multipart/form-data; boundary=AqDQyS_wdjxRmO-k1dMPFDyVJlXKqeA3KJz; charset=UTF-8",
    part: [file, binary],
  }),
  written("Apache HttpClient 5", {
    boundary: "httpclient_boundary_5f2c7fbc-8d1e-4a1c-9b0c-1a2b3c4d5e6f",
    contentType: "multipart/form-data; boundary=httpclient_boundary_5f2c7fbc-8d1e-4a1c-9b0c-1a2b3c4d5e6f",
    part: [file, binary],
  }),
  written("Spring RestTemplate, WebClient", {
    boundary: "oJ0tcHr_0lQhsQZ0pA2pFOTQ8XTyvT",
    contentType: "multipart/form-data;boundary=oJ0tcHr_0lQhsQZ0pA2pFOTQ8XTyvT",
    part: [file, binary, `Content-Length: ${content.length}`],
  }),
  written("Spring RestTemplate with a charset first", {
    boundary: "oJ0tcHr_0lQhsQZ0pA2pFOTQ8XTyvT",
    contentType: "multipart/form-data;charset=UTF-8;boundary=oJ0tcHr_0lQhsQZ0pA2pFOTQ8XTyvT",
    part: [
      'Content-Disposition: form-data; name="file"; filename="=?UTF-8?Q?=C3=A4.bin?="; filename*=UTF-8\'\'%C3%A4.bin',
      binary,
    ],
    name: "\u00e4.bin",
  }),
  written("JavaMail, Jersey", {
    boundary: "----=_Part_0_1725883903.1700000000000",
    contentType: 'multipart/form-data; boundary="----=_Part_0_1725883903.1700000000000"',
    part: [binary, "Content-Transfer-Encoding: binary", file],
  }),
  written("Jersey's own", { boundary: "Boundary_1_1725883903_1700000000000", part: [binary, file] }),
  written("Android by hand: the snippet with five asterisks", {
    boundary: "*****",
    part: ['Content-Disposition: form-data; name="file";filename="a.bin"'],
  }),
  written("Java by hand: a boundary of time", {
    boundary: "===1700000000000===",
    contentType: 'multipart/form-data; boundary="===1700000000000==="',
    part: [file, "Content-Type: null", "Content-Transfer-Encoding: binary"],
  }),
  written(".NET HttpClient: quoted boundary, names without quotes, both kinds of name", {
    boundary: "5f2c7fbc-8d1e-4a1c-9b0c-1a2b3c4d5e6f",
    contentType: 'multipart/form-data; boundary="5f2c7fbc-8d1e-4a1c-9b0c-1a2b3c4d5e6f"',
    part: ["Content-Disposition: form-data; name=file; filename=a.bin; filename*=utf-8''a.bin"],
  }),
  written("PowerShell Invoke-WebRequest -Form", {
    boundary: "5f2c7fbc-8d1e-4a1c-9b0c-1a2b3c4d5e6f",
    contentType: 'multipart/form-data; boundary="5f2c7fbc-8d1e-4a1c-9b0c-1a2b3c4d5e6f"',
    part: [binary, file],
  }),
  written("RestSharp before 107", { boundary: "-----------------------------28947758029299", part: [file, binary] }),
  written(".NET WebClient.UploadFile", { boundary: "---------------------8dc1a2b3c4d5e6f", part: [file, binary], begin: "" }),
  written("Node's form-data, axios, got 11, superagent, request", {
    boundary: "--------------------------515890814546601021194782",
    part: [file, binary],
  }),
  written("undici before 6, formdata-node", { boundary: "----formdata-undici-0.7193572936", part: [file, binary] }),
  written("undici since 6, Node's fetch", { boundary: "----formdata-undici-071935729361", part: [file, binary] }),
  written("formdata-polyfill, got 12", { boundary: "----formdata-polyfill-0.7193572936", part: [file, binary], end: "\r\n\r\n" }),
  written("Deno", { boundary: `----FormDataBoundary${hex}`, part: [file, binary] }),
  written("Bun", { boundary: `-WebkitFormBoundary${hex}${hex}`, part: [file, binary] }),
  written("PHP curl", { boundary: `------------------------${hex}`, part: [file, binary] }),
  written("PHP Guzzle, with its length", {
    boundary: `${hex}${hex}`.slice(0, 40),
    part: [file, `Content-Length: ${content.length}`, binary],
  }),
  written("Symfony Mime", { boundary: "_pNx1Pjy", part: [binary, "Content-Transfer-Encoding: 8bit", file] }),
  written("Zend, Laminas", { boundary: `---ZENDHTTPCLIENT-${hex}${hex}`, part: [file, binary] }),
  written("Ruby rest-client", { boundary: "----RubyFormBoundaryTDeFTxqpBMPjg5Zs", part: [file, binary] }),
  written("Ruby multipart-post, Faraday", {
    boundary: `-----------RubyMultipartPost-${hex}`,
    part: [file, `Content-Length: ${content.length}`, binary, "Content-Transfer-Encoding: binary"],
  }),
  written("Ruby Net::HTTP set_form", {
    boundary: "4CbD1q0PYd6kWuXYwzR8OA",
    contentType: "multipart/form-data; boundary=4CbD1q0PYd6kWuXYwzR8OA",
    part: [file, binary],
  }),
  written("HTTParty", { boundary: `------------------------${hex}Aa`, part: [file, binary] }),
  written("Postman", { boundary: "--------------------------824953098293832840920103", part: [file, binary] }),
  written("Insomnia", { boundary: "X-INSOMNIA-BOUNDARY", part: [file, binary] }),
  written("Dart http", {
    boundary: "dart-http-boundary-NpLnhlEgMzmnzM0m3h0uJ6J9k2VJvOq3JxUyvC4o7b4m2sqXW5",
    part: ["content-type: application/octet-stream", 'content-disposition: form-data; name="file"; filename="a.bin"'],
  }),
  written("Dart dio", {
    boundary: "--dio-boundary-0123456789",
    part: ['content-disposition: form-data; name="file"; filename="a.bin"', "content-type: application/octet-stream"],
  }),
  written("Rust reqwest", { boundary: `${hex}-${hex}-${hex}-0a1b`, part: [file, binary] }),
  written("Perl LWP", { boundary: "xYzZY", part: [file, binary] }),
  written("Perl Mojolicious", { boundary: "Yk3Pq", part: ['Content-Disposition: form-data; name="file"; filename="a.bin"'] }),
  written("Elixir Tesla, hackney", {
    boundary: `---------------------------${hex}`,
    part: [
      `content-length: ${content.length}`,
      'content-disposition: form-data; name="file"; filename="a.bin"',
      "content-type: application/octet-stream",
    ],
  }),
  written("Swift Alamofire", { boundary: "alamofire.boundary.1a2b3c4d5e6f7a8b", part: [file, binary] }),
  written("AFNetworking", { boundary: "Boundary+0123456789ABCDEF", part: [file, binary] }),
  written("iOS by hand", { boundary: "Boundary-5F2C7FBC-8D1E-4A1C-9B0C-1A2B3C4D5E6F", part: [file, binary] }),
  written("Qt QHttpMultiPart", {
    boundary: "boundary_.oOo._MjAxNzY5ODY5NzE0MTI2NTQ=",
    contentType: 'multipart/form-data; boundary="boundary_.oOo._MjAxNzY5ODY5NzE0MTI2NTQ="',
    part: [binary, file],
  }),
  written("libsoup", {
    boundary: "----=_12345678",
    contentType: 'multipart/form-data; boundary="----=_12345678"',
    part: [file, binary],
  }),
  written("OkHttp with a charset", { boundary: `${hex}-${hex}`, part: [file, "Content-Type: text/plain; charset=utf-8"] }),
  written("Jersey, RESTEasy with a charset", {
    boundary: `${hex}${hex}`,
    part: [file, "Content-Type: text/plain;charset=UTF-8"],
  }),
  written("a mail library, with the name in the type", {
    boundary: `${hex}${hex}`,
    part: [file, 'Content-Type: image/jpeg; name="k\xc3\xa4se, a.bin"'],
  }),
  written("a script without a type", { boundary: `${hex}${hex}`, part: [file, "Content-Type: "] }),
  written("an empty line first", { boundary: "AaB03x", begin: "\r\n", part: [file, binary] }),
  written("a shell script whose lines end in LF", { boundary: "AaB03x", lineEnd: "\n", part: [file, binary] }),
  written("multipart/mixed", { boundary: "AaB03x", contentType: "multipart/mixed; boundary=AaB03x", part: [file, binary] }),
];
