/** Tells systemd how the service is, by systemd's own program: Node cannot write to the datagram socket that sd_notify(3) is about. */

import { spawn } from "node:child_process";

export interface ServiceManager {
  /** Variables of sd_notify(3), as `READY=1`. They arrive in their order; what cannot be told is left untold. */
  tell(...variables: readonly string[]): void;
  /** Ends the watchdog's signs of life. */
  close(): void;
}

const tellTimeoutMs = 5_000;

/** Tells nobody where no service manager has asked for it (`Type=notify`). With `WatchdogSec=` it gives signs of life, twice as often as asked. */
export function serviceManager({ env, pid }: Pick<NodeJS.Process, "env" | "pid">): ServiceManager {
  if (!env.NOTIFY_SOCKET) return { tell() {}, close() {} };
  let last: Promise<unknown> = Promise.resolve();
  const tell = (...variables: readonly string[]) => {
    last = last.then(() => {
      const child = spawn("systemd-notify", variables, { env, stdio: "ignore", timeout: tellTimeoutMs });
      // The gateway's end does not wait for it.
      child.unref();
      return new Promise((told) => child.once("error", told).once("exit", told));
    });
  };
  const isWatched = env.WATCHDOG_PID === undefined || env.WATCHDOG_PID === String(pid);
  const watchdogMs = isWatched ? Number(env.WATCHDOG_USEC ?? 0) / 1000 : 0;
  const timer = watchdogMs > 0 ? setInterval(() => tell("WATCHDOG=1"), watchdogMs / 2).unref() : undefined;
  return { tell, close: () => clearInterval(timer) };
}
