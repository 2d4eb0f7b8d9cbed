/**
 * A process that measures an allocator called from JavaScript, or single accesses: worker threads on one shared heap.
 *
 *   node process.ts JSON      a JavascriptJob; prints a Sample
 */
import { once } from "node:events";
import path from "node:path";
import { Worker } from "node:worker_threads";
import { Barrier } from "../../../src/shared/sync/index.ts";
import { HEAP_WORKLOADS } from "../../workloads/catalogue.ts";
import { answer } from "../answer.ts";
import type { Job, Sample } from "../job.ts";
import { commonOf, metricsOf, threadTimes, workloadOf } from "../thread_run.ts";
import { createEmscriptenSpec } from "./emscripten.ts";
import { createFacadeSpec } from "./facade.ts";
import { HEAP_BYTES, type HeapSpec } from "./heap_spec.ts";
import { createThingSpec } from "./thing_malloc.ts";
import type { ThreadData } from "./thread.ts";

export interface JavascriptJob extends Job {
  readonly heap: HeapSpec["kind"] | "thi.ng, no lock";
  /** Of what is measured: printed. */
  readonly version: string;
  /** The compiled allocator; emscripten only. */
  readonly wasmFile: string;
}

function createHeap({ heap, wasmFile, threads }: JavascriptJob): HeapSpec {
  switch (heap) {
    case "thi.ng":
    case "thi.ng, no lock":
      return createThingSpec(HEAP_BYTES, heap === "thi.ng");
    case "sheaf":
      return createFacadeSpec(HEAP_BYTES, threads);
    case "emscripten":
      return createEmscriptenSpec(wasmFile, HEAP_BYTES, threads);
    default:
      return { kind: "none" };
  }
}

async function run(job: JavascriptJob): Promise<Sample> {
  const common = commonOf(job, workloadOf(HEAP_WORKLOADS, job));
  const barrier = new SharedArrayBuffer(Barrier.BYTES);
  Barrier.init(job.threads, barrier);
  const heap = createHeap(job);
  const workers = Array.from({ length: job.threads }, (_, id) => {
    const workerData: ThreadData = { common, id, heap, barrier };
    return new Worker(new URL(`./thread${path.extname(import.meta.filename)}`, import.meta.url), { workerData });
  });
  await Promise.all(workers.map((worker) => once(worker, "exit"))); // An error in one of them rejects.
  return { version: job.version, threads: threadTimes(common), metrics: metricsOf(common) };
}

await answer(() => run(JSON.parse(process.argv[2]) as JavascriptJob));
