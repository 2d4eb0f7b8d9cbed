/** Files under debugfs slab/<cache>/, of caches that keep tracks. What is in them: traces.ts. */
export const TRACE_NAMES = ["alloc_traces", "free_traces"] as const;
export type TraceName = (typeof TRACE_NAMES)[number];

export function isTraceName(name: string): name is TraceName {
  return (TRACE_NAMES as readonly string[]).includes(name);
}
