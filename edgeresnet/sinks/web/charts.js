// Small charts of the last two minutes.
'use strict';

const SPAN_S = 120;
const SVG = 'http://www.w3.org/2000/svg';

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function number(value, digits) {
  if (typeof value !== 'number' || !Number.isFinite(value)) return '–';
  const fraction = digits ?? (value >= 100 ? 0 : value >= 10 ? 1 : 2);
  return value.toLocaleString('en', {minimumFractionDigits: fraction, maximumFractionDigits: fraction});
}

// 1, 2 or 5 times a power of ten, so that the axis can be read
function ceiling(value, least) {
  const wanted = Math.max(value, least);
  const power = 10 ** Math.floor(Math.log10(wanted));
  return [1, 2, 5, 10].find((step) => step * power >= wanted * 0.999) * power;
}

class Chart {
  // series: [{key, label, className}], the first drawn as an area when it is alone
  constructor(figure, {title, unit, series, least, digits}) {
    Object.assign(this, {figure, title, unit, series, least, digits});
    const head = element('figcaption');
    head.append(element('span', 'title', title));
    this.values = series.map(({label, className}, i) => {
      const value = element('b', '', '–');
      const shown = element('span', `now ${className}`);
      if (label) shown.append(element('i', 'key'), element('span', 'label', `${label} `));
      shown.append(value);
      if (i === series.length - 1) shown.append(element('span', 'unit', ` ${unit}`));
      head.append(shown);
      return value;
    });
    const area = element('div', 'plot');
    this.svg = document.createElementNS(SVG, 'svg');
    this.svg.setAttribute('viewBox', `0 0 ${SPAN_S} 100`);
    this.svg.setAttribute('preserveAspectRatio', 'none');
    this.svg.setAttribute('aria-hidden', 'true');
    for (const y of [0, 50, 100]) this.path(`M0 ${y}H${SPAN_S}`, y === 100 ? 'axis' : 'grid');
    this.filled = series.length === 1 ? this.path('', `fill ${series[0].className}`) : null;
    this.lines = series.map(({className}) => this.path('', `line ${className}`));
    this.ticks = [0, 50, 100].map((y) => {
      const tick = element('span', `tick y at${y}`);
      area.append(tick);
      return tick;
    });
    for (const [className, text] of [['left', '2 min ago'], ['middle', '1 min'], ['right', 'now']]) {
      area.append(element('span', `tick x ${className}`, text));
    }
    area.append(this.svg);
    figure.replaceChildren(head, area);
    figure.setAttribute('role', 'img');
  }

  path(d, className) {
    const made = document.createElementNS(SVG, 'path');
    made.setAttribute('d', d);
    made.setAttribute('class', className);
    this.svg.append(made);
    return made;
  }

  // points: [{at (s), [key]: number or null}], oldest first; null leaves a gap
  draw(points, now) {
    const shown = points.filter(({at}) => now - at <= SPAN_S);
    const all = shown.flatMap((point) => this.series.map(({key}) => point[key] ?? 0));
    const top = ceiling(Math.max(0, ...all), this.least);
    this.ticks.forEach((tick, i) => {
      const value = top * (1 - i / 2);
      tick.textContent = value === 0 ? '0' : `${Number(value.toPrecision(2)).toLocaleString('en')}`;
    });
    const said = [];
    this.series.forEach(({key, label}, i) => {
      const last = points.at(-1)?.[key];
      this.values[i].textContent = number(last, this.digits);
      said.push(`${label || ''} ${number(last, this.digits)} ${this.unit}`.trim());
      let line = '', fill = '', begun = null, x = 0;
      for (const point of shown) {
        const value = point[key];
        if (value === null || value === undefined) {
          if (begun !== null) fill += `V100H${begun}Z`;
          begun = null;
          continue;
        }
        x = Math.max(0, SPAN_S - (now - point.at)).toFixed(2);
        const y = (100 - 100 * Math.min(value / top, 1)).toFixed(2);
        line += `${begun === null ? 'M' : 'L'}${x} ${y}`;
        fill += begun === null ? `M${x} 100V${y}` : `L${x} ${y}`;
        begun ??= x;
      }
      if (begun !== null) fill += `V100H${begun}Z`;
      this.lines[i].setAttribute('d', line);
      if (this.filled) this.filled.setAttribute('d', fill);
    });
    this.figure.setAttribute('aria-label', `${this.title}, now: ${said.join(', ')}`);
  }
}
