/** A machine that debugs caches and goes on after a report; what it has printed; objects and how to spoil them. */
import { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { dmesg, logRecords } from "../../../../../src/main/report/dmesg.ts";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import type { MachineShape } from "../../../../../src/shared/layout/map.ts";
import { DEBUG_DEFAULT_FLAGS } from "../../../../../src/shared/layout/slab_flags.ts";
import { kmem_cache_create, type KmemCacheArgs } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { check_slab_cache } from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { kmem_cache_alloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { peek_slot, type Slot } from "../../../../../src/shared/linux/mm/slub/slot.ts";
import { NULL_ORACLE } from "../../../../../src/shared/mem/oracle.ts";
import type { Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";

export type Cache = Ptr<"kmem_cache">;
export type Obj = Ptr<"object">;

export class DebugMachine {
  readonly machine: TestMachine;
  /** CPU 0 without the oracle, which would find a double free before slub does. */
  readonly cpu: Cpu;

  constructor(shape: Partial<MachineShape> = {}, words: ConstructorParameters<typeof TestMachine>[1] = {}) {
    this.machine = new TestMachine({ cpus: 2, ...shape }, { panic_on_warn: 0, ...words });
    const [cpu] = this.machine.cpus;
    this.cpu = new Cpu(cpu.mem, cpu.map, 0, 4, NULL_ORACLE);
  }
  cache(flags = DEBUG_DEFAULT_FLAGS, size = 64, args: KmemCacheArgs = {}): Cache {
    return kmem_cache_create(this.cpu, "test", size, { ...args, flags });
  }
  slot(s: Cache): Slot {
    return peek_slot(this.cpu.mem, s);
  }
  alloc(s: Cache): Obj {
    return kmem_cache_alloc(this.cpu, s, GFP_KERNEL);
  }
  byte(address: number): number {
    return this.cpu.mem.load_byte(address);
  }
  bytes(start: number, end: number): number[] {
    return Array.from({ length: end - start }, (_, i) => this.byte(start + i));
  }
  spoil(address: number, byte = 0x11): void {
    this.cpu.mem.store_byte(address, byte);
  }
  /** All that has been printed, without the prefix of its lines. */
  log(): string {
    return logRecords(this.cpu.mem, this.cpu.map)
      .map(({ text }) => text)
      .join("\n");
  }
  /** The reasons of reports and what was repaired, in order. */
  findings(): string[] {
    return this.log()
      .split("\n")
      .flatMap((line) => /^(?:BUG \S+ \([^)]*\): |FIX \S+: )(.*)$/.exec(line)?.[1] ?? [])
      .map((line) => line.replaceAll(/0x[\da-f]+-0x[\da-f]+/g, "RANGE").replaceAll(/0x[\da-f]{5,}/g, "ADDRESS"));
  }
  dmesg(): readonly string[] {
    return dmesg(this.cpu.mem, this.cpu.map);
  }
  problems(s: Cache): string[] {
    return check_slab_cache(this.cpu, s);
  }
}
