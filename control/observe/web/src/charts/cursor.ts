import { store } from '../state/store';

/** The moment that is pointed at, on whichever chart: all show it. */
export const cursor = store<number | null>(null);
