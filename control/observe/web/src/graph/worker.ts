// Lays out in a thread of its own, so that the page stays fluid.
import { layout, type Task } from './layout';

interface Worker {
  onmessage: ((message: MessageEvent<{ token: number; task: Task }>) => void) | null;
  postMessage(message: unknown): void;
}

const here = self as unknown as Worker;

here.onmessage = ({ data: { token, task } }) => here.postMessage({ token, places: layout(task) });
