/** Litmus tests of the specification that are not in the catalogue, each with the reason. */
export const LEFT_OUT: readonly { readonly names: readonly string[]; readonly reason: string }[] = [
  {
    names: ["T13", "T14"],
    reason: "allowed by the kernel's memory model, but not reachable where loads execute in program order",
  },
];
