import './style/main.css';
import { render } from 'preact';
import { startAbout } from './api/about';
import { startLive } from './api/live';
import { startClock } from './api/now';
import { App } from './app';
import { repaint } from './charts/paint';
import { painted, startTheme } from './state/theme';

painted.listen(repaint);
startTheme();
startClock();
startAbout();
startLive();

const root = document.getElementById('app');
if (root) {
  root.replaceChildren();
  render(<App />, root);
}
