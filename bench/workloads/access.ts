/**
 * access-...: what single accesses and the smallest protocols cost. No allocator takes part. Those of two threads count
 * one for each direction; further threads only spin, so that the two have to wait for a processor.
 */
import { pause } from "../../src/shared/mem/bare_memory.ts";
import { type Activity, OPS, type Thread, type Workload } from "./workload.ts";

const WORDS = 1024;
const MASK = WORDS - 1;
const ROUNDS = 100;
/** A wait for another thread is given up after this: it may have ended. */
const MOST_WAIT_MS = 100;
const SPINS_PER_CLOCK = 1000;
/** Thread 0 counts up in PING, thread 1 copies that to PONG; each has a cache line of its own. */
const PING = 0;
const PONG = 64;

/** All that was read goes here, so that no read can be left out. */
const sink = new Int32Array(1);

abstract class Access implements Activity {
  protected readonly words: Int32Array;
  protected readonly id: number;

  constructor({ shared, id }: Thread) {
    this.words = shared;
    this.id = id;
  }
  abstract chunk(): number;
  finish(): void {
    // Nothing was allocated.
  }
}

class Load extends Access {
  chunk(): number {
    const { words } = this;
    let sum = 0;
    for (let i = 0; i < OPS; i++) sum = (sum + words[i & MASK]) | 0;
    sink[0] = sum;
    return OPS;
  }
}
class Store extends Access {
  chunk(): number {
    const { words } = this;
    for (let i = 0; i < OPS; i++) words[i & MASK] = i;
    return OPS;
  }
}
function growableWords(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(WORDS * 4, { maxByteLength: WORDS * 8 }));
}
class GrowableLoad extends Access {
  private readonly growable = growableWords();

  chunk(): number {
    const { growable } = this;
    let sum = 0;
    for (let i = 0; i < OPS; i++) sum = (sum + growable[i & MASK]) | 0;
    sink[0] = sum;
    return OPS;
  }
}
class GrowableStore extends Access {
  private readonly growable = growableWords();

  chunk(): number {
    const { growable } = this;
    for (let i = 0; i < OPS; i++) growable[i & MASK] = i;
    return OPS;
  }
}
class AtomicLoad extends Access {
  chunk(): number {
    const { words } = this;
    let sum = 0;
    for (let i = 0; i < OPS; i++) sum = (sum + Atomics.load(words, i & MASK)) | 0;
    sink[0] = sum;
    return OPS;
  }
}
class AtomicStore extends Access {
  chunk(): number {
    for (let i = 0; i < OPS; i++) Atomics.store(this.words, i & MASK, i);
    return OPS;
  }
}
class AtomicAdd extends Access {
  chunk(): number {
    for (let i = 0; i < OPS; i++) Atomics.add(this.words, i & MASK, 1);
    return OPS;
  }
}
class AtomicCompareExchange extends Access {
  chunk(): number {
    for (let i = 0; i < OPS; i++) Atomics.compareExchange(this.words, 0, 0, 0);
    return OPS;
  }
}
class BigIntAdd extends Access {
  private readonly bigints = new BigInt64Array(new SharedArrayBuffer(WORDS * 8));

  chunk(): number {
    for (let i = 0; i < OPS; i++) Atomics.add(this.bigints, i & MASK, 1n);
    return OPS;
  }
}

