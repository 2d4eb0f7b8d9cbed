/**
 * The map of the whole buffer, lowest address first:
 *   0                 one unused page: address 0 is NULL, small numbers are no pointers
 *   globals           layout/globals.ts
 *   per-CPU sections  layout/percpu.ts, one per CPU, padded to cache lines
 *   mem_map           one struct page per page (layout/page.ts)
 *   vmap_areas        one struct vmap_area per page of the vmalloc area (layout/vmalloc.ts)
 *   pages             page-aligned; split evenly between the nodes that have memory
 *   vmalloc area      page-aligned; an eighth of all pages
 */
import { MAX_NUMNODES, NR_CPUS, PAGE_SIZE } from "../base/limits.ts";
import type { Ptr } from "../mem/struct.ts";
import { Globals } from "./globals.ts";
import { Page } from "./page.ts";
import { PerCpu } from "./percpu.ts";
import { VmapArea } from "./vmalloc.ts";

/** Pages of the vmalloc area of a small machine: room for some blocks with their guard pages. */
const MIN_VMALLOC_PAGES = 16;

export interface MachineShape {
  /** Size of the buffer, bytes. */
  readonly bytes: number;
  readonly cpus: number;
  readonly nodes: number;
  /** The last node has CPUs, but no memory; absent: it has some. */
  readonly memless?: boolean;
}

export class MachineMap {
  readonly shape: MachineShape;
  readonly globals: Ptr<"globals">;
  readonly percpu: number;
  /** Bytes from one CPU's section to the next. */
  readonly percpuStride: number;
  readonly memMap: Ptr<"page">;
  readonly vmapAreas: Ptr<"vmap_area">;
  /** Address of page 0. */
  readonly pages: number;
  readonly nrPages: number;
  /** Of each node that has memory. */
  readonly pagesPerNode: number;
  /** VMALLOC_START and VMALLOC_END. */
  readonly vmalloc: number;
  readonly vmallocEnd: number;
  readonly nrVmallocPages: number;

  constructor(shape: MachineShape) {
    this.shape = shape;
    this.globals = PAGE_SIZE as Ptr<"globals">;
    this.percpu = roundUp(PAGE_SIZE + Globals.size, 64);
    this.percpuStride = roundUp(PerCpu.size, 64);
    const mapStart = roundUp(this.percpu + this.percpuStride * shape.cpus, 64);
    this.memMap = mapStart as Ptr<"page">;
    const bytes = Math.max(0, shape.bytes - mapStart);
    this.nrVmallocPages = Math.max(MIN_VMALLOC_PAGES, Math.floor(bytes / (PAGE_SIZE + Page.size)) >> 3);
    const left = Math.max(0, bytes - this.nrVmallocPages * (PAGE_SIZE + VmapArea.size));
    const room = Math.floor(left / (PAGE_SIZE + Page.size)); // In mem_map; the last page may not fit behind it.
    this.vmapAreas = (mapStart + room * Page.size) as Ptr<"vmap_area">;
    this.pages = roundUp(this.vmapAreas + this.nrVmallocPages * VmapArea.size, PAGE_SIZE);
    const fit = Math.floor((shape.bytes - this.pages) / PAGE_SIZE) - this.nrVmallocPages;
    const memoryNodes = nodesWithMemory(shape);
    this.pagesPerNode = Math.floor(Math.max(0, Math.min(room, fit)) / memoryNodes);
    this.nrPages = this.pagesPerNode * memoryNodes;
    this.vmalloc = this.pages + this.nrPages * PAGE_SIZE;
    this.vmallocEnd = this.vmalloc + this.nrVmallocPages * PAGE_SIZE;
  }
  /** CPU `id`'s per-CPU section. */
  section(id: number): Ptr<"percpu"> {
    return (this.percpu + id * this.percpuStride) as Ptr<"percpu">;
  }
  /** CPUs are dealt to the nodes round robin. */
  nodeOfCpu(id: number): number {
    return id % this.shape.nodes;
  }
}

/** The first so many nodes have memory. */
export function nodesWithMemory({ nodes, memless = false }: MachineShape): number {
  return memless ? nodes - 1 : nodes;
}

/** @returns what is wrong with a shape, or undefined. */
export function shapeProblem(shape: MachineShape): string | undefined {
  const { bytes, cpus, nodes } = shape;
  const isEnough = (size: number): boolean => new MachineMap({ ...shape, bytes: size }).nrPages >= 32 * nodes;
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > NR_CPUS) return `CPUs must be 1 to ${NR_CPUS}, not ${cpus}`;
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > MAX_NUMNODES) return `nodes must be 1 to ${MAX_NUMNODES}`;
  if (nodesWithMemory(shape) < 1) return "a node must have memory: give more nodes";
  if (!Number.isInteger(bytes) || bytes % PAGE_SIZE !== 0) return `memory must be a multiple of ${PAGE_SIZE} bytes`;
  if (bytes > 0x7fff0000) return "memory must be less than 2 GiB";
  if (isEnough(bytes)) return undefined;
  let mib = 1;
  while (!isEnough(mib << 20)) mib++;
  return `memory is too small for ${cpus} CPUs: give at least ${mib} MiB`;
}

const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to;
