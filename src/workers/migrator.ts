/**
 * Two threads exchange their CPUs (src/shared/cpu/migrate.ts), both at a place where their tasks may migrate:
 *
 *   A offers itself, waits a little for somebody, and goes on if nobody comes
 *   B finds the offer, and accepts
 *   A leaves its CPU, and says so; B waits for that, leaves its own, says so; each takes the other's
 *
 * From the acceptance on both are bound to do it, and neither makes a step, so what is raised at either CPU meanwhile
 * waits in its pending word. All words lie beside the machine's memory: migrating is no step.
 *
 *   OFFER   0; A + 1; A + 1 | (B + 1) << 8 once B has accepted. A, back from it, sets it to 0: one exchange at a time
 *   TURN    one for each CPU: 1 when the other one has left its CPU. The thread that waits sets it back
 */
import { MachineStopped } from "../shared/base/verdict.ts";
import { Random } from "../shared/base/random.ts";
import type { Cpu } from "../shared/cpu/cpu.ts";
import { P_STOP } from "../shared/layout/cpu.ts";
import { Globals } from "../shared/layout/globals.ts";
import { PerCpu } from "../shared/layout/percpu.ts";
import { pause } from "../shared/mem/bare_memory.ts";
import type { InterruptibleMemory, Migrator } from "../shared/mem/interruptible_memory.ts";
import { embedded } from "../shared/mem/struct.ts";
import type { Control } from "./control.ts";

const { stopping: STOPPING } = Globals.offset;
const { pending: PENDING } = PerCpu.offset;

/** Word numbers, behind those of control.ts. */
const OFFER = 64;
const TURN = 80;
const PARTNER_SHIFT = 8;
/** A task that stands in the middle of something offers itself once in so many times; others only accept. */
const OFFER_ONE_IN = 4;
/** How long it waits for somebody: some looks, then asleep. It takes no interrupts meanwhile. */
const LOOKS = 200;
const PATIENCE_MS = 0.5;
/** A thread that waits for its turn looks at least so often whether the machine has been stopped. */
const LOOK_MS = 10;

export class ThreadMigrator implements Migrator {
  private readonly cpu: Cpu;
  private readonly mem: InterruptibleMemory;
  private readonly words: Int32Array;
  private readonly random: Random;

  constructor(cpu: Cpu, mem: InterruptibleMemory, control: Control, seed: number) {
    this.cpu = cpu;
    this.mem = mem;
    this.words = new Int32Array(control.buffer);
    this.random = new Random(seed + cpu.id);
  }

  exchange(inOperation: boolean): ReturnType<Migrator["exchange"]> {
    const { cpu, mem } = this;
    if (mem.peek(cpu.globals, STOPPING) !== 0) return undefined; // Whoever comes to rest is the CPU that it then is.
    const offer = Atomics.load(this.words, OFFER);
    if (offer === 0) return inOperation && this.random.below(OFFER_ONE_IN) === 0 ? this.offer() : undefined;
    return offer >> PARTNER_SHIFT === 0 && offer - 1 !== cpu.id ? this.accept(offer) : undefined;
  }
  private offer(): ReturnType<Migrator["exchange"]> {
    const { words } = this;
    const own = this.cpu.id + 1;
    if (Atomics.compareExchange(words, OFFER, 0, own) !== 0) return undefined;
    for (let looks = LOOKS; looks > 0 && Atomics.load(words, OFFER) === own; looks--) pause();
    Atomics.wait(words, OFFER, own, PATIENCE_MS);
    const found = Atomics.compareExchange(words, OFFER, own, 0);
    if (found === own) return undefined;
    const partner = (found >> PARTNER_SHIFT) - 1;
    this.leaveTo(partner);
    this.waitForTurn();
    Atomics.store(words, OFFER, 0);
    return this.cpuOf(partner);
  }
  private accept(offer: number): ReturnType<Migrator["exchange"]> {
    const accepted = offer | ((this.cpu.id + 1) << PARTNER_SHIFT);
    if (Atomics.compareExchange(this.words, OFFER, offer, accepted) !== offer) return undefined;
    Atomics.notify(this.words, OFFER);
    this.waitForTurn();
    this.leaveTo(offer - 1);
    return this.cpuOf(offer - 1);
  }
  /** This thread makes no step on its CPU any more. */
  private leaveTo(partner: number): void {
    Atomics.store(this.words, TURN + partner, 1);
    Atomics.notify(this.words, TURN + partner);
  }
  private waitForTurn(): void {
    const turn = TURN + this.cpu.id;
    while (Atomics.compareExchange(this.words, turn, 1, 0) === 0) {
      Atomics.wait(this.words, turn, 0, LOOK_MS);
      if ((this.mem.pending() & P_STOP) !== 0) throw new MachineStopped();
    }
  }
  private cpuOf(id: number): ReturnType<Migrator["exchange"]> {
    return { cpu: id, pending: embedded(this.cpu.map.section(id), PENDING) };
  }
}
