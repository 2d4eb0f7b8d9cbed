/**
 * MachineMemory: the explored machine's memory as engines see it: what differs from the snapshot, the way back to it, and
 * a hash of it that each store keeps up to date while a strategy wants it.
 *
 * Words of a CPU's slot and its trace are outside of the hash: the slot follows from where the CPU stands (lane.ts), and
 * nobody decides by the trace. So are statistics, which are changed by count().
 */
import type { MachineMap } from "../../../shared/layout/map.ts";
import { PerCpu } from "../../../shared/layout/percpu.ts";
import { CpuCounters, CpuSlot, TraceRing } from "../../../shared/layout/cpu.ts";
import { hashWord1, hashWord2, MemoryHash } from "./state_hash.ts";

/** Memory is put back in pieces of 16 words: a cache line. */
const PIECE_SHIFT = 4;
const PIECE_WORDS = 1 << PIECE_SHIFT;

export class MachineMemory {
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly hash = new MemoryHash();
  hashing = false;
  private readonly map: MachineMap;
  private readonly snapshot: Int32Array;
  /** Pieces that differ from the snapshot: a mark for each, and a list of those marked behind its length. */
  private readonly dirty: Uint8Array;
  private readonly dirtyList: Int32Array;

  /** @param shared  buffer for dirty marks and snapshot, if several threads work on this memory; see sharedBytes(). */
  constructor(map: MachineMap, buffer: SharedArrayBuffer, shared?: SharedArrayBuffer) {
    this.map = map;
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    this.bytes = new Uint8Array(buffer);
    const state = shared ?? new SharedArrayBuffer(MachineMemory.sharedBytes(buffer.byteLength));
    const pieces = this.words.length >> PIECE_SHIFT;
    this.snapshot = new Int32Array(state, 0, this.words.length);
    this.dirtyList = new Int32Array(state, buffer.byteLength, pieces + 1);
    this.dirty = new Uint8Array(state, buffer.byteLength + 4 * (pieces + 1), pieces);
  }
  static sharedBytes(bytes: number): number {
    return bytes + 5 * (bytes >> (PIECE_SHIFT + 2)) + 4;
  }

  /** From now on restore() goes back to memory as it is now. */
  takeSnapshot(): void {
    this.snapshot.set(this.words);
    this.dirty.fill(0);
    this.dirtyList[0] = 0;
  }
  restore(): void {
    const { dirty, dirtyList, snapshot, words } = this;
    for (let n = dirtyList[0]; n > 0; n--) {
      const piece = dirtyList[n];
      dirty[piece] = 0;
      const start = piece << PIECE_SHIFT;
      for (let i = start; i < start + PIECE_WORDS; i++) words[i] = snapshot[i];
    }
    dirtyList[0] = 0;
    this.hash.reset();
  }
  private mark(piece: number): void {
    this.dirty[piece] = 1;
    this.dirtyList[++this.dirtyList[0]] = piece;
  }

  /** A store that the state hash sees. */
  set(index: number, value: number): void {
    const { words } = this;
    if (this.hashing) this.hash.change(index, words[index], value);
    words[index] = value;
    if (this.dirty[index >> PIECE_SHIFT] === 0) this.mark(index >> PIECE_SHIFT);
  }
  /** A store of a CPU's slot, a result, a trace entry: no step. */
  poke(index: number, value: number): void {
    const { words } = this;
    if (this.hashing && this.isHashed(index)) this.hash.change(index, words[index], value);
    words[index] = value;
    if (this.dirty[index >> PIECE_SHIFT] === 0) this.mark(index >> PIECE_SHIFT);
  }
  /** A statistics word. */
  count(index: number, n: number): void {
    this.words[index] = this.words[index] + n;
    if (this.dirty[index >> PIECE_SHIFT] === 0) this.mark(index >> PIECE_SHIFT);
  }
  setByte(address: number, value: number): void {
    const index = address >> 2;
    const before = this.words[index];
    this.bytes[address] = value;
    if (this.hashing) this.hash.change(index, before, this.words[index]);
    if (this.dirty[index >> PIECE_SHIFT] === 0) this.mark(index >> PIECE_SHIFT);
  }
  /** Bytes from `address` on, a multiple of 4 at both ends or not. */
  fill(address: number, bytes: number, byte: number): void {
    if (this.hashing) {
      for (let at = address; at < address + bytes; at++) this.setByte(at, byte);
      return;
    }
    this.bytes.fill(byte, address, address + bytes);
    for (let piece = address >> (PIECE_SHIFT + 2); piece <= (address + bytes - 1) >> (PIECE_SHIFT + 2); piece++) {
      if (this.dirty[piece] === 0) this.mark(piece);
    }
  }

  private isHashed(index: number): boolean {
    const { map } = this;
    const inSections = (index << 2) - map.percpu;
    if (inSections < 0 || inSections >= map.percpuStride * map.shape.cpus) return true;
    const at = inSections % map.percpuStride;
    return !UNHASHED.some(([from, end]) => at >= from && at < end);
  }
  /** The hash of everything that differs from the snapshot, computed anew. */
  fingerprint(): [number, number] {
    const { dirtyList, snapshot, words } = this;
    let h1 = 0;
    let h2 = 0;
    for (let n = dirtyList[0]; n > 0; n--) {
      const start = dirtyList[n] << PIECE_SHIFT;
      for (let index = start; index < start + PIECE_WORDS; index++) {
        if (words[index] === snapshot[index] || !this.isHashed(index)) continue;
        h1 ^= hashWord1(index, words[index]);
        h2 ^= hashWord2(index, words[index]);
      }
    }
    return [h1, h2];
  }
}

const UNHASHED: readonly (readonly [number, number])[] = [
  [PerCpu.offset.slot, PerCpu.offset.slot + CpuSlot.size],
  [PerCpu.offset.counters, PerCpu.offset.counters + CpuCounters.size],
  [PerCpu.offset.trace, PerCpu.offset.trace + TraceRing.size],
];
