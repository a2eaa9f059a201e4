// A route's split: as configured, and as measured.
import type { RouteRow } from '../api/answers';
import { micros } from '../format/duration';
import { seen } from '../format/name';
import { count, percent, rate } from '../format/number';
import { Badge } from '../parts/badge';
import { ServiceName } from '../parts/names';
import { deviates } from './deviation';

const tints = ['--series-1', '--series-2', '--series-3', '--series-4', '--series-5', '--series-6'];

export function Route({ of, over, services }: { of: RouteRow; over: number; services: readonly string[] }) {
  const requests = of.totals.requests || of.backends.reduce((sum, one) => sum + one.totals.requests, 0);
  return (
    <article class="route">
      <header class="row wrap">
        <h3 class="name" title={seen(of.name)}>{seen(of.name) || 'Without a route'}</h3>
        {of.rule && <span class="sub">{seen(of.rule)}</span>}
        {services.length > 0 && <span class="sub name">for {seen(services.join(', '))}</span>}
        <span class="num sub">{rate(of.totals.requests / over)}</span>
      </header>
      <div class="table-scroll" role="group" aria-label={`Backends of ${seen(of.name)}`} tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col" class="grow">Backend</th>
              <th scope="col" class="end">Configured</th>
              <th scope="col" class="end">Measured</th>
              <th scope="col" class="wide">Split: above configured, below measured</th>
              <th scope="col">Agreement</th>
              <th scope="col" class="end">Requests</th>
              <th scope="col" class="end">Errors</th>
              <th scope="col" class="end wide">p99</th>
            </tr>
          </thead>
          <tbody>
            {of.backends.map((one, i) => (
              <tr key={`${one.service}:${one.port}`}>
                <th scope="row" class="grow"><ServiceName service={one.service} port={one.port} /></th>
                <td class="end num" title={`weight ${one.weight}`}>{percent(one.configured)}</td>
                <td class="end num">{requests ? percent(one.measured) : '–'}</td>
                <td class="wide">
                  <span class="twin" aria-hidden="true">
                    <span class="bar"><i class="hollow" style={{ width: `${one.configured * 100}%`, borderColor: `var(${tints[i % tints.length]})` }} /></span>
                    <span class="bar"><i style={{ width: `${one.measured * 100}%`, background: `var(${tints[i % tints.length]})` }} /></span>
                  </span>
                </td>
                <td>
                  {!requests ? <Badge tone="idle" text="no traffic" />
                    : deviates(one.configured, one.measured, requests) ? <Badge tone="warning" text={`off by ${percent(Math.abs(one.measured - one.configured))}`} title="Further from the configuration than chance makes it: retries, a backend without endpoints, or a change within the window" />
                    : <Badge tone="ok" text="as configured" />}
                </td>
                <td class="end num">{count(one.totals.requests)}</td>
                <td class="end num">{one.totals.requests ? percent(one.totals.errors / one.totals.requests) : '–'}</td>
                <td class="end num wide">{micros(one.totals.latencyP99Us)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </article>
  );
}
