/** E19: a cookie so old that the counter has run past half its range since: it is done, and not one of the future. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { RcuState } from "../../shared/layout/rcu.ts";
import { get_state_synchronize_rcu, poll_state_synchronize_rcu } from "../../shared/linux/rcu/poll.ts";
import { rcu_state } from "../../shared/linux/rcu/rcu_node.ts";
import { rcu_seq_done } from "../../shared/linux/rcu/rcu_seq.ts";
import { synchronize_rcu } from "../../shared/linux/rcu/tree.ts";
import { result, resultOf, type Scenario } from "../explore/scenario.ts";
import type { Litmus } from "./litmus.ts";

const { gp_seq_polled: GP_SEQ_POLLED } = RcuState.offset;
/** Half the range and a little: a multiple of 4, so the state in the low bits stays. */
const LONG_AFTER = 0x80000010;
const program = (poll: (cpu: Cpu, cookie: number) => boolean): Pick<Scenario, "cpus"> => ({
  cpus: [
    [
      (cpu) => {
        const cookie = get_state_synchronize_rcu(cpu);
        cpu.mem.fetch_add(rcu_state(cpu), GP_SEQ_POLLED, LONG_AFTER | 0);
        result(cpu, 0, poll(cpu, cookie) ? 1 : 0);
      },
    ],
    [synchronize_rcu],
  ],
});

const litmus: Litmus = {
  title: "a cookie is polled after more than half the range of the counter",
  outcome: "false",
  verdict: "F",
  observed: (cpu) => resultOf(cpu, 0) === 0,
  bound: 2,
  scenario: { name: "E19", ...program(poll_state_synchronize_rcu) },
  vacuity: {
    name: "E19+no-op",
    ...program((cpu, cookie) => rcu_seq_done(cpu, rcu_state(cpu), GP_SEQ_POLLED, cookie)),
  },
};
export default litmus;
