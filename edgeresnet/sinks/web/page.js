// Asks the server how the run is doing and shows it. What comes from the run is text, never markup.
'use strict';

const STATUS_MS = 1000;
const PATIENCE_MS = 4000;
const SHOWN = 5;
const WINDOW = 5; // seconds that the drops are counted over, as the run does for its other figures
const KEPT = 'edgeresnet-token';

const byId = (id) => document.getElementById(id);
const sum = (counts) => Object.values(counts).reduce((a, b) => a + b, 0);

const token = (() => {
  const given = new URLSearchParams(location.search).get('token');
  if (given) sessionStorage.setItem(KEPT, given);
  if (location.search) history.replaceState(null, '', location.pathname);
  return given ?? sessionStorage.getItem(KEPT);
})();

function ask(path) {
  const headers = token ? {Authorization: `Bearer ${token}`} : {};
  return fetch(path, {headers, cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS)});
}

const wall = new Wall(byId('tiles'), byId('main'), ask);
const charts = [
  new Chart(byId('fps'), {
    title: 'Predictions', unit: '/ s', least: 1, digits: 1,
    series: [{key: 'fps', className: 'one'}],
  }),
  new Chart(byId('latency'), {
    title: 'Latency', unit: 'ms', least: 1,
    series: [{key: 'p50', label: 'p50', className: 'one'}, {key: 'p99', label: 'p99', className: 'two'}],
  }),
  new Chart(byId('drops'), {
    title: 'Dropped', unit: '/ s', least: 1, digits: 1,
    series: [{key: 'drops', className: 'three'}],
  }),
];
const points = [];
let before = [];
let lostAt = null;

function note(status) {
  const at = performance.now() / 1000;
  if (status === null) {
    points.push({at});
    before = [];
  } else {
    const dropped = sum(status.frames.dropped);
    if (before.length && status.uptime_s < before.at(-1).uptime) before = []; // another run
    before.push({uptime: status.uptime_s, dropped});
    while (before.length > 2 && before[1].uptime < status.uptime_s - WINDOW) before.shift();
    const seconds = status.uptime_s - before[0].uptime;
    points.push({
      at,
      fps: status.fps,
      p50: status.latency_ms.p50 ?? null,
      p99: status.latency_ms.p99 ?? null,
      drops: seconds > 0 ? Math.max(0, dropped - before[0].dropped) / seconds : null,
    });
  }
  while (points.length && at - points[0].at > SPAN_S + 5) points.shift();
  for (const chart of charts) chart.draw(points, at);
}

function facts(entries) {
  const shown = byId('facts');
  shown.replaceChildren(...entries.filter(([, text]) => text).map(([name, text, title]) => {
    const pair = element('div');
    const value = element('dd', '', text);
    if (title) value.title = title;
    pair.append(element('dt', '', name), value);
    return pair;
  }));
}

function verdict(status) {
  const troubles = status.troubles;
  const chip = byId('verdict');
  const ended = status.sources.length > 0 && status.sources.every((one) => one.health.state === 'ended');
  const count = troubles.length === 1 ? '1 trouble' : `${troubles.length} troubles`;
  const word = troubles.length ? count : ended ? 'ended' : 'running well';
  chip.className = `chip ${troubles.length ? 'bad' : ended ? 'off' : 'good'}`;
  if (chip.textContent !== word) chip.textContent = word;
  document.title = troubles.length ? `(${troubles.length}) edgeresnet` : 'edgeresnet';
  const lines = [
    ...status.sources.filter(({health}) => !['live', 'ended'].includes(health.state) || health.frozen)
      .map(({name, health}) => [name, health.frozen ? 'frozen' : STATES[health.state]?.[1], explanation(health)]),
    ...status.sinks.filter((one) => one.state !== 'ok').map((one) => [one.name, 'failing', one.reason]),
  ];
  const list = byId('troubles');
  list.hidden = !lines.length;
  list.replaceChildren(...lines.slice(0, SHOWN).map(([name, word, why]) => {
    const row = element('li');
    row.append(element('b', '', name), element('span', '', ` ${word}`), element('small', '', why ? `  ${why}` : ''));
    return row;
  }));
  if (lines.length > SHOWN) list.append(element('li', 'facts', `and ${lines.length - SHOWN} more`));
}

// parts: [[name, amount, className, text]]
function stack(bar, list, parts) {
  const total = parts.reduce((all, [, amount]) => all + amount, 0);
  bar.replaceChildren(...parts.map(([, amount, className]) => {
    const part = element('i', className);
    part.style.setProperty('flex-grow', total ? amount / total : 0);
    return part;
  }));
  list.replaceChildren(...parts.filter(([name]) => name).map(([name, , className, text]) => {
    const row = element('li');
    row.append(element('i', `key ${className}`), element('span', '', name), element('b', '', text));
    return row;
  }));
}

