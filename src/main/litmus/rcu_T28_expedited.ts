/** T28: the same shapes with synchronize_rcu_expedited(). */
import { expedited } from "./kit_grace_period.ts";
import { shape as T2 } from "./rcu_T2_sb.ts";
import { shape as T4 } from "./rcu_T4_span.ts";
import { shape as T11 } from "./rcu_T11_two_waits_two_readers.ts";
import { shape as T16 } from "./rcu_T16_remove.ts";
import { shape as T21 } from "./rcu_T21_nested.ts";
import { shape as T24 } from "./rcu_T24_after_idle.ts";
import { shape as T25 } from "./rcu_T25_nmi_from_idle.ts";
import { shape as T26 } from "./rcu_T26_irqs_off.ts";

export default [T2, T4, T11, T16, T21, T24, T25, T26].map(expedited);
