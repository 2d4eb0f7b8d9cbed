/** A planted bug: the code to replace, what is then wrong, and how the explorer and torture are asked to notice. */
export interface Edit {
  readonly file: string;
  /** Must be there exactly once. */
  readonly find: string;
  readonly replace: string;
}
export interface Mutant {
  readonly name: string;
  /** The bug, in a few words. */
  readonly what: string;
  readonly edits: readonly Edit[];
  /** What `sheaf explore` is given: the scenario that notices, and options if it needs any. */
  readonly explore: readonly string[];
  /** What `sheaf torture` is given. It need not notice. */
  readonly torture: readonly string[];
  /** The explorer notices within seconds: it runs in the tests. */
  readonly quick: boolean;
}
