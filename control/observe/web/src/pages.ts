// The pages, in the order of the navigation.
import type { IconName } from './parts/icon';

export interface Page {
  /** First segment of its address. */
  id: string;
  title: string;
  icon: IconName;
  /** Second key of its shortcut, after `g`. */
  key: string;
}

export const PAGES: readonly Page[] = [
  { id: 'mesh', title: 'Mesh', icon: 'mesh', key: 'm' },
  { id: 'nodes', title: 'Nodes', icon: 'nodes', key: 'n' },
  { id: 'workloads', title: 'Workloads', icon: 'workloads', key: 'w' },
  { id: 'waypoints', title: 'Waypoints', icon: 'waypoints', key: 'y' },
  { id: 'policies', title: 'Policies', icon: 'policies', key: 'p' },
  { id: 'certificates', title: 'Certificates', icon: 'certificates', key: 'c' },
  { id: 'events', title: 'Events', icon: 'events', key: 'e' },
];
