/**
 * Colours as CSS variables, so that charts follow the reader's light or dark setting. The series colours are of Okabe and
 * Ito's palette for all kinds of colour vision (https://jfly.uni-koeln.de/color/), adapted in lightness; none is told apart
 * by colour alone.
 */
export interface Palette {
  readonly page: string;
  readonly surface: string;
  readonly ink: string;
  readonly muted: string;
  readonly line: string;
  /** The original's size; the discarded part of a spectrum. */
  readonly before: string;
  /** Factorized; the kept part of a spectrum. */
  readonly after: string;
  /** Kept at full rank. */
  readonly kept: string;
  readonly third: string;
  readonly good: string;
  readonly caution: string;
  /** A result that is worse than what there was. */
  readonly bad: string;
}

export const LIGHT: Palette = {
  page: '#ffffff',
  surface: '#f4f6f8',
  ink: '#16191d',
  muted: '#59616c',
  line: '#dde1e6',
  before: '#cfd5dc',
  after: '#0072b2',
  kept: '#e69f00',
  third: '#009e73',
  good: '#00694d',
  caution: '#8a4b00',
  bad: '#a8201a',
};

export const DARK: Palette = {
  page: '#14171b',
  surface: '#1d2126',
  ink: '#eceff2',
  muted: '#a3acb7',
  line: '#333a43',
  before: '#4b5460',
  after: '#56b4e9',
  kept: '#e69f00',
  third: '#2fc79b',
  good: '#4fd1a5',
  caution: '#f0b45a',
  bad: '#ff8f85',
};

export type ColourName = keyof Palette;

/** `var(--name)`, for SVG attributes and style sheets. */
export function colour(name: ColourName): string {
  return `var(--${name})`;
}

function declarations(palette: Palette): string {
  return Object.entries(palette)
    .map(([name, value]) => `--${name}:${value as string}`)
    .join(';');
}

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif';
const MONO = 'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';

