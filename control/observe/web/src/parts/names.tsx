// Names of the cluster, always as text, always the same way, with the link to their page.
import { party, seen, shortIdentity, shortService } from '../format/name';
import { link } from '../state/navigate';

/** A name as text; long ones are cut at the end of the line and whole in the title. */
export function Name({ text, title }: { text: string; title?: string }) {
  return <span class="name" title={seen(title ?? text)}>{seen(text)}</span>;
}

function Linked({ path, text, title, query }: {
  path: readonly string[]; text: string; title?: string; query?: Record<string, string>;
}) {
  return <a class="name" href={link(path, query)} title={seen(title ?? text)}>{seen(text)}</a>;
}

export function NodeName({ name }: { name: string }) {
  return name ? <Linked path={['nodes', name]} text={name} /> : <span class="none">–</span>;
}

export function WorkloadName({ namespace, name }: { namespace: string; name: string }) {
  if (!name) return <Name text={party(namespace, name)} />;
  // Without a namespace it is not a workload of the cluster and has no page.
  return namespace
    ? <Linked path={['workloads', namespace, name]} text={`${namespace}/${name}`} />
    : <Name text={name} />;
}

export function PolicyName({ name }: { name: string }) {
  return name ? <Linked path={['policies']} query={{ policy: name }} text={name} /> : <span class="none">–</span>;
}

export function ServiceName({ service, port }: { service: string; port?: number }) {
  if (!service) return <span class="none">–</span>;
  return <Name text={shortService(service) + (port ? `:${port}` : '')} title={service + (port ? `:${port}` : '')} />;
}

/** The identity below a workload's name: only where it says more than the name. */
export function IdentityBelow({ id, namespace, name }: { id: string; namespace: string; name: string }) {
  return id && shortIdentity(id) === `${namespace}/${name}` ? null : <IdentityName id={id} />;
}

export function IdentityName({ id }: { id: string }) {
  return id ? <Name text={shortIdentity(id)} title={id} /> : <span class="none">not proved</span>;
}
