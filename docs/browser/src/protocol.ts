// What the page and its worker say to each other, and what Python says of a program.

export interface Place { line: number; column: number; end_line: number; end_column: number }
export interface Changed { text: string; diff: string[] }
export interface Curve { margins: number[]; gradient: (number | null)[]; truth: number[] }
export interface Finding extends Place {
  rule: string;
  name: string;
  severity: "error" | "warning" | "advice";
  message: string;
  expression: string;
  safe_margin: Record<string, number | null> | null;
  fix: { safe: boolean; note: string } | null;
  unfixed: string | null;
  related: (Place & { message: string })[];
  curve: Curve | null;
  applied: Changed | null;
}
export interface Looked { findings: Finding[]; notes: string[]; fixed: (Changed & { count: number }) | null }
export type Opened = { text: string } | { error: string };

export type Question =
  | { id: number; ask: "look"; name: string; text: string }
  | { id: number; ask: "open"; name: string; data: Uint8Array };
export type Answer = { id: number; said?: string; error?: string } | { ready: true };