/** The page's style sheet. Paper is always light. */
export const STYLE = `
:root{color-scheme:light dark;${declarations(LIGHT)}}
@media (prefers-color-scheme:dark){:root{${declarations(DARK)}}}
@media print{:root{color-scheme:light;${declarations(LIGHT)}}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 ${FONT};-webkit-print-color-adjust:exact;print-color-adjust:exact}
main,header,footer{max-width:1180px;margin:0 auto;padding:0 20px}
header{padding-top:32px}
footer{padding-top:24px;padding-bottom:40px;color:var(--muted);font-size:13px}
h1{font-size:26px;line-height:1.25;margin:2px 0 8px;overflow-wrap:anywhere}
h2{font-size:19px;margin:44px 0 4px}
h3{font-size:14px;margin:0 0 2px;font-weight:600;overflow-wrap:anywhere}
p{margin:0 0 12px;max-width:75ch}
.eyebrow{color:var(--muted);font-size:13px;margin:0}
.lead{font-size:18px;line-height:1.5}
.lead strong{white-space:nowrap}
.muted{color:var(--muted)}
.note{color:var(--muted);font-size:13px;margin:8px 0 0;max-width:none}
code,pre,.mono{font-family:${MONO};font-size:.9em}
code,.name{overflow-wrap:anywhere;unicode-bidi:isolate}
pre{background:var(--surface);border:1px solid var(--line);border-radius:8px;padding:12px 14px;margin:8px 0;white-space:pre-wrap;overflow-wrap:anywhere}
.verdict{display:flex;gap:12px;align-items:flex-start;border:1px solid var(--line);border-left:5px solid var(--muted);border-radius:8px;background:var(--surface);padding:12px 16px;margin:16px 0}
.verdict p{margin:0}
.verdict strong{font-size:16px}
.verdict .icon{flex:none;width:26px;height:26px;border-radius:50%;display:grid;place-items:center;font-weight:700;color:var(--page);background:var(--muted)}
.verdict.good{border-left-color:var(--good)}.verdict.good .icon{background:var(--good)}
.verdict.caution{border-left-color:var(--caution)}.verdict.caution .icon{background:var(--caution)}
.verdict.bad{border-left-color:var(--bad)}.verdict.bad .icon{background:var(--bad)}.verdict.bad strong{color:var(--bad)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,230px),1fr));gap:14px;margin:16px 0;padding:0;list-style:none}
.card{border:1px solid var(--line);border-radius:10px;padding:14px 16px;min-width:0}
.card .label{color:var(--muted);font-size:13px}
.card .big{display:block;font-size:28px;line-height:1.2;font-weight:650;font-variant-numeric:tabular-nums;margin:2px 0 4px}
.card .big.worse{color:var(--caution)}
.card .detail{font-size:14px;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.meter{height:9px;border-radius:3px;background:var(--before);margin:10px 0 2px;overflow:hidden}
.meter span{display:block;height:100%;background:var(--after)}
figure{margin:0;min-width:0}
figcaption{margin-bottom:6px}
figcaption p{font-size:13px;margin:0;color:var(--muted)}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:24px 36px;margin-top:14px}
.two>figure:only-child{max-width:620px}
.stack{display:grid;gap:26px;align-content:start}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,245px),1fr));gap:22px 20px;margin-top:14px}
.tiles h3{font-family:${MONO};font-size:12.5px}
svg.chart{display:block;width:100%;height:auto;overflow:visible}
svg.chart text{font-family:${FONT}!important}
svg.narrow{display:none}
@media (max-width:620px){svg.wide{display:none}svg.narrow{display:block}}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;list-style:none;margin:8px 0 0;padding:0;font-size:13px;color:var(--muted)}
.legend svg{width:13px;height:13px;vertical-align:-2px;margin-right:6px}
details{margin-top:14px}
summary{cursor:pointer;color:var(--after);font-size:14px;width:fit-content}
summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--after);outline-offset:3px;border-radius:3px}
.scroll{overflow-x:auto;margin-top:12px;border:1px solid var(--line);border-radius:8px}
table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:6px 10px;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
tbody tr:last-child>*{border-bottom:0}
thead th{background:var(--surface);font-weight:600;white-space:nowrap;vertical-align:bottom}
th.number,td.number{text-align:right;white-space:nowrap}
thead th.wraps{white-space:normal;min-width:8ch}
td.label{min-width:14ch}
tbody th{font-weight:400}
.layers .name{font-family:${MONO};font-size:12px}
.layers td.layer{min-width:25ch;max-width:46ch}
.layers td.why{min-width:20ch;max-width:40ch}
.layers td.change{min-width:118px;white-space:nowrap}
.layers th.error{white-space:normal;min-width:9ch}
.nowrap{white-space:nowrap}
.below{display:block;color:var(--muted);font-size:12px;line-height:1.35}
.tag{white-space:nowrap;font-weight:600}
.tag::before{content:"";display:inline-block;width:9px;height:9px;margin-right:6px;border-radius:2px;background:var(--after)}
.tag.kept::before{background:var(--kept);border-radius:50%}
.tag.full::before{background:var(--before);border-radius:50%}
.bar{display:block;height:5px;margin-top:4px;min-width:70px;position:relative}
.bar span{position:absolute;left:0;top:0;height:100%;border-radius:1px;background:var(--before);min-width:1px}
.bar span+span{background:var(--after)}.bar.kept span+span{background:var(--kept)}
.facts{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:4px 18px;margin:10px 0;font-size:14px}
.facts dt{color:var(--muted)}
.facts dd{margin:0;overflow-wrap:anywhere}
.reasons{padding-left:20px;margin:8px 0;font-size:14px}
.reasons li{margin-bottom:4px}
.warnings li{color:var(--caution)}
@media (max-width:620px){main,header,footer{padding-left:14px;padding-right:14px}.tiles{grid-template-columns:repeat(auto-fill,minmax(min(100%,200px),1fr))}.cards{grid-template-columns:repeat(2,minmax(0,1fr));gap:10px}.card{padding:10px 12px}.card .big{font-size:19px}header{padding-top:20px}h1{font-size:21px}.lead{font-size:16px}.facts{grid-template-columns:minmax(0,1fr)}.facts dd{margin-bottom:6px}}
@page{margin:12mm}
@media print{
body{font-size:10.5pt}
main,header,footer{max-width:none;padding:0}
figure,svg.chart,.card,.verdict,tr{break-inside:avoid}
figure:has(details){break-inside:auto}
h2,h3,figcaption,.legend{break-after:avoid}
.card .big{font-size:15pt}
.cards{grid-template-columns:repeat(4,1fr)}
.two{grid-template-columns:1fr 1fr}
.tiles{grid-template-columns:repeat(4,1fr)}
svg.wide{display:block!important}svg.narrow{display:none!important}
.scroll{overflow:visible;border:0}
table{font-size:7pt}th,td{padding:2px 4px}
.layers th,.layers td{white-space:normal!important}
.layers .name,.below{font-size:6.5pt}
.layers td{min-width:0!important}
details::details-content{content-visibility:visible;block-size:auto}
summary{display:none}
}
`;
