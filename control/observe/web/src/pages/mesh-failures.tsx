import { incidents } from '../api/answers';
import { filterOf } from '../api/filter';
import { useWindow } from '../api/use';
import { count, plural } from '../format/number';
import type { Model } from '../graph/model';
import { isEnd } from '../graph/touches';
import { Incidents } from '../parts/incidents';
import { Section } from '../parts/section';
import { useAddress } from '../state/navigate';
import { useIncidents } from './lately';
import { chosenOf } from './mesh-graph';

/** What failed, the latest first: of the whole mesh, or of what is chosen in it. */
export function Failures({ model }: { model: Model }) {
  const { query } = useAddress();
  const asked = useWindow(incidents, ['incidents'], { ...filterOf(query), limit: '200' }, { whole: true });
  const all = useIncidents(asked.data?.incidents ?? [], query);
  const chosen = chosenOf(query);
  const vertex = (id: string) => model.vertices[model.index.get(id) ?? -1];
  const [one, from, to] = !chosen ? [] : 'vertex' in chosen ? [vertex(chosen.vertex)] : [undefined, vertex(chosen.from), vertex(chosen.to)];
  const of = all.filter(({ key }) => {
    if (one) return isEnd(one, key, 'source') || isEnd(one, key, 'destination');
    return !from || !to || (isEnd(from, key, 'source') && isEnd(to, key, 'destination'));
  });
  const dropped = asked.data?.dropped ?? 0;
  return (
    <Section
      title="Failed and refused"
      note={<>
        {plural(of.length, 'incident')}{of.length < all.length && ' of what is chosen'}
        {dropped > 0 && `; ${count(dropped)} more came too fast to be kept one by one, and are counted`}
      </>}
    >
      <Incidents id="incidents" label="Failed and refused" of={of} />
    </Section>
  );
}
