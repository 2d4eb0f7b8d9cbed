/**
 * The threads of fixed-ring-buffer.ts on two real workers: `node examples/ring-buffer-workers.ts` moves five
 * thousand items from one to the other. Whoever sees a wrong one throws.
 */
import { once } from "node:events";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { attachMemory, sharedBuffer } from "../src/main/kit/index.ts";
import { consume, produce, Ring } from "./fixed-ring-buffer.ts";

interface Part {
  readonly buffer: SharedArrayBuffer;
  readonly role: "producer" | "consumer";
}
const COUNT = 5_000;

async function runBoth(): Promise<void> {
  const buffer = sharedBuffer(Ring);
  const parts: readonly Part[] = [
    { buffer, role: "producer" },
    { buffer, role: "consumer" },
  ];
  const workers = parts.map((part) => new Worker(new URL(import.meta.url), { workerData: part }));
  // Rejects when a worker throws.
  await Promise.all(workers.map((worker) => once(worker, "exit")));
  console.log(`${COUNT} items, each once and in order`);
}
function runPart({ buffer, role }: Part): void {
  const { mem, shared } = attachMemory(Ring, buffer);
  if (role === "producer") produce(mem, shared, COUNT);
  else consume(mem, shared, COUNT);
}

if (isMainThread) await runBoth();
else runPart(workerData as Part);
