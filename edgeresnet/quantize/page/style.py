"""How the report page looks, by day and by night, on a desk and on a phone."""

STYLE = """
:root {
  --paper: #fafaf8; --card: #fff; --ink: #1c2024; --soft: #5f666d; --rule: #e3e3de;
  --int8: #3b7ea8; --float: #b4bac0; --good: #2b7a4b; --bad: #b5402c; --fair: #c98a1b;
  --chosen: #3b7ea81c; --cut: #b5402c14; --allowed: #2b7a4b16;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15181b; --card: #1d2125; --ink: #e6e8ea; --soft: #9aa2aa; --rule: #32383e;
    --int8: #6cb0da; --float: #59626b; --good: #62bd87; --bad: #e5806c; --fair: #dfae52;
    --chosen: #6cb0da22; --cut: #e5806c1f; --allowed: #62bd871f;
  }
}
* { box-sizing: border-box; }
html { background: var(--paper); color: var(--ink); -webkit-text-size-adjust: 100%;
  scroll-behavior: smooth; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 5rem; max-width: 62rem;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums; }
header p { margin: 0; color: var(--soft); font-size: .875rem; }
h1 { margin: 0 0 1.5rem; font-size: 1.75rem; line-height: 1.2; letter-spacing: -.01em;
  overflow-wrap: anywhere; unicode-bidi: isolate; }
h2 { margin: 0 0 .35rem; font-size: 1.3rem; line-height: 1.3; letter-spacing: -.005em; }
h3 { margin: 1.75rem 0 .25rem; font-size: 1rem; }
section { margin-top: 3.25rem; scroll-margin-top: 1rem; }
#verdict { margin-top: 0; padding: 1.5rem; background: var(--card); border: 1px solid var(--rule);
  border-radius: .75rem; }
p { margin: .5rem 0; }
.lead { max-width: 44rem; margin: 0 0 1.1rem; color: var(--soft); }
#verdict .lead { color: var(--ink); }
.reason { max-width: 44rem; font-weight: 500; }
.aside, small, figcaption { color: var(--soft); font-size: .8125rem; line-height: 1.45; }
code { font: .8125em/1.4 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  overflow-wrap: anywhere; unicode-bidi: isolate; }
figure { margin: 0; }
nav { display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; margin-top: 1.25rem; font-size: .9rem; }
a { color: var(--int8); text-decoration-thickness: 1px; text-underline-offset: .2em; }
.good { --tone: var(--good); } .bad { --tone: var(--bad); } .open { --tone: var(--soft); }
.verdict { margin: 0 0 .4rem; font-size: 1.5rem; font-weight: 650; line-height: 1.25;
  color: var(--tone); }
.verdict::before { content: ""; display: inline-block; width: .62em; height: .62em;
  margin-right: .45em; border-radius: 50%; background: var(--tone); }
.chip { display: inline-block; padding: 0 .5em; border: 1px solid var(--tone); border-radius: 1em;
  color: var(--tone); font-size: .75rem; line-height: 1.5; white-space: nowrap; }

.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr));
  gap: 1rem 1.5rem; margin: 1.5rem 0 0; padding-top: 1.25rem; border-top: 1px solid var(--rule); }
dt { color: var(--soft); font-size: .8125rem; }
dd { margin: 0; }
.tiles dd { font-size: 1.15rem; font-weight: 600; overflow-wrap: anywhere; }
.tiles small { display: block; font-weight: 400; }
.facts dt { padding-top: .1rem; }
dl.facts { display: grid; grid-template-columns: minmax(7rem, 11rem) 1fr; gap: .3rem 1rem;
  margin: .5rem 0; font-size: .9rem; }
dl.facts dd { overflow-wrap: anywhere; }

svg { display: block; width: 100%; overflow: visible; }
path { fill: none; stroke: currentColor; stroke-width: 1; }
rect { stroke: none; }
.grid { stroke: var(--rule); } .axis, .zero { stroke: var(--float); }
.limit { stroke: var(--good); stroke-width: 1.5; stroke-dasharray: 5 4; }
.allowed { fill: var(--allowed); }
.interval { stroke: var(--tone); stroke-width: 2.5; }
.dot { stroke: var(--tone, var(--int8)); stroke-width: 8; stroke-linecap: round; }
.dot.large { stroke-width: 13; }
.dot.before { stroke: var(--soft); }
path.curve { stroke: var(--int8); stroke-width: 2; stroke-linejoin: round; }
.whisker, .area { position: relative; }
.whisker { height: 6.5rem; padding: 0; margin: 1.1rem 0 .25rem; }
.whisker .plot { height: 100%; }
.tick, .note { position: absolute; color: var(--soft); font-size: .75rem; line-height: 1;
  white-space: nowrap; }
.tick.x { top: 100%; padding-top: .45rem; transform: translateX(-50%); }
.whisker .tick.x { top: 80%; padding-top: .35rem; }
.tick.y { right: 100%; padding-right: .5rem; transform: translateY(-50%); }
.note { color: var(--good); padding: .2rem .4rem; }
.whisker .note { top: 8%; }
figure.curve { max-width: 40rem; margin: 1rem 0 1.75rem; padding-left: 3.25rem; }
.curve .area { height: 13rem; margin: .6rem 0 1.75rem; }
.curve .plot { height: 100%; }
.title { color: var(--soft); font-size: .75rem; }
figure.curve > .title:first-child { margin-left: -3.25rem; }
.title.across { text-align: right; }

.scroll { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; }
th { color: var(--soft); font-weight: 500; font-size: .8125rem; text-align: right;
  vertical-align: bottom; }
th, td { padding: .4rem .9rem .4rem 0; border-bottom: 1px solid var(--rule); }
th:last-child, td:last-child { padding-right: 0; }
td { text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 9rem; }
.facts td { text-align: left; white-space: normal; }
td small { display: block; }
.alone td:nth-child(2), .alone th:nth-child(2), .spread td:nth-child(2),
.spread th:nth-child(2) { width: 45%; min-width: 9rem; text-align: left; }
.barred { display: flex; align-items: center; gap: .6rem; }
.barred span:last-child { min-width: 4rem; }
.moved { height: 1rem; min-width: 8rem; }
.way { stroke: var(--float); stroke-width: 3; }

.bars .row { display: grid; grid-template-columns: minmax(6rem, 15rem) 1fr 4.2rem;
  gap: .75rem; align-items: center; font-size: .8125rem; line-height: 1.4; }
.bars .row:hover { background: var(--chosen); }
.bars .row code { font-size: .75rem; overflow: hidden; text-overflow: ellipsis; }
.bars .row > span:last-child { text-align: right; color: var(--soft); }
.scale { display: flex; justify-content: space-between; margin: 0 -.75em; color: var(--soft);
  font-size: .75rem; }
.scale span { width: 1.5em; text-align: center; }
.track { display: block; flex: 1; height: .6rem; border-radius: .15rem; background:
  linear-gradient(90deg, transparent calc(100% - 1px), var(--rule) 0) 0 / 20% 100%; }
.track i { display: block; height: 100%; border-radius: .15rem; background: var(--int8); }
.track i.float, .legend i.float { background: var(--float); }
.track i.fair, .legend i.fair { background: var(--fair); }
.track i.poor, .legend i.poor { background: var(--bad); }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; color: var(--soft);
  font-size: .8125rem; }
.legend i { display: inline-block; width: .7rem; height: .7rem; margin-right: .4rem;
  border-radius: .15rem; background: var(--int8); }

.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr));
  gap: 1rem; margin-top: 1rem; }
.cards.wide { grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); }
.cards .legend { grid-column: 1 / -1; margin: 0; }
.legend i.was { background: #f5a01e; } .legend i.now { background: #3caafa; }
.legend i.kept { background: #ebebeb; box-shadow: inset 0 0 0 1px var(--soft); }
.card, .tensor { background: var(--card); border: 1px solid var(--rule); border-radius: .6rem;
  overflow: hidden; }
.card img, .gone { display: block; width: 100%; height: 9.5rem; object-fit: contain;
  background: var(--rule); }
.wide img { height: auto; max-height: 24rem; } .wide td:first-child { color: var(--ink); }
.gone { display: grid; place-items: center; color: var(--soft); font-size: .8125rem; }
.card figcaption { display: grid; gap: .3rem; justify-items: start; padding: .6rem .7rem .7rem; }
.card td { padding: .05rem .5rem .05rem 0; border: 0; font-size: .8125rem; vertical-align: top;
  min-width: 0; white-space: normal; overflow-wrap: anywhere; color: var(--soft); }
.card td:first-child { min-width: 0; white-space: nowrap; }
.card td:nth-child(2) { text-align: left; width: 99%; color: var(--ink); }
.card td:last-child { padding-right: 0; white-space: nowrap; }
.card b { font-weight: 550; }
.card .ok { color: var(--good); }

.tensors { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: 1rem; }
.tensor { padding: .7rem .8rem; }
.tensor figcaption { color: var(--ink); margin-bottom: .5rem; }
.tensor p { margin: .15rem 0 0; font-size: .8125rem; }
.tensor small { display: block; margin-top: .15rem; }
.histogram { height: 5.5rem; overflow: hidden; }
.bars, .bars.cut { stroke: none; }
path.bars { fill: var(--int8); } path.bars.cut { fill: var(--bad); }
.chosen { fill: var(--chosen); } rect.cut { fill: var(--cut); }
.range { stroke: var(--ink); stroke-width: 1.5; }
.ends { display: flex; justify-content: space-between; color: var(--soft); font-size: .75rem;
  border-top: 1px solid var(--rule); }

details { margin: 1rem 0; }
summary { cursor: pointer; color: var(--int8); font-size: .9rem; }
details[open] > summary { margin-bottom: .75rem; }
@media (max-width: 40rem) {
  body { padding: 1.25rem .9rem 3rem; }
  #verdict { padding: 1rem; }
  .tiles { grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); }
  .bars .row { grid-template-columns: 9.2rem 1fr 3.6rem; gap: .5rem; }
  .bars .row code { font-size: .6875rem; }
  th:first-child, td:first-child { min-width: 6.5rem; }
  .alone td:nth-child(2), .spread td:nth-child(2) { width: auto; min-width: 6rem; }
  .spread td:first-child { min-width: 9rem; }
  .moved { min-width: 5rem; }
  .barred span:last-child { min-width: 3.2rem; }
  .cards { grid-template-columns: repeat(auto-fill, minmax(8.75rem, 1fr)); gap: .7rem; }
  dl.facts { grid-template-columns: 1fr; gap: 0; }
  dl.facts dd { margin-bottom: .45rem; }
}
@media print { html { background: #fff; } .card, .tensor, .row { break-inside: avoid; } }
"""
