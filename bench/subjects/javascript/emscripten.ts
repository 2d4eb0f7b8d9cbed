/**
 * An allocator of emscripten as a heap: compiled with pthreads, called from JavaScript. Each thread has an instance of
 * the module on one shared memory, and does what emscripten's own start of a pthread does: a stack, its thread-local
 * variables, and the block that pthread_self() returns.
 */
import { readFileSync } from "node:fs";
import { WordHeap } from "./word_heap.ts";

interface WasmMemory {
  readonly buffer: SharedArrayBuffer;
}
/** What is used of WebAssembly, in place of the browser's types. */
interface Wasm {
  readonly Module: {
    new (bytes: Uint8Array): WebAssembly.Module;
    imports(module: WebAssembly.Module): readonly { readonly name: string; readonly kind: string }[];
  };
  readonly Memory: new (limits: { initial: number; maximum: number; shared: true }) => WasmMemory;
  readonly Instance: new (
    module: WebAssembly.Module,
    imports: { readonly env: Readonly<Record<string, unknown>> },
  ) => { readonly exports: unknown };
}
const { WebAssembly: wasm } = globalThis as unknown as { readonly WebAssembly: Wasm };

export interface EmscriptenSpec {
  readonly kind: "emscripten";
  readonly module: WebAssembly.Module;
  readonly memory: WasmMemory;
  /** Addresses, by thread: STACK_BYTES, and behind them PTHREAD_BYTES. */
  readonly blocks: readonly number[];
}

const WASM_PAGE = 65536;
const STACK_BYTES = 65536;
/** More than a struct pthread has. */
const PTHREAD_BYTES = 1024;

interface Exports {
  readonly peer_malloc: (bytes: number) => number;
  readonly peer_free: (object: number) => void;
  readonly __wasm_call_ctors: () => void;
  readonly stackRestore: (top: number) => void;
  readonly emscripten_stack_set_limits: (base: number, end: number) => void;
  readonly emscripten_tls_init: () => number;
  readonly _emscripten_thread_init: (
    pthread: number,
    isMain: number,
    isRuntime: number,
    canBlock: number,
    profiled: number,
  ) => void;
}

/** What the module asks of its surroundings. It has no main(), and its memory does not grow. */
function importsOf(
  module: WebAssembly.Module,
  memory: WasmMemory,
): { readonly env: Readonly<Record<string, unknown>> } {
  const env: Record<string, unknown> = {};
  for (const { name, kind } of wasm.Module.imports(module)) {
    if (kind === "memory") env[name] = memory;
    else env[name] = () => failImport(name);
  }
  env["__emscripten_init_main_thread_js"] = () => undefined; // Its main thread ends here, before the others begin.
  env["emscripten_resize_heap"] = () => 0;
  env["emscripten_get_now"] = () => performance.now();
  return { env };
}
function failImport(name: string): never {
  throw new Error(`the allocator calls ${name}(), which is not there`);
}
function instantiate(module: WebAssembly.Module, memory: WasmMemory): Exports {
  return new wasm.Instance(module, importsOf(module, memory)).exports as Exports;
}

/** @param bytes  what the module was compiled for */
export function createEmscriptenSpec(wasmFile: string, bytes: number, threads: number): EmscriptenSpec {
  const module = new wasm.Module(readFileSync(wasmFile));
  const memory = new wasm.Memory({ initial: bytes / WASM_PAGE, maximum: bytes / WASM_PAGE, shared: true });
  const main = instantiate(module, memory);
  main.emscripten_tls_init();
  main.__wasm_call_ctors();
  const blocks = Array.from({ length: threads }, () => main.peer_malloc(STACK_BYTES + PTHREAD_BYTES));
  for (const block of blocks) new Uint8Array(memory.buffer, block, STACK_BYTES + PTHREAD_BYTES).fill(0);
  return { kind: "emscripten", module, memory, blocks };
}

export class EmscriptenHeap extends WordHeap {
  private readonly exports: Exports;

  constructor({ module, memory, blocks }: EmscriptenSpec, id: number) {
    super(new Int32Array(memory.buffer));
    this.exports = instantiate(module, memory);
    const stack = blocks[id];
    const pthread = stack + STACK_BYTES;
    this.exports.emscripten_stack_set_limits(pthread, stack);
    this.exports.stackRestore(pthread);
    this.exports.emscripten_tls_init();
    this.exports._emscripten_thread_init(pthread, 0, 0, 1, 0);
  }
  malloc(bytes: number): number {
    return this.exports.peer_malloc(bytes);
  }
  free(object: number): void {
    this.exports.peer_free(object);
  }
}
