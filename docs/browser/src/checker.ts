// The checker, as the page calls it: one question at a time, the last one asked, and an end to what takes too long.

import type { Answer, Looked, Opened, Question } from "./protocol";

const PATIENCE = 30_000; // ms

type Asked = Question extends infer Q ? (Q extends { id: number } ? Omit<Q, "id"> : never) : never;

export class Checker {
  private worker!: Worker;
  private next = 0;
  private waiting = new Map<number, { resolve: (said: string) => void; reject: (why: Error) => void }>();
  ready!: Promise<void>;

  constructor() {
    this.start();
  }

  look(name: string, text: string): Promise<Looked> {
    return this.ask({ ask: "look", name, text }) as Promise<Looked>;
  }

  open(name: string, data: Uint8Array): Promise<Opened> {
    return this.ask({ ask: "open", name, data }) as Promise<Opened>;
  }

  private start(): void {
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.ready = new Promise((resolve, reject) => {
      this.worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message || "Python could not be loaded"));
      };
      this.worker.onmessage = ({ data }: MessageEvent<Answer>) => {
        if ("ready" in data) return resolve();
        const asked = this.waiting.get(data.id);
        this.waiting.delete(data.id);
        if (data.said === undefined) asked?.reject(new Error(data.error));
        else asked?.resolve(data.said);
      };
    });
  }

  private async ask(question: Asked): Promise<unknown> {
    await this.ready;
    const id = this.next++;
    const answer = new Promise<string>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ ...question, id });
    });
    const timer = setTimeout(() => this.giveUp(), PATIENCE);
    try {
      return JSON.parse(await answer);
    } finally {
      clearTimeout(timer);
    }
  }

  private giveUp(): void {
    this.worker.terminate();
    for (const { reject } of this.waiting.values()) reject(new Error("this program takes too long to be analysed here"));
    this.waiting.clear();
    this.start();
  }
}
