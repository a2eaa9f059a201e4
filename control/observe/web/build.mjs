// Bundles the application into the directory named by AMBIT_WEB_OUT, or dist/.
import { build } from 'esbuild';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { constants, gzipSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const out = process.env.AMBIT_WEB_OUT || join(here, 'dist');

// Only what an earlier build wrote is removed: the directory is the caller's.
mkdirSync(out, { recursive: true });
const names = ['index.html', 'icon.svg', 'app.js', 'app.css', 'layout.js', 'licences.txt'];
for (const name of names) for (const end of ['', '.gz']) rmSync(join(out, name + end), { force: true });

const result = await build({
  absWorkingDir: here,
  entryPoints: { app: 'src/main.tsx', layout: 'src/graph/worker.ts' },
  outdir: out,
  bundle: true,
  format: 'esm',
  target: 'es2022',
  minify: true,
  charset: 'utf8',
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
});

cpSync(join(here, 'src/index.html'), join(out, 'index.html'));
cpSync(join(here, 'src/icon.svg'), join(out, 'icon.svg'));
writeFileSync(join(out, 'licences.txt'), licences(Object.keys(result.metafile.inputs)));

let total = 0;
for (const name of names) {
  const packed = gzipSync(readFileSync(join(out, name)), { level: constants.Z_BEST_COMPRESSION });
  writeFileSync(join(out, `${name}.gz`), packed);
  total += packed.length;
}
console.log(`${names.length} files, ${(total / 1024).toFixed(1)} KiB compressed, in ${out}`);

/** The licences of the packages that went into the bundle. */
function licences(inputs) {
  const packages = new Set(
    inputs.map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]).filter(Boolean),
  );
  return [...packages].sort().map((name) => {
    const home = join(here, 'node_modules', name);
    const file = readdirSync(home).find((entry) => /^licen[cs]e/i.test(entry));
    if (!file) throw new Error(`${name} has no licence file: it cannot be shipped`);
    const { version } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
    return `${name} ${version}\n\n${readFileSync(join(home, file), 'utf8').trim()}\n`;
  }).join('\n----\n\n');
}
