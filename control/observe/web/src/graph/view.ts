// The canvas of a mesh: zooming, pointing, choosing.
import { quadtree, type Quadtree } from 'd3-quadtree';
import { select } from 'd3-selection';
import { zoom, zoomIdentity, type ZoomBehavior } from 'd3-zoom';
import { CLOSEST, FARTHEST, fitted, nearest, turned, writeCamera, type Camera } from './camera';
import type { Place } from './layout';
import type { Model } from './model';
import { Places } from './places';
import { draw, radiusAt, type Scene } from './scene';

export type Chosen = { vertex: string } | { from: string; to: string } | undefined;

export interface Told {
  choose: (what: Chosen) => void;
  open: () => void;
  /** What is pointed at or walked to, in words. */
  at: (index: number | undefined, line: number | undefined, x: number, y: number) => void;
  moved: (camera: Camera, byUser: boolean) => void;
  ready: () => void;
}

export class GraphView {
  private readonly ctx: CanvasRenderingContext2D;
  private readonly zoomer: ZoomBehavior<HTMLCanvasElement, unknown>;
  private readonly places: Places;
  private readonly sized: ResizeObserver;
  private scene: Scene | undefined;
  private next: Model | undefined;
  private tree: Quadtree<number> | undefined;
  private camera: Camera = { x: 0, y: 0, k: 1 };
  private width = 0;
  private height = 0;
  private drawing = 0;
  /** Somebody has moved: it is not fitted by itself any more. */
  private held = false;
  private tall = false;
  private resting: ReturnType<typeof setTimeout> | undefined;
  private look: { by: string; chosen: Chosen; hits: ReadonlySet<number> | undefined } = { by: 'health', chosen: undefined, hits: undefined };

  constructor(private readonly canvas: HTMLCanvasElement, start: Camera | undefined, private readonly told: Told) {
    const ctx = canvas.getContext('2d');
    if (!ctx) throw new Error('this browser draws no canvas');
    this.ctx = ctx;
    this.places = new Places(() => this.laid());
    this.zoomer = zoom<HTMLCanvasElement, unknown>()
      .scaleExtent([FARTHEST, CLOSEST])
      .clickDistance(4)
      .on('zoom', ({ transform, sourceEvent }: { transform: { x: number; y: number; k: number }; sourceEvent: Event | null }) => {
        const { x, y, k } = transform;
        this.camera = { x: (this.width / 2 - x) / k, y: (this.height / 2 - y) / k, k };
        if (sourceEvent) this.held = true;
        this.move();
        this.redraw();
      })
      .on('end', ({ sourceEvent }: { sourceEvent: Event | null }) => told.moved(this.tall ? turned(this.camera) : this.camera, sourceEvent !== null));
    select(canvas).call(this.zoomer).on('dblclick.zoom', null);
    canvas.addEventListener('pointermove', (move) => this.hover(move));
    canvas.addEventListener('pointerleave', () => this.leave());
    canvas.addEventListener('click', (click) => this.click(click));
    canvas.addEventListener('dblclick', () => this.told.open());
    this.sized = new ResizeObserver(() => this.resize());
    this.sized.observe(canvas);
    if (start) {
      this.camera = start;
      this.held = true;
    }
    this.resize();
  }

  /** Takes another mesh; vertices that were there stay where they are. */
  show(model: Model): void {
    this.next = model;
    if (this.places.of(model)) this.laid();
    else this.places.seek(model);
  }

  /** How it is drawn. `hits`: what a search found. */
  dress(by: string, chosen: Chosen, hits: ReadonlySet<number> | undefined): void {
    this.look = { by, chosen, hits };
    this.emphasise();
    this.redraw();
  }

  /** Looks where an address says; undefined: at all of it. */
  lookAt(camera: Camera | undefined): void {
    this.held = camera !== undefined;
    const own = this.tall ? turned(this.camera) : this.camera;
    // What the view itself wrote into the address is where it looks already.
    if (camera && writeCamera(camera) === writeCamera(own)) return;
    if (camera) this.aim(this.tall ? turned(camera) : camera);
    else if (this.scene) this.aim(fitted(this.scene.places, this.width, this.height));
  }

