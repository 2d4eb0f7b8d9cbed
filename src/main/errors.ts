/** Errors that end the command in one line on stderr, without a stack: the text says what to do. */

/** The command line cannot be run: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What was asked for is understood, but not available here: exit code 3. */
export class UnsupportedError extends Error {
  override readonly name = "UnsupportedError";
}
