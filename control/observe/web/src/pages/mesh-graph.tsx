import { useEffect, useRef, useState } from 'preact/hooks';
import { readCamera, writeCamera } from '../graph/camera';
import { GraphView, type Chosen } from '../graph/view';
import type { Model } from '../graph/model';
import { party, seen } from '../format/name';
import { plural, rate } from '../format/number';
import { Choose } from '../parts/filters';
import { Icon } from '../parts/icon';
import { change, useAddress } from '../state/navigate';
import { painted } from '../state/theme';
import { useStore } from '../state/store';
import { Legend } from './mesh-legend';
import { Panel } from './mesh-panel';

/** What an address says is chosen: `sel` a vertex, with `peer` the line to it. */
export function chosenOf(query: Readonly<Record<string, string>>): Chosen {
  const { sel, peer } = query;
  if (!sel) return undefined;
  return peer ? { from: sel, to: peer } : { vertex: sel };
}

export function choose(what: Chosen): void {
  if (!what) change({ sel: undefined, peer: undefined });
  else if ('vertex' in what) change({ sel: what.vertex, peer: undefined });
  else change({ sel: what.from, peer: what.to });
}

interface Pointed {
  text: string;
  x: number;
  y: number;
  below: boolean;
}

export function Graph({ model, hits, over }: { model: Model; hits: ReadonlySet<number> | undefined; over: number }) {
  const { query } = useAddress();
  const canvas = useRef<HTMLCanvasElement>(null);
  const panel = useRef<HTMLElement>(null);
  const view = useRef<GraphView | undefined>(undefined);
  const newest = useRef({ model, over });
  newest.current = { model, over };
  const [pointed, setPointed] = useState<Pointed | undefined>(undefined);
  const [ready, setReady] = useState(false);
  const paint = useStore(painted);
  const chosen = chosenOf(query);
  const by = query['by'] === 'security' ? 'security' : 'health';

  useEffect(() => {
    const element = canvas.current;
    if (!element) return undefined;
    const made = new GraphView(element, readCamera(query['at'] ?? ''), {
      choose,
      open: () => panel.current?.focus(),
      ready: () => setReady(true),
      moved: (camera, byUser) => byUser && change({ at: writeCamera(camera) }, true),
      at: (vertex, line, x, y) => {
        const text = say(newest.current.model, vertex, line, newest.current.over);
        setPointed((last) => (!text ? undefined : last && last.text === text ? last : { text, x, y, below: y < 90 }));
      },
    });
    view.current = made;
    return () => {
      view.current = undefined;
      made.end();
    };
  }, []);
  useEffect(() => view.current?.show(model), [model]);
  useEffect(() => view.current?.dress(by, chosen, hits), [model, by, query['sel'], query['peer'], hits, paint]);

  useEffect(() => view.current?.lookAt(readCamera(query['at'] ?? '')), [query['at']]);

  const press = (key: KeyboardEvent): void => {
    const graph = view.current;
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key.key];
    if (!graph) return;
    if (step) graph.walk(step[0] as number, step[1] as number);
    else if (key.key === 'Enter') {
      if (graph.enter()) requestAnimationFrame(() => panel.current?.focus());
    } else if (key.key === 'Escape') choose(undefined);
    else if (key.key === '+' || key.key === '=') graph.zoomBy(1.4);
    else if (key.key === '-') graph.zoomBy(1 / 1.4);
    else if (key.key === '0') refit(graph);
    else return;
    key.preventDefault();
    key.stopPropagation();
  };
  const refit = (graph: GraphView | undefined): void => {
    change({ at: undefined }, true);
    graph?.lookAt(undefined);
  };

  return (
    <div class={`mesh ${chosen ? 'with-panel' : ''}`}>
      <div class="graph">
        <canvas
          ref={canvas}
          tabIndex={0}
          role="application"
          aria-label={`Graph of the mesh: ${plural(model.vertices.length, 'vertex', 'vertices')}, ${plural(model.lines.length, 'line')}. Arrow keys walk, Enter shows details, plus and minus zoom, 0 shows all. The list shows the same.`}
          onKeyDown={press}
          onBlur={() => {
            view.current?.blur();
            setPointed(undefined);
          }}
        />
        {!ready && <p class="graph-wait" role="status">Laying out {plural(model.vertices.length, 'vertex', 'vertices')}…</p>}
        {pointed && (
          <div
            class={`graph-tip ${pointed.below ? 'below' : ''}`}
            style={{ left: `${Math.round(pointed.x)}px`, top: `${Math.round(pointed.y)}px` }}
            role="status"
          >
            {pointed.text}
          </div>
        )}
        <div class="graph-tools" role="group" aria-label="Zoom">
          <button type="button" class="square" title="Closer ( + )" aria-label="Closer" onClick={() => view.current?.zoomBy(1.4)}><Icon name="plus" /></button>
          <button type="button" class="square" title="Farther ( - )" aria-label="Farther" onClick={() => view.current?.zoomBy(1 / 1.4)}><Icon name="minus" /></button>
          <button type="button" class="square" title="All ( 0 )" aria-label="Show all" onClick={() => refit(view.current)}><Icon name="fit" /></button>
        </div>
        <div class="graph-foot">
          <Legend by={by} />
          <Choose label="Colour" name="by" otherwise="health" options={[['health', 'Health'], ['security', 'mTLS']]} />
        </div>
      </div>
      {chosen && <Panel root={panel} model={model} chosen={chosen} over={over} />}
    </div>
  );
}

function say(model: Model, vertex: number | undefined, line: number | undefined, over: number): string {
  const found = model.vertices[vertex ?? -1];
  if (found) {
    return seen(`${party(found.kind === 'namespace' ? '' : found.namespace, found.name || found.id)} · ${found.kind} · ${found.health}`);
  }
  const edge = model.lines[line ?? -1];
  if (!edge) return '';
  const name = (i: number): string => model.vertices[i]?.name || model.vertices[i]?.id || '?';
  return seen(`${name(edge.from)} → ${name(edge.to)} · ${rate(edge.load / over)} · ${edge.security || 'no traffic'} · ${edge.health}`);
}
