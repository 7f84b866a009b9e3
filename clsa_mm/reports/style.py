"""The style sheet of a report: light and dark, narrow and wide, on screen and on paper; no script."""

# Series: Okabe and Ito's palette (jfly.uni-koeln.de/color), with the page's ink for black.
_LIGHT = dict(
    page='#f5f6f8', panel='#ffffff', ink='#1a2027', muted='#55606d', rule='#d5dbe2', accent='#0a5aa8',
    good='#046b4a', bad='#a33a00', s0='#0072b2', s1='#d55e00', s2='#009e73', s3='#b4568c', s4='#1a2027',
    s5='#b97700', s6='#2f8fc4',
)  # fmt: skip
_DARK = dict(
    page='#0e1217', panel='#171d25', ink='#e7ebf0', muted='#a5b0bd', rule='#303944', accent='#7fc4ff',
    good='#4fd3a5', bad='#ff9d66', s0='#3d9be0', s1='#f0803c', s2='#1fc095', s3='#d98fb9', s4='#e7ebf0',
    s5='#e69f00', s6='#7cc8f2',
)  # fmt: skip


def _variables(colours: dict[str, str], scheme: str) -> str:
    listed = ''.join(f'--{name}:{value};' for name, value in colours.items())
    return f'color-scheme:{scheme};{listed}'


