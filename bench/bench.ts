/** What a file of this folder exports: a question, and the comparisons that answer it. */
import type { Case, Comparison, Settings } from "./harness/compare.ts";

interface Wishes {
  /** Numbers of threads, where the question leaves them open. */
  readonly threads?: readonly number[] | undefined;
}
interface Conclusion extends Settings {
  /** Folder for what is drawn. */
  readonly output: string;
}
export interface Bench {
  readonly name: string;
  /** One line. */
  readonly question: string;
  readonly cases: (wishes: Wishes) => readonly Case[];
  /** More lines, after all comparisons. */
  readonly conclude?: (comparisons: readonly Comparison[], settings: Conclusion) => Promise<readonly string[]>;
}
