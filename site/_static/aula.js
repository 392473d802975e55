// What the pages of the course do beside what the theme does: the other
// language at the same place, outputs that unfold, and drawings.

const root = document.documentElement;

// The other language: each section is also called s1, s2... in both.
function currentSection() {
  const anchors = document.querySelectorAll("article [id^=s]");
  let current = "";
  for (const anchor of anchors) {
    if (!/^s\d+$/.test(anchor.id)) continue;
    if (anchor.getBoundingClientRect().top > innerHeight / 3) break;
    current = anchor.id;
  }
  return current;
}

for (const link of document.querySelectorAll("a.aula-switch")) {
  const plain = link.getAttribute("href");
  const aim = () => {
    const section = scrollY > 100 ? currentSection() : "";
    link.href = section ? `${plain}#${section}` : plain;
  };
  for (const event of ["pointerdown", "keydown", "click"]) {
    link.addEventListener(event, aim);
  }
}

// Outputs: folded, so that a reader predicts, until all are asked for.
const button = document.querySelector(".aula-unfold");
const KEY = "aula-outputs";

function unfold(open) {
  for (const fold of document.querySelectorAll("details.aula-fold")) {
    fold.open = open;
  }
  if (button) {
    button.setAttribute("aria-pressed", open);
  }
}

if (button) {
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-pressed") !== "true";
    localStorage.setItem(KEY, open ? "open" : "");
    unfold(open);
  });
  if (localStorage.getItem(KEY)) unfold(true);
}
addEventListener("beforeprint", () => unfold(true));

// Drawings: again when the theme changes.
const drawings = [...document.querySelectorAll(".aula-drawing")];

function load(name) {
  return new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = new URL(`${root.dataset.content_root}../${name}`, location);
    script.onload = done;
    script.onerror = failed;
    document.head.append(script);
  });
}

let turn = 0;
async function draw() {
  const mine = ++turn;
  const dark = root.dataset.theme === "dark";
  mermaid.initialize({
    startOnLoad: false,
    theme: dark ? "dark" : "default",
    themeVariables: dark
      ? {edgeLabelBackground: "#333", noteTextColor: "#eee"} : {},
  });
  for (const [number, figure] of drawings.entries()) {
    if (mine !== turn) return;
    const {svg} = await mermaid.render(
      `drawing-${mine}-${number}`, figure.dataset.drawing);
    figure.innerHTML = svg;
  }
  root.dataset.drawn = root.dataset.theme;
}

if (drawings.length) {
  load("mermaid.min.js").then(() => {
    new MutationObserver(draw).observe(
      root, {attributes: true, attributeFilter: ["data-theme"]});
    return draw();
  }).then(() => {
    // They are higher than their texts: go again where the address says.
    if (location.hash && !scrolled) {
      document.getElementById(location.hash.slice(1))?.scrollIntoView();
    }
  });
}
let scrolled = false;
for (const event of ["wheel", "touchmove", "keydown"]) {
  addEventListener(event, () => { scrolled = true; }, {once: true, passive: true});
}
