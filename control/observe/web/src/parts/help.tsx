import { useEffect, useRef } from 'preact/hooks';

const keys: readonly (readonly [string, string])[] = [
  ['?', 'This sheet'],
  ['/', 'Search on the page'],
  ['g m', 'Mesh'],
  ['g n', 'Nodes'],
  ['g w', 'Workloads'],
  ['g y', 'Waypoints'],
  ['g p', 'Policies'],
  ['g c', 'Certificates'],
  ['g e', 'Events'],
  ['l', 'Follow the present, or stop'],
  ['[  ]', 'Earlier, later'],
  ['+  -', 'Narrower, wider window'],
  ['1 … 5', 'Last 5 m, 15 m, 1 h, 6 h, 24 h'],
  ['t', 'Dark or light'],
  ['j  k', 'Next, last row of a table'],
  ['← → on a chart', 'Move along the time; Enter zooms in'],
  ['← → ↑ ↓ on the graph', 'Walk from vertex to vertex; Enter shows details; + - 0 zoom'],
  ['Esc', 'Close what is open'],
];

/** The sheet of shortcuts. */
export function Help({ close }: { close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="help" aria-label="Keyboard" onClose={close} onClick={(press) => press.target === dialog.current && close()}>
      <header class="section-head"><h2>Keyboard</h2></header>
      <dl class="keys">
        {keys.map(([key, what]) => (
          <div key={key}><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>
        ))}
      </dl>
      <button type="button" class="main" onClick={() => dialog.current?.close()}>Close</button>
      <p class="note">Drag over a chart to zoom in. <a href="licences.txt">Licences of the libraries in these pages</a></p>
    </dialog>
  );
}