/** A lock-free list whose nodes are word numbers, never 0; its head is word 0. */
class LlistPush extends Access {
  chunk(): number {
    this.words[0] = 0;
    for (let i = 0; i < OPS; i++) this.push(1 + (i % MASK));
    return OPS;
  }
  private push(node: number): void {
    const { words } = this;
    let first = Atomics.load(words, 0);
    for (;;) {
      words[node] = first;
      const found = Atomics.compareExchange(words, 0, first, node);
      if (found === first) return;
      first = found;
    }
  }
}
class LlistTake extends Access {
  chunk(): number {
    let sum = 0;
    for (let i = 0; i < OPS; i++) sum = (sum + Atomics.exchange(this.words, 0, 0)) | 0;
    sink[0] = sum;
    return OPS;
  }
}
class TrylockPlain extends Access {
  chunk(): number {
    const { words } = this;
    let taken = 0;
    for (let i = 0; i < OPS; i++) {
      if (words[0] !== 0) continue;
      words[0] = 1;
      taken++;
      words[0] = 0;
    }
    return taken;
  }
}
class TrylockAtomic extends Access {
  chunk(): number {
    const { words } = this;
    let taken = 0;
    for (let i = 0; i < OPS; i++) {
      if (Atomics.compareExchange(words, 0, 0, 1) !== 0) continue;
      taken++;
      Atomics.store(words, 0, 0);
    }
    return taken;
  }
}

class Polled extends Access {
  chunk(): number {
    if (this.id === 0) return this.play();
    for (let i = 0; i < SPINS_PER_CLOCK; i++) {
      const n = Atomics.load(this.words, PING);
      if (this.id === 1 && n !== Atomics.load(this.words, PONG)) Atomics.store(this.words, PONG, n);
    }
    return 0;
  }
  private play(): number {
    let n = Atomics.load(this.words, PONG);
    let done = 0;
    for (let round = 0; round < ROUNDS; round++) {
      n = (n + 1) | 0;
      Atomics.store(this.words, PING, n);
      if (!this.spinFor(n)) break;
      done += 2;
    }
    return done;
  }
  private spinFor(n: number): boolean {
    const giveUp = performance.now() + MOST_WAIT_MS;
    do {
      for (let i = 0; i < SPINS_PER_CLOCK; i++) {
        if (Atomics.load(this.words, PONG) === n) return true;
        pause();
      }
    } while (performance.now() < giveUp);
    return false;
  }
}
class Wait extends Access {
  chunk(): number {
    const { words } = this;
    const pong = Atomics.load(words, PONG);
    if (this.id === 0) {
      storeAndWake(words, PING, (pong + 1) | 0);
      Atomics.wait(words, PONG, pong, MOST_WAIT_MS);
      return Atomics.load(words, PONG) === pong ? 0 : 1;
    }
    Atomics.wait(words, PING, pong, MOST_WAIT_MS);
    const ping = Atomics.load(words, PING);
    if (ping !== pong) storeAndWake(words, PONG, ping);
    return 0;
  }
}
function storeAndWake(words: Int32Array, index: number, value: number): void {
  Atomics.store(words, index, value);
  Atomics.notify(words, index);
}

function accesses(create: (thread: Thread) => Activity): Workload {
  return { sharedWords: () => WORDS, start: create };
}

/** By name, without the "access-" that they have in common. */
export const ACCESSES: Readonly<Record<string, Workload>> = {
  load: accesses((thread) => new Load(thread)),
  store: accesses((thread) => new Store(thread)),
  "growable-load": accesses((thread) => new GrowableLoad(thread)),
  "growable-store": accesses((thread) => new GrowableStore(thread)),
  "atomic-load": accesses((thread) => new AtomicLoad(thread)),
  "atomic-store": accesses((thread) => new AtomicStore(thread)),
  "atomic-add": accesses((thread) => new AtomicAdd(thread)),
  "atomic-compare-exchange": accesses((thread) => new AtomicCompareExchange(thread)),
  "bigint-add": accesses((thread) => new BigIntAdd(thread)),
  "llist-push": accesses((thread) => new LlistPush(thread)),
  "llist-take": accesses((thread) => new LlistTake(thread)),
  "trylock-plain": accesses((thread) => new TrylockPlain(thread)),
  "trylock-atomic": accesses((thread) => new TrylockAtomic(thread)),
  polled: accesses((thread) => new Polled(thread)),
  wait: accesses((thread) => new Wait(thread)),
};
