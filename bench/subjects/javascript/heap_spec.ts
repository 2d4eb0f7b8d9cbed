/** Which heap the threads of a process use: plain data, sent to each of them. */
import type { EmscriptenSpec } from "./emscripten.ts";
import type { FacadeSpec } from "./facade.ts";
import type { ThingSpec } from "./thing_malloc.ts";

/** "none": workloads that allocate nothing. */
export type HeapSpec = { readonly kind: "none" } | ThingSpec | EmscriptenSpec | FacadeSpec;

/** Bytes of each of these heaps. An emscripten peer is compiled for this size. */
export const HEAP_BYTES = 256 << 20;