STYLE = (
    f':root{{{_variables(_LIGHT, "light")}}}'
    f'@media (prefers-color-scheme:dark){{:root{{{_variables(_DARK, "dark")}}}}}'
    f':root:has(#scheme-light:checked){{{_variables(_LIGHT, "light")}}}'
    f':root:has(#scheme-dark:checked){{{_variables(_DARK, "dark")}}}'
    f'@media print{{:root:root:root{{{_variables(_LIGHT | dict(page="#ffffff"), "light")}}}}}'
    + ''.join(
        f'.s{i}{{--c:var(--s{i})}}.line.s{i}{{stroke:var(--s{i})}}.dot.s{i},.area.s{i}{{fill:var(--s{i})}}'
        for i in range(7)
    )
    + """
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",
Roboto,
"Helvetica Neue",Arial,sans-serif;overflow-wrap:anywhere}
.wrap{max-width:1180px;margin:0 auto;padding:0 clamp(14px,3vw,32px)}
a{color:var(--accent)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:4px}
.skip{position:absolute;left:-999px}
.skip:focus{left:12px;top:12px;background:var(--panel);padding:8px 14px;z-index:9}
header.top{display:flex;flex-wrap:wrap;gap:8px 24px;align-items:center;justify-content:space-between;
padding-top:26px}
header.top h1{margin:0;font-size:clamp(1.5rem,1.1rem + 1.8vw,2.2rem);line-height:1.2;letter-spacing:-.015em}
header.top p{margin:0;color:var(--muted);font-size:.9rem}
fieldset.scheme{border:1px solid var(--rule);border-radius:999px;margin:0;padding:3px;display:flex;
background:var(--panel);font-size:.85rem}
fieldset.scheme legend{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
fieldset.scheme label{position:relative;padding:3px 13px;border-radius:999px;cursor:pointer;
color:var(--muted)}
fieldset.scheme input{position:absolute;inset:0;opacity:0;margin:0;cursor:pointer}
fieldset.scheme label:has(:checked){background:var(--accent);color:var(--panel)}
fieldset.scheme label:has(:focus-visible){outline:3px solid var(--accent);outline-offset:2px}
nav{position:sticky;top:0;z-index:5;background:var(--page);border-bottom:1px solid var(--rule);
margin-top:18px}
nav ul{display:flex;gap:4px 18px;overflow-x:auto;list-style:none;margin:0;padding:9px 0;font-size:.92rem}
nav li{white-space:nowrap}
nav a{text-decoration:none;padding:3px 0}
nav a:hover{text-decoration:underline}
.verdicts{display:grid;gap:16px;margin-top:20px}
.verdict{background:var(--panel);border:1px solid var(--rule);border-left:6px solid var(--muted);
border-radius:12px;padding:18px clamp(14px,2.4vw,26px)}
.verdict.good{border-left-color:var(--good)}
.verdict.bad{border-left-color:var(--bad)}
.verdict h2{margin:0 0 2px;font-size:1.05rem}
.verdict .answer{font-size:1.13rem;margin:4px 0 0}
.verdict.good .answer strong{color:var(--good)}
.verdict.bad .answer strong,.warnings strong{color:var(--bad)}
.verdict .what{margin:2px 0 0;color:var(--muted)}
.key{display:grid;grid-template-columns:repeat(auto-fit,minmax(122px,1fr));gap:10px 16px;margin:16px 0 0}
.key div{border-top:2px solid var(--rule);padding-top:6px;display:flex;flex-direction:column-reverse;
justify-content:flex-end}
.key dt{color:var(--muted);font-size:.84rem;line-height:1.3}
.key dd{margin:0;font-size:1.32rem;font-weight:650;white-space:nowrap;
font-variant-numeric:tabular-nums;line-height:1.25}
.warnings{margin:16px 0 0;padding:0;list-style:none;font-size:.94rem}
.warnings li{border-top:1px solid var(--rule);padding:7px 0}
section{margin:44px 0 0;scroll-margin-top:56px}
section>h2{margin:0 0 6px;font-size:1.45rem;letter-spacing:-.01em}
section h3{margin:26px 0 8px;font-size:1.05rem}
section p{max-width:75ch}
.note{color:var(--muted);font-size:.9rem;margin:6px 0 0}
.grid{fill:none}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr));gap:16px;
margin-top:14px}
.maps{grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr))}
figure{margin:0;background:var(--panel);border:1px solid var(--rule);border-radius:12px;padding:12px 14px}
figcaption{font-weight:600;font-size:.95rem;margin-bottom:6px}
svg{display:block;width:100%;height:auto}
svg .grid{stroke:var(--rule);stroke-width:1}
svg .axis{stroke:var(--muted);stroke-width:1;fill:none}
svg .reference{stroke:var(--muted);stroke-width:1.4;stroke-dasharray:2 4;fill:none}
svg .tick{fill:var(--muted);font-size:12px;font-family:inherit}
svg .line{fill:none;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}
svg .area{opacity:.16}
.map svg .dot{opacity:.78}
svg .other{fill:var(--muted);opacity:.45}
svg .label{fill:var(--ink);font-size:12.5px;font-weight:650;paint-order:stroke;stroke:var(--panel);
stroke-width:4px;stroke-linejoin:round;font-family:inherit}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:2px 16px;margin:8px 0 0;padding:0;font-size:.86rem}
.legend li{display:flex;align-items:center;gap:6px}
.legend svg{width:34px;flex:none}
.scroll{width:fit-content;max-width:100%;overflow-x:auto;
border:1px solid var(--rule);border-radius:12px;background:var(--panel);
margin-top:12px}
table{border-collapse:collapse;overflow-wrap:break-word;min-width:min(100%,560px);font-size:.92rem}
caption{text-align:left;font-weight:600;padding:10px 14px 6px}
th,td{text-align:left;padding:6px 14px;border-top:1px solid var(--rule);vertical-align:top}
thead th{color:var(--muted);font-weight:600;white-space:nowrap}
tbody th{font-weight:500;min-width:11ch}
td{min-width:13ch;font-variant-numeric:tabular-nums}
td.number{text-align:right;white-space:nowrap}
code,td.code,.codes td,.codes tbody th{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;
font-size:.86rem}
.codes td,.codes th{overflow-wrap:anywhere}
.codes td{max-width:46ch;min-width:15ch}
.codes tbody th{min-width:22ch}
details{margin-top:12px;background:var(--panel);border:1px solid var(--rule);border-radius:12px;
padding:0 14px}
details[open]{padding-bottom:14px}
summary{cursor:pointer;padding:10px 2px;font-weight:600}
img{display:block;height:auto;max-width:100%;border-radius:6px}
.pixels{image-rendering:pixelated}
.strip{display:flex;gap:10px;overflow-x:auto;padding:10px 2px}
.strips{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,470px),1fr));gap:0 28px}
.strip figure{border:0;padding:0;background:none;flex:none;width:104px}
.strip img{width:104px;height:104px;object-fit:contain;background:var(--page)}
.strip figcaption{font-weight:400;font-size:.8rem;margin:4px 0 0;line-height:1.3;color:var(--muted)}
.strip .query{padding-right:14px;border-right:1px solid var(--rule);border-radius:0;width:119px;
margin-right:4px}
.strip .same img{box-shadow:0 0 0 3px var(--panel),0 0 0 6px var(--good)}
.neighbours .strip{padding:10px 6px}
.neighbours .strip figure:not(.query){padding:0}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr));gap:14px;
margin-top:14px}
.gallery .row{display:grid;grid-template-columns:repeat(3,1fr);gap:8px}
.gallery .row>div{font-size:.8rem;color:var(--muted)}
.gallery img{width:100%;aspect-ratio:1;object-fit:cover}
.wide img{width:100%}
footer{margin:56px 0 32px;color:var(--muted);font-size:.88rem;border-top:1px solid var(--rule);
padding-top:14px}
@media (max-width:520px){th,td{padding:6px 10px}.strip figure{width:84px}.strip img{width:84px;height:84px}
.strip .query{width:97px}}
@media print{nav,fieldset.scheme,.skip{display:none}body{font-size:11pt}
figure,.verdict,tr{break-inside:avoid}h2,h3{break-after:avoid}section{margin-top:22pt}
details::details-content{content-visibility:visible;display:block;height:auto}
.scroll,.strip{overflow:visible;flex-wrap:wrap}}
"""
)
