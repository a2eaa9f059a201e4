import { seen } from '../format/name';
import { Icon, type IconName } from './icon';

export type Tone = 'ok' | 'warning' | 'failing' | 'idle' | 'info';

/** A state: sign, colour and word together. */
export function Badge({ tone, text, icon, title }: { tone: Tone; text: string; icon?: IconName; title?: string }) {
  return (
    <span class={`badge tone-${tone}`} title={title}>
      <Icon name={icon ?? (tone === 'info' ? 'info' : tone)} />
      <span>{seen(text)}</span>
    </span>
  );
}

const healths: Record<string, [Tone, string]> = {
  ok: ['ok', 'OK'],
  warning: ['warning', 'Some fail'],
  failing: ['failing', 'Failing'],
  idle: ['idle', 'No traffic'],
};

/** Health of a link or a vertex. */
export function HealthBadge({ health }: { health: string }) {
  const [tone, text] = healths[health] ?? (['idle', health || 'Unknown'] as const);
  return <Badge tone={tone} text={text} />;
}

const securities: Record<string, [Tone, string, IconName]> = {
  mtls: ['ok', 'mTLS', 'lock'],
  plain: ['warning', 'Plain', 'unlock'],
  mixed: ['warning', 'Mixed', 'mixed'],
};

/** Whether an edge is protected by mutual TLS. */
export function SecurityBadge({ security }: { security: string }) {
  const [tone, text, icon] = securities[security] ?? (['idle', security || '–', 'idle'] as const);
  return <Badge tone={tone} text={text} icon={icon} />;
}

export function levelTone(level: string): Tone {
  if (level === 'error') return 'failing';
  return level === 'warning' ? 'warning' : 'info';
}