  zoomBy(factor: number): void {
    this.held = true;
    select(this.canvas).call(this.zoomer.scaleBy, factor);
    this.told.moved(this.tall ? turned(this.camera) : this.camera, true);
  }

  /** Walks to the next vertex in a direction. */
  walk(dx: number, dy: number): void {
    const { scene } = this;
    if (!scene || scene.places.length === 0) return;
    const from = scene.focused ?? scene.chosen;
    const to = from === undefined ? this.middle() : nearest(scene.places, from, dx, dy);
    if (to === undefined) return;
    scene.focused = to;
    this.reveal(to);
    this.told.at(to, undefined, ...this.toScreen(to));
    this.redraw();
  }

  /** Chooses what was walked to. */
  enter(): boolean {
    const vertex = this.scene?.model.vertices[this.scene.focused ?? -1];
    if (!vertex) return false;
    this.told.choose({ vertex: vertex.id });
    return true;
  }

  /** The keyboard has left. */
  blur(): void {
    if (this.scene) this.scene.focused = undefined;
    this.redraw();
  }

  redraw(): void {
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = 0;
      if (!this.scene || this.width === 0) return;
      this.ctx.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
      draw(this.ctx, this.scene, this.camera, this.width, this.height);
    });
  }

  end(): void {
    cancelAnimationFrame(this.drawing);
    clearTimeout(this.resting);
    this.sized.disconnect();
    this.places.end();
    select(this.canvas).on('.zoom', null);
  }

  private laid(): void {
    const model = this.next;
    const laid = model && this.places.of(model);
    if (!model || !laid) return;
    // On a tall screen what reads from left to right reads from top to bottom.
    const places = this.tall ? laid.map(({ x, y }) => ({ x: y, y: x })) : laid;
    const first = !this.scene;
    // A mesh of which most is new is another one: another group, another filter.
    const old = this.scene?.model.index;
    const anew = model.vertices.filter((vertex) => !old?.has(vertex.id)).length > model.vertices.length / 2;
    const focused = this.scene?.model.vertices[this.scene.focused ?? -1]?.id;
    this.scene = {
      model, places, by: this.look.by, strong: undefined, chosen: undefined, hovered: undefined, moving: false,
      focused: focused === undefined ? undefined : model.index.get(focused),
    };
    this.tree = quadtree<number>([...places.keys()], (i) => (places[i] as Place).x, (i) => (places[i] as Place).y);
    this.emphasise();
    if (!this.held && (first || anew)) this.aim(fitted(places, this.width, this.height));
    else if (first) this.aim(this.camera);
    this.told.ready();
    this.redraw();
  }

  /** Draws simpler until the camera rests. */
  private move(): void {
    clearTimeout(this.resting);
    if (this.scene) this.scene.moving = true;
    this.resting = setTimeout(() => {
      if (this.scene) this.scene.moving = false;
      this.redraw();
    }, 180);
  }

  private emphasise(): void {
    const { scene, look } = this;
    if (!scene) return;
    const { model } = scene;
    scene.by = look.by;
    scene.chosen = undefined;
    const vertices = new Set<number>();
    const lines = new Set<number>();
    if (look.chosen && 'vertex' in look.chosen) {
      const i = model.index.get(look.chosen.vertex);
      if (i !== undefined) {
        scene.chosen = i;
        vertices.add(i);
        for (const line of model.touching[i] ?? []) {
          lines.add(line);
          vertices.add((model.lines[line] as { from: number }).from).add((model.lines[line] as { to: number }).to);
        }
      }
    } else if (look.chosen) {
      const from = model.index.get(look.chosen.from);
      const to = model.index.get(look.chosen.to);
      model.lines.forEach((line, i) => {
        if (line.from === from && line.to === to) {
          lines.add(i);
          vertices.add(line.from).add(line.to);
        }
      });
    }
    if (vertices.size === 0 && look.hits) {
      for (const i of look.hits) {
        vertices.add(i);
        for (const line of model.touching[i] ?? []) lines.add(line);
      }
    }
    scene.strong = vertices.size > 0 || look.hits ? { vertices, lines } : undefined;
  }

  private aim({ x, y, k }: Camera): void {
    const { width, height } = this;
    this.camera = { x, y, k };
    select(this.canvas).call(this.zoomer.transform, zoomIdentity.translate(width / 2 - x * k, height / 2 - y * k).scale(k));
  }

  private resize(): void {
    const { clientWidth, clientHeight } = this.canvas;
    if (clientWidth === this.width && clientHeight === this.height) return;
    this.width = clientWidth;
    this.height = clientHeight;
    this.canvas.width = Math.round(clientWidth * devicePixelRatio);
    this.canvas.height = Math.round(clientHeight * devicePixelRatio);
    const tall = clientHeight > clientWidth * 1.1;
    if (tall !== this.tall) {
      this.tall = tall;
      this.camera = turned(this.camera);
      if (this.scene) this.laid();
    }
    if (this.scene && !this.held) this.aim(fitted(this.scene.places, this.width, this.height));
    else this.aim(this.camera);
    this.redraw();
  }

  private toScreen(i: number): [number, number] {
    const place = this.scene?.places[i] ?? { x: 0, y: 0 };
    return [(place.x - this.camera.x) * this.camera.k + this.width / 2, (place.y - this.camera.y) * this.camera.k + this.height / 2];
  }

  private reveal(i: number): void {
    const [x, y] = this.toScreen(i);
    const place = this.scene?.places[i];
    if (place && (x < 40 || y < 40 || x > this.width - 40 || y > this.height - 40)) this.aim({ ...place, k: this.camera.k });
  }

  private middle(): number | undefined {
    return this.tree?.find(this.camera.x, this.camera.y);
  }

  private pick(event: MouseEvent): { vertex: number | undefined; line: number | undefined; x: number; y: number } {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const at = { x: (x - this.width / 2) / this.camera.k + this.camera.x, y: (y - this.height / 2) / this.camera.k + this.camera.y };
    const reach = (radiusAt(this.camera.k) + 6) / this.camera.k;
    const vertex = this.tree?.find(at.x, at.y, reach);
    return { vertex, line: vertex === undefined ? this.lineAt(at, 6 / this.camera.k) : undefined, x, y };
  }

  private lineAt(at: Place, reach: number): number | undefined {
    const { scene } = this;
    if (!scene) return undefined;
    let best: number | undefined;
    let least = reach;
    scene.model.lines.forEach((line, i) => {
      const a = scene.places[line.from] as Place;
      const b = scene.places[line.to] as Place;
      const [dx, dy] = [b.x - a.x, b.y - a.y];
      const length = Math.hypot(dx, dy);
      if (length < 1) return;
      const t = ((at.x - a.x) * dx + (at.y - a.y) * dy) / (length * length);
      if (t < 0 || t > 1) return;
      // The curve lies off the straight line by a parabola.
      const bend = Math.min(24 / this.camera.k, length * 0.12) * 2 * t * (1 - t);
      const aside = ((at.x - a.x) * dy - (at.y - a.y) * dx) / length;
      const distance = Math.abs(aside - bend);
      if (distance < least) [least, best] = [distance, i];
    });
    return best;
  }

  private hover(move: PointerEvent): void {
    if (!this.scene || move.buttons !== 0) return;
    const { vertex, line, x, y } = this.pick(move);
    this.canvas.style.cursor = vertex !== undefined || line !== undefined ? 'pointer' : 'grab';
    this.told.at(vertex, line, x, y);
    if (this.scene.hovered !== vertex) {
      this.scene.hovered = vertex;
      this.redraw();
    }
  }

  private leave(): void {
    if (this.scene) this.scene.hovered = undefined;
    this.told.at(undefined, undefined, 0, 0);
    this.redraw();
  }

  private click(click: MouseEvent): void {
    const { vertex, line } = this.pick(click);
    const model = this.scene?.model;
    if (!model) return;
    const of = model.lines[line ?? -1];
    if (vertex !== undefined) this.told.choose({ vertex: model.vertices[vertex]?.id ?? '' });
    else if (of) this.told.choose({ from: model.vertices[of.from]?.id ?? '', to: model.vertices[of.to]?.id ?? '' });
    else this.told.choose(undefined);
  }
}
