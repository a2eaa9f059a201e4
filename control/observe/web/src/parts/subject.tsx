import { Name } from './names';
import { link } from '../state/navigate';
import { seen } from '../format/name';

/** What an event is about, such as `Pod shop/web-1`, with the link to its page where there is one. */
export function Subject({ text, node }: { text: string; node: string }) {
  const href = pageOf(text, node);
  return href ? <a class="name" href={href} title={seen(text)}>{seen(text)}</a> : <Name text={text} />;
}

function pageOf(text: string, node: string): string | undefined {
  const found = /^(\S+) ([^\s/]+)\/(\S+)$/.exec(text);
  const [, kind = '', namespace = '', name = ''] = found ?? [];
  if (/Policy$/.test(kind)) return link(['policies'], { policy: `${namespace}/${name}` });
  if (kind === 'Gateway') return link(['waypoints'], { waypoint: `${namespace}/${name}` });
  if (kind === 'Pod' && node) return link(['nodes', node]);
  const proxy = /^ztunnel on (\S+)$/.exec(text);
  return proxy?.[1] ? link(['nodes', proxy[1]]) : undefined;
}
