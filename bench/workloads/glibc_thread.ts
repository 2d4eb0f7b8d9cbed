/**
 * glibc-thread: of `slots` objects a random one is freed, and another allocated in its place. All powers of two up to
 * `max_power` are equally likely, so sizes are the rarer the larger.
 */
import type { Random } from "../../src/shared/base/random.ts";
import { type Activity, freeIfAny, type Heap, obtain, OPS, type Thread, type Workload } from "./workload.ts";

const MIN_POWER = 2;

class GlibcThread implements Activity {
  private readonly heap: Heap;
  private readonly random: Random;
  private readonly powers: number;
  private readonly objects: Int32Array;

  constructor({ heap, random, parameter }: Thread) {
    this.heap = heap;
    this.random = random;
    this.powers = parameter("max_power") - MIN_POWER;
    this.objects = new Int32Array(parameter("slots"));
  }
  chunk(): number {
    const { heap, random, powers, objects } = this;
    for (let i = 0; i < OPS; i++) {
      const slot = random.below(objects.length);
      const power = MIN_POWER + random.below(powers);
      freeIfAny(heap, objects[slot]);
      objects[slot] = obtain(heap, (1 << power) + random.below(1 << power), power);
    }
    return OPS;
  }
  finish(): void {
    for (const object of this.objects) freeIfAny(this.heap, object);
  }
}

export const glibc_thread: Workload = { start: (thread) => new GlibcThread(thread) };
