/** The published JSON contract of `lowrank-doctor`. A field is added, never renamed. */

export interface DoctorReport {
  readonly schema: 'lowrank.doctor/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  /** One fact each, in the order in which they are shown. */
  readonly diagnoses: readonly {
    readonly name: string;
    /** `warning`: works, but something is worth knowing. `missing`: cannot be used. */
    readonly status: 'ok' | 'warning' | 'missing';
    readonly fact: string;
    /** What to do about it, where the status is not `ok`. */
    readonly remedy?: string | undefined;
  }[];
}
