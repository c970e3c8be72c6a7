/** What work costs, whatever else the machine does meanwhile: the processor time of this thread, not that of the clock. */

export function costMs(work: () => unknown): number {
  const before = process.threadCpuUsage();
  work();
  return since(before);
}

export async function asyncCostMs(work: () => Promise<unknown>): Promise<number> {
  const before = process.threadCpuUsage();
  await work();
  return since(before);
}

function since(before: NodeJS.CpuUsage): number {
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}