function frames({captured, inferred, dropped, in_flight: flying}) {
  const term = (count, word) => {
    const shown = element('span', 'term');
    shown.append(element('b', '', number(count, 0)), element('small', '', word));
    return shown;
  };
  byId('identity').replaceChildren(
    term(captured, 'captured'), element('span', 'sign', '='),
    term(inferred, 'inferred'), element('span', 'sign', '+'),
    term(sum(dropped), 'dropped'),
  );
  const reasons = Object.entries(dropped).filter(([, count]) => count).sort((a, b) => b[1] - a[1]);
  stack(byId('share'), byId('reasons'), [
    ['', inferred, 'shade0', ''],
    ...reasons.map(([reason, count], i) => {
      const percent = `${number((100 * count) / Math.max(captured, 1), 1)} %`;
      return [`dropped: ${reason}`, count, `loss${Math.min(i, 3)}`, `${number(count, 0)} · ${percent}`];
    }),
  ]);
  const row = element('li');
  row.append(element('i', 'key none'), element('span', '', 'under way'), element('b', '', number(flying, 0)));
  byId('reasons').append(row);
}

function sinks(all) {
  const list = byId('sinks');
  list.replaceChildren(...all.map((one) => {
    const row = element('li');
    const head = element('div', 'caption');
    const chip = element('span');
    setChip(chip, one.state);
    const name = element('h3', '', one.name);
    name.title = one.name;
    head.append(name, chip);
    const why = Object.entries(one.dropped).filter(([, count]) => count)
      .map(([reason, count]) => `${reason} ${number(count, 0)}`).join(', ');
    const counts = [`${number(one.delivered, 0)} of ${number(one.accepted, 0)} delivered`];
    if (one.waiting) counts.push(`${number(one.waiting, 0)} waiting`);
    if (why) counts.push(`${number(sum(one.dropped), 0)} dropped (${why})`);
    if (one.errors) counts.push(`${number(one.errors, 0)} failed attempts`);
    row.append(head);
    if (one.reason) row.append(element('p', 'why', one.reason));
    row.append(element('p', 'facts', counts.join(' · ')));
    return row;
  }));
  if (!all.length) list.append(element('li', 'facts', 'none'));
}

function show(status) {
  verdict(status);
  facts([
    ['model', status.model.replace(/^sha256:/, '').slice(0, 12), status.model],
    ['running for', duration(status.uptime_s)],
    ['memory', `${number(status.rss_mb, 0)} MB`],
    ['recompiled', status.recompiled ? number(status.recompiled, 0) : ''],
  ]);
  wall.keep(status.sources.map((one) => one.name));
  for (const one of status.sources) wall.tiles.get(one.name).update(one);
  byId('waiting').hidden = status.sources.length > 0;
  frames(status.frames);
  sinks(status.sinks);
  const stages = ['decode', 'prepare', 'infer', 'finish'].filter((name) => name in status.stages_ms);
  stack(byId('stages'), byId('stage-list'), stages.map((name, i) =>
    [name, status.stages_ms[name], `shade${i}`, `${number(status.stages_ms[name])} ms`]));
}

// a run that nobody keeps track of still has pictures
async function showPictures() {
  const {predictions} = await (await ask('api/predictions')).json();
  wall.keep(predictions.map((one) => one.source));
  byId('waiting').hidden = predictions.length > 0;
  for (const one of predictions) {
    wall.tiles.get(one.source).update({health: {state: 'live'}, fps: null, size: one.size});
  }
  byId('verdict').textContent = 'no figures';
}

function gone(text) {
  const banner = byId('gone');
  if (banner.textContent !== text) banner.textContent = text;
  banner.hidden = !text;
  document.body.classList.toggle('lost', Boolean(text));
  wall.rest(Boolean(text));
}

async function refresh() {
  try {
    const response = await ask('api/status');
    if (response.status === 401) {
      sessionStorage.removeItem(KEPT);
      gone('The token is not accepted any more. Open the page again with the new one.');
      return note(null);
    }
    const status = response.ok ? await response.json() : null;
    byId('panels').hidden = status === null;
    if (status) show(status);
    else if (response.status === 503) await showPictures();
    else throw new Error(response.status);
    lostAt = null;
    gone('');
    note(status);
  } catch {
    lostAt ??= new Date().toLocaleTimeString();
    gone(`edgeresnet does not answer since ${lostAt}. What is shown is old; trying again every second.`);
    note(null);
  }
}

(async () => {
  for (;;) {
    await refresh();
    await sleep(STATUS_MS);
  }
})();
