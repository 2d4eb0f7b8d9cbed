/** A worker thread of process.ts: one thread of a workload on the shared heap. */
import { workerData } from "node:worker_threads";
import { Barrier } from "../../../src/shared/sync/index.ts";
import { HEAP_WORKLOADS } from "../../workloads/catalogue.ts";
import { type Common, measure, publishMetrics, threadOf, workloadOf } from "../thread_run.ts";
import { EmscriptenHeap } from "./emscripten.ts";
import { FacadeHeap } from "./facade.ts";
import type { HeapSpec } from "./heap_spec.ts";
import { openThingHeap } from "./thing_malloc.ts";
import { WordHeap } from "./word_heap.ts";

export interface ThreadData {
  readonly common: Common;
  readonly id: number;
  readonly heap: HeapSpec;
  readonly barrier: SharedArrayBuffer;
}

/** For workloads that allocate nothing. */
class NoHeap extends WordHeap {
  constructor() {
    super(new Int32Array(0));
  }
  malloc(): number {
    return 0;
  }
  free(): void {
    // There are no objects.
  }
}

function openHeap(spec: HeapSpec, id: number): WordHeap {
  switch (spec.kind) {
    case "thi.ng":
      return openThingHeap(spec);
    case "sheaf":
      return new FacadeHeap(spec);
    case "emscripten":
      return new EmscriptenHeap(spec, id);
    default:
      return new NoHeap();
  }
}

const { common, id, heap, barrier } = workerData as ThreadData;
const words = Barrier.at(barrier, 0);
const meet = (): void => {
  Barrier.wait(words, id + 1);
};
const thread = threadOf(common, id, openHeap(heap, id));
const workload = workloadOf(HEAP_WORKLOADS, common.job);
if (id === 0) workload.setup?.(thread);
meet();
const activity = workload.start(thread);
measure(common, id, thread.heap, activity, meet);
meet();
if (id === 0) publishMetrics(common, activity);
activity.finish();
meet();
if (id === 0) workload.clear?.(thread);
