// The live picture of each source, fetched a few at a time so that many cameras share fairly.
'use strict';

const PARALLEL = 4;
const RESTING_MS = 5000; // a source that is not live has nothing new, but may have come back
const READ_MS = 150; // faster changing figures cannot be read
const READABLE_PX = 11;
const LARGE = 1.6; // times as large is what ?text=large writes

const STATES = {
  live: ['good', 'live'],
  connecting: ['fair', 'connecting'],
  stalled: ['bad', 'stalled'],
  backoff: ['bad', 'retrying'],
  ended: ['off', 'ended'],
  ok: ['good', 'ok'],
  failing: ['bad', 'failing'],
};

function setChip(chip, state) {
  const [tone, word] = STATES[state] ?? ['off', state];
  chip.className = `chip ${tone}`;
  if (chip.textContent !== word) chip.textContent = word;
}

function duration(seconds) {
  if (seconds < 100) return `${number(seconds, seconds < 10 ? 1 : 0)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.round((seconds % 86400) / 3600)} h`;
}

// why a source is not well, in one line; empty while it is
function explanation({state, reason, detail, since_s: since, frozen, attempts}) {
  const said = [];
  if (reason && reason !== state) said.push(detail ? `${reason}: ${detail}` : reason);
  else if (detail) said.push(detail);
  if (state !== 'live' && state !== 'ended') said.push(`for ${duration(since)}`);
  if (state !== 'live' && attempts > 1) said.push(`attempt ${attempts}`);
  if (frozen) said.push('the picture has not changed for long');
  return said.join(' · ');
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

class Tile {
  constructor(name, onEnlarge) {
    this.name = name;
    this.index = null;
    this.state = 'live';
    this.fps = 25;
    this.busy = false;
    this.due = 0;
    this.readAt = -READ_MS;
    this.article = element('article', 'tile');
    this.view = element('button', 'view');
    this.view.type = 'button';
    this.view.setAttribute('aria-pressed', 'false');
    this.view.setAttribute('aria-label', `Enlarge ${name}`);
    this.view.addEventListener('click', () => onEnlarge(this));
    this.image = element('img');
    this.image.alt = `${name}, newest picture`;
    this.image.hidden = true;
    this.none = element('span', 'none', 'no picture yet');
    this.view.append(this.image, this.none);
    const caption = element('div', 'caption');
    const title = element('h2', '', name);
    title.title = name;
    caption.append(title);
    const chips = element('p', 'chips');
    this.chip = element('span', 'chip off', '…');
    this.frozen = element('span', 'chip fair', 'frozen');
    this.frozen.hidden = true;
    chips.append(this.chip, this.frozen);
    this.facts = element('p', 'facts');
    this.rate = element('span');
    this.dimensions = element('span', 'size');
    this.old = element('span');
    this.facts.append(this.rate, this.dimensions, this.old);
    this.why = element('p', 'why');
    this.why.hidden = true;
    this.labels = element('ol', 'labels');
    this.labels.setAttribute('aria-label', `Labels of ${name}`);
    caption.append(chips);
    this.article.append(this.view, caption, this.facts, this.why, this.labels);
  }

  // one: an entry of sources in /api/status
  update(one) {
    const {state, frozen} = one.health;
    if (state === 'live' && this.state !== 'live') this.due = 0;
    this.state = state;
    this.fps = one.fps;
    this.size = one.size;
    this.article.dataset.state = state;
    setChip(this.chip, state);
    this.frozen.hidden = !frozen;
    this.why.textContent = explanation(one.health);
    this.why.hidden = !this.why.textContent;
    this.tell();
  }

  tell() {
    const live = this.state === 'live';
    const age = this.ageMs();
    this.rate.textContent = live && this.fps !== null ? `${number(this.fps, 1)} fps` : '';
    this.dimensions.textContent = this.size ? `${this.size[0]}×${this.size[1]}` : '';
    this.old.textContent = age === null || this.state === 'ended' ? ''
      : age < 1000 ? `${Math.round(age)} ms old` : `${duration(age / 1000)} old`;
    const late = Math.max(3000, 3000 / Math.max(this.fps ?? 0, 0.1));
    this.article.classList.toggle('old', this.state !== 'ended' && age > (live ? late : 3000));
  }

  ageMs() {
    return this.index === null ? null : this.age + performance.now() - this.arrived;
  }

  // what the boxes need to be read at the size that the picture is shown at
  text() {
    const {naturalWidth: width, naturalHeight: height} = this.image;
    if (!width) return '';
    const scale = Math.min(this.view.clientWidth / width, this.view.clientHeight / height);
    const pixels = Math.max(11, 0.034 * Math.min(width, height)) * scale; // as it is drawn
    return pixels >= READABLE_PX ? '' : pixels * LARGE >= 0.75 * READABLE_PX ? 'large' : 'none';
  }

  async fetch(ask) {
    const text = this.text();
    const after = this.index === null || text !== this.image.dataset.text ? '' : `&after=${this.index}`;
    const path = `frame/${encodeURIComponent(this.name)}.jpg?labels=0&text=${text}${after}`;
    const response = await ask(path);
    const now = performance.now();
    if (response.status === 200) {
      await this.show(await response.blob(), response.headers);
      this.image.dataset.text = text;
      this.due = this.state === 'live' ? now + 700 / Math.max(this.fps || 1, 0.5) : now + RESTING_MS;
    } else if (response.status === 204) {
      this.due = this.state === 'live' || this.index === null ? now + 100 : now + RESTING_MS;
    } else {
      this.none.textContent = response.status === 503 ? 'too many viewers' : 'no picture yet';
      this.due = now + RESTING_MS;
    }
  }

  async show(blob, headers) {
    const url = URL.createObjectURL(blob);
    const before = this.image.src;
    try {
      await new Promise((resolve, reject) => {
        this.image.onload = resolve;
        this.image.onerror = reject;
        this.image.src = url;
      });
    } finally {
      if (before) URL.revokeObjectURL(before);
    }
    this.index = Number(headers.get('X-Frame'));
    this.age = Number(headers.get('X-Age-Ms'));
    this.arrived = performance.now();
    this.image.dataset.frame = this.index;
    const ratio = this.image.naturalWidth / this.image.naturalHeight;
    this.view.style.setProperty('--ratio', Math.min(Math.max(ratio, 0.5), 3));
    this.image.hidden = false;
    this.none.hidden = true;
    this.said = headers.get('X-Prediction') ?? '{}';
    this.reading ??= setTimeout(() => {
      this.reading = undefined;
      this.readAt = performance.now();
      this.read(JSON.parse(this.said));
    }, Math.max(0, READ_MS - (this.arrived - this.readAt)));
  }

  // said: {labels: [[name, score]]} or {boxes, labels: [[name, count]]}
  read({boxes, labels = []}) {
    const rows = boxes === undefined ? labels : [[boxes === 1 ? 'box' : 'boxes', boxes], ...labels];
    const others = boxes - labels.reduce((all, [, count]) => all + count, 0);
    if (others > 0) rows.push(['others', others]);
    while (this.labels.children.length > rows.length) this.labels.lastChild.remove();
    rows.forEach(([name, value], i) => {
      let row = this.labels.children[i];
      if (!row) {
        row = element('li');
        row.append(element('span', 'name'), element('span', 'score'), element('i', 'bar'));
        this.labels.append(row);
      }
      const [shownName, score, bar] = row.children;
      shownName.textContent = shownName.title = name;
      score.textContent = boxes === undefined ? `${number(100 * value, 1)} %` : number(value, 0);
      bar.hidden = boxes !== undefined;
      bar.style.setProperty('--share', Math.min(Math.max(value, 0), 1));
    });
    // what is below stays where it is while things come and go
    this.labels.style.setProperty('--tallest', `${this.labels.offsetHeight}px`);
  }
}

class Wall {
  constructor(container, main, ask) {
    Object.assign(this, {container, main, ask, tiles: new Map(), large: null, resting: false});
    document.addEventListener('keydown', ({key}) => {
      if (key === 'Escape' && this.large) this.enlarge(this.large);
    });
    setInterval(() => this.tiles.forEach((tile) => tile.tell()), 500);
    for (let i = 0; i < PARALLEL; i++) this.work();
  }

  keep(names) {
    for (const [name, tile] of this.tiles) {
      if (names.includes(name)) continue;
      if (tile === this.large) this.enlarge(tile);
      tile.article.remove();
      this.tiles.delete(name);
    }
    for (const name of names) {
      if (this.tiles.has(name)) continue;
      const tile = new Tile(name, (clicked) => this.enlarge(clicked));
      this.tiles.set(name, tile);
      this.container.append(tile.article);
    }
    const count = this.tiles.size;
    this.container.dataset.many = count <= 1 ? 'one' : count <= 4 ? 'few' : 'many';
  }

  enlarge(tile) {
    const before = this.large;
    this.large = before === tile ? null : tile;
    for (const one of [before, tile]) {
      const large = one !== null && one === this.large;
      one?.article.classList.toggle('large', large);
      one?.view.setAttribute('aria-pressed', String(large));
      if (one) one.due = 0;
      one?.labels.style.removeProperty('--tallest');
    }
    this.main.classList.toggle('wide', this.large !== null);
    if (this.large) tile.article.scrollIntoView({block: 'nearest'});
  }

  // while the server is gone nothing is asked for; afterwards everything is asked for anew
  rest(resting) {
    if (this.resting && !resting) {
      for (const tile of this.tiles.values()) Object.assign(tile, {index: null, due: 0});
    }
    this.resting = resting;
  }

  next() {
    if (document.hidden || this.resting) return null;
    const now = performance.now();
    let chosen = null;
    for (const tile of this.tiles.values()) {
      if (tile.busy || tile.due > now) continue;
      if (tile === this.large) return tile;
      if (!chosen || tile.due < chosen.due) chosen = tile;
    }
    return chosen;
  }

  async work() {
    for (;;) {
      const tile = this.next();
      if (!tile) {
        await sleep(document.hidden || this.resting ? 250 : 15);
        continue;
      }
      tile.busy = true;
      try {
        await tile.fetch(this.ask);
      } catch {
        tile.due = performance.now() + 1000;
      }
      tile.busy = false;
    }
  }
}
