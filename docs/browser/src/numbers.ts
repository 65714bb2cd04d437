// The numbers that the site's build leaves for the figures.

export type Num = number | string | null;
export interface Forms {
  margins: number[];
  constants: number[];
  dtypes: string[];
  truth: { loss: number[]; gradient: number[] };
  forms: { name: string; code: string; curves: { constant: number | null; dtype: string; safe_margin: Num; loss: Num[]; gradient: Num[] }[] }[];
}
export interface Blocks {
  rows: { margin: number; z: number[]; x: number[]; two: { loss: Num; dx: Num[]; dz: Num[] }; one: { loss: Num; dz: Num[] } }[];
}
