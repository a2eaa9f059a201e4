// Keeps where vertices lie, so that they stay there while a live page is refreshed.
import { layout, type Place, type Task } from './layout';
import type { Model } from './model';

/** Bounded: a mesh changes for as long as a page is open. */
const KEPT = 20_000;

export class Places {
  private known = new Map<string, Place>();
  private token = 0;
  private worker: Worker | undefined;

  constructor(private readonly done: () => void) {
    try {
      this.worker = new Worker('layout.js', { type: 'module' });
      this.worker.onerror = () => {
        // Then the page does it itself.
        this.worker = undefined;
        this.retry?.();
      };
    } catch {
      this.worker = undefined;
    }
  }

  private retry: (() => void) | undefined;

  /** Where the vertices of `model` lie; undefined until they are laid out. */
  of(model: Model): Place[] | undefined {
    const places = model.vertices.map((vertex) => this.known.get(vertex.id));
    return places.every((place) => place) ? (places as Place[]) : undefined;
  }

  /** Lays out what has no place yet; calls `done` when all have one. */
  seek(model: Model): void {
    this.token += 1;
    const token = this.token;
    const missing = model.vertices.filter((vertex) => !this.known.has(vertex.id)).length;
    // Where most are new nothing is held: a good picture counts more than the old one.
    const anew = missing > model.vertices.length / 2;
    const task: Task = {
      vertices: model.vertices.map((vertex) => ({
        group: groupOf(vertex),
        at: anew ? undefined : this.known.get(vertex.id),
      })),
      edges: model.lines.map((line) => [line.from, line.to] as const),
    };
    const take = (places: readonly Place[]): void => {
      if (token !== this.token) return;
      if (this.known.size > KEPT) this.known.clear();
      model.vertices.forEach((vertex, i) => this.known.set(vertex.id, places[i] as Place));
      this.done();
    };
    if (!this.worker) return take(layout(task));
    this.retry = () => take(layout(task));
    this.worker.onmessage = (message: MessageEvent<{ token: number; places: Place[] }>) => {
      if (message.data.token === token) take(message.data.places);
    };
    this.worker.postMessage({ token, task });
  }

  end(): void {
    this.token += 1;
    this.worker?.terminate();
  }
}

/** What a vertex lies with. */
export function groupOf(vertex: { kind: string; namespace: string }): string {
  if (vertex.kind === 'namespace') return '';
  return vertex.namespace || `(${vertex.kind})`;
}
