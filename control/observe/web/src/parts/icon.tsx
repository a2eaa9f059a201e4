// Signs, drawn on a grid of 16; never alone where they carry meaning: a text stands beside them.

const paths = {
  mesh: 'M4 4h0M12 5h0M6 12h0M4 4l8 1M12 5l-6 7M6 12 4 4',
  nodes: 'M2.5 3.5h11v4h-11zM2.5 9.5h11v3.5h-11zM5 5.5h1M5 11.25h1',
  workloads: 'M2.5 2.5h4.5v4.5H2.5zM9 2.5h4.5v4.5H9zM2.5 9h4.5v4.5H2.5zM9 9h4.5v4.5H9z',
  waypoints: 'M8 14V9M8 9 3.5 4.5M8 9l4.5-4.5M3.5 7V4.5H6M10 4.5h2.5V7',
  policies: 'M8 2 13 4v4c0 3-2 5-5 6-3-1-5-3-5-6V4z',
  certificates: 'M3 2.5h10v7H3zM5.5 5h5M5.5 7h3M10 9.5v4.5l1.5-1 1.5 1V9.5',
  events: 'M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11M8 5v3.5l2.5 1.5',
  ok: 'M3.5 8.5 6.5 11.5 12.5 4.5',
  warning: 'M8 2.5 14 13H2zM8 6.5v3M8 11.2v.3',
  failing: 'M4 4l8 8M12 4l-8 8',
  idle: 'M3.5 8h9',
  info: 'M8 7.5v4M8 4.7v.3',
  lock: 'M4 7.5h8v6H4zM5.5 7.5V5.2a2.5 2.5 0 0 1 5 0v2.3',
  unlock: 'M4 7.5h8v6H4zM5.5 7.5V4.8a2.5 2.5 0 0 1 4.8-.9',
  mixed: 'M4 7.5h8v6H4zM5.5 7.5V5.2a2.5 2.5 0 0 1 5 0M8 9.5v2',
  left: 'M10 3.5 5.5 8l4.5 4.5',
  right: 'M6 3.5 10.5 8 6 12.5',
  down: 'M3.5 6 8 10.5 12.5 6',
  plus: 'M8 3v10M3 8h10',
  minus: 'M3 8h10',
  fit: 'M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10',
  close: 'M4 4l8 8M12 4l-8 8',
  table: 'M2.5 3.5h11v9h-11zM2.5 6.5h11M2.5 9.5h11M6.5 3.5v9',
  sun: 'M8 5.2a2.8 2.8 0 1 1 0 5.6 2.8 2.8 0 0 1 0-5.6M8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M3.4 12.6l.9-.9M11.7 4.3l.9-.9',
  moon: 'M12.5 9.8A5.2 5.2 0 0 1 6.2 3.5a5 5 0 1 0 6.3 6.3z',
  auto: 'M8 2.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 0 1 0-11M8 2.5v11M10 3v10M12 4.4v7.2',
  help: 'M5.8 6a2.2 2.2 0 1 1 3.2 2c-.7.4-1 .8-1 1.6M8 12v.3',
  play: 'M5 3.5v9l7-4.5z',
  pause: 'M5.5 3.5v9M10.5 3.5v9',
  link: 'M6.5 9.5l3-3M7 4.5l1.2-1.2a2.8 2.8 0 0 1 4 4L11 8.5M9 11.5l-1.2 1.2a2.8 2.8 0 0 1-4-4L5 7.5',
  search: 'M7 2.8a4.2 4.2 0 1 1 0 8.4 4.2 4.2 0 0 1 0-8.4M10.2 10.2 13.5 13.5',
  leave: 'M9 3H3v10h6M6.5 8h7M10.5 5l3 3-3 3',
  clock: 'M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11M8 5v3.5l2.5 1.5',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}
