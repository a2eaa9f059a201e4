/** A small line without axes; the number that it explains stands beside it. */
export function Spark({ values, tone = 'main' }: { values: readonly (number | null)[]; tone?: string }) {
  const WIDTH = 120;
  const HEIGHT = 24;
  const top = Math.max(1e-9, ...values.map((value) => value ?? 0));
  const step = WIDTH / Math.max(1, values.length - 1);
  let pen = 'M';
  const path = values.map((value, i) => {
    if (value === null) {
      pen = 'M';
      return '';
    }
    const text = `${pen}${(i * step).toFixed(1)} ${(HEIGHT - 1 - (value / top) * (HEIGHT - 2)).toFixed(1)}`;
    pen = 'L';
    return text;
  }).join('');
  return (
    <svg class={`spark spark-${tone}`} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path d={path} vector-effect="non-scaling-stroke" />
    </svg>
  );
}
