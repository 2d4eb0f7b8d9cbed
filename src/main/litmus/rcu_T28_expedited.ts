/** T28: the same shapes with synchronize_rcu_expedited(). */
import { expedited } from "./kit_grace_period.ts";
import { shape as T1 } from "./rcu_T1_sb_reader_writes.ts";
import { shape as T2 } from "./rcu_T2_sb.ts";
import { shape as T3 } from "./rcu_T3_mp.ts";
import { shape as T4 } from "./rcu_T4_span.ts";
import { shape as T5 } from "./rcu_T5_two_waits.ts";
import { shape as T6 } from "./rcu_T6_sb_before_section.ts";
import { shape as T7 } from "./rcu_T7_sb_after_section.ts";
import { shape as T8 } from "./rcu_T8_sb_between_section.ts";
import { shape as T11 } from "./rcu_T11_two_waits_two_readers.ts";
import { shape as T16 } from "./rcu_T16_remove.ts";
import { shape as T21 } from "./rcu_T21_nested.ts";
import { shape as T24 } from "./rcu_T24_after_idle.ts";
import { shape as T25 } from "./rcu_T25_nmi_from_idle.ts";
import { shape as T26 } from "./rcu_T26_irqs_off.ts";

export default [T1, T2, T3, T4, T5, T6, T7, T8, T11, T16, T21, T24, T25, T26].map(expedited);
