/**
 * How a machine ends other than by finishing: the exceptions that leave kernel code. Nothing below src/workers and
 * src/main catches them (kernel code has no catch), so the context stack of the CPU stays as it was at the failure.
 */

/** An invariant is broken. The thread's outermost frame turns it into a FAILURE verdict and stops the machine. */
export class MachineBug extends Error {
  /** CPU on which it was noticed. */
  readonly cpu: number;
  constructor(cpu: number, message: string) {
    super(message);
    this.name = "MachineBug";
    this.cpu = cpu;
  }
}

/**
 * There is no memory for what must be there. While a machine boots it says that the machine is too small (src/workers);
 * later it is a bug like any other.
 */
export class NoMemory extends MachineBug {}

/** Another CPU has stopped the machine (P_STOP). Carries no verdict of its own. */
export class MachineStopped extends Error {
  constructor() {
    super("machine stopped");
    this.name = "MachineStopped";
  }
}
