/** The yardstick of the download proxy: passes each answer of its one origin on as it comes, over connections that it keeps. */

import { Agent, createServer, get } from "node:http";
import { pipeline } from "node:stream";

const [origin = ""] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true });

const server = createServer((request, response) => {
  get(`${origin}${request.url}`, { agent }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    pipeline(answer, response, () => {}); // whoever breaks off is done
  });
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") console.log(`listening on http://127.0.0.1:${address.port}`);
});
process.on("SIGTERM", () => process.exit());
