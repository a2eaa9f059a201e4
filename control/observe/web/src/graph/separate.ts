import type { Place } from './layout';

/**
 * Moves groups apart whose boxes overlap, each as a whole, until none does or 80 rounds are over.
 * `margin` is kept between boxes; `places` are changed.
 */
export function separate(places: Place[], of: readonly number[], groups: number, margin: number): void {
  const members: number[][] = Array.from({ length: groups }, () => []);
  of.forEach((group, i) => members[group]?.push(i));
  const boxes = members.map((group) => ({
    left: Math.min(...group.map((i) => (places[i] as Place).x)) - margin / 2,
    right: Math.max(...group.map((i) => (places[i] as Place).x)) + margin / 2,
    // The name of a group stands above it.
    top: Math.min(...group.map((i) => (places[i] as Place).y)) - margin * 0.7,
    bottom: Math.max(...group.map((i) => (places[i] as Place).y)) + margin * 0.7,
  }));
  const move = (group: number, dx: number, dy: number): void => {
    const box = boxes[group];
    if (!box) return;
    box.left += dx;
    box.right += dx;
    box.top += dy;
    box.bottom += dy;
    for (const i of members[group] ?? []) {
      const place = places[i] as Place;
      place.x += dx;
      place.y += dy;
    }
  };
  for (let round = 0; round < 80; round++) {
    let moved = false;
    for (let a = 0; a < groups; a++) {
      for (let b = a + 1; b < groups; b++) {
        const [one, other] = [boxes[a], boxes[b]];
        if (!one || !other) continue;
        const wide = Math.min(one.right, other.right) - Math.max(one.left, other.left);
        const high = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
        if (wide <= 0 || high <= 0) continue;
        moved = true;
        // The shorter way, half for each.
        if (wide < high) {
          const side = one.left + one.right < other.left + other.right ? -1 : 1;
          move(a, (side * wide) / 2, 0);
          move(b, (-side * wide) / 2, 0);
        } else {
          const side = one.top + one.bottom < other.top + other.bottom ? -1 : 1;
          move(a, 0, (side * high) / 2);
          move(b, 0, (-side * high) / 2);
        }
      }
    }
    if (!moved) return;
  }
}
