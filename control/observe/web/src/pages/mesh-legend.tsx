import { dashOf } from '../graph/look';

const healths = [['ok', 'OK'], ['warning', 'some fail !'], ['failing', '5 % fail ×'], ['idle', 'no traffic']] as const;
const securities = [['mtls', 'mTLS'], ['plain', 'plain'], ['mixed', 'both']] as const;
const securityTint = { mtls: '--ok', plain: '--warning', mixed: '--series-4' } as const;

/** What colours, dashes and shapes say. */
export function Legend({ by }: { by: string }) {
  return (
    <ul class="graph-legend" aria-label="Legend">
      {by === 'health' && healths.map(([health, text]) => (
        <li key={health}><Sample tint={`--${health}`} dash={[]} />{text}</li>
      ))}
      {securities.map(([security, text]) => (
        <li key={security}>
          <Sample tint={by === 'security' ? securityTint[security] : '--ink-2'} dash={dashOf[security] ?? []} />{text}
        </li>
      ))}
      <li class="wide">○ workload □ service ◇ waypoint ⬡ external △ unknown</li>
    </ul>
  );
}

function Sample({ tint, dash }: { tint: string; dash: number[] }) {
  return (
    <svg viewBox="0 0 24 8" width="24" height="8" aria-hidden="true">
      <path d="M0 4H24" stroke-width="2" style={{ stroke: `var(${tint})` }} stroke-dasharray={dash.join(' ')} />
    </svg>
  );
}
