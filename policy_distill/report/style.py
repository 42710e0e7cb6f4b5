"""How a page looks, in light and in dark, wide and narrow, and the few lines that draw its charts."""

STYLE = """
:root{--bg:#f6f7f9;--card:#fff;--text:#1d2330;--soft:#5d6675;--line:#dfe3e9;--good:#1c7c4a;--bad:#b83232;--open:#8a6410}
@media(prefers-color-scheme:dark){:root{--bg:#12151b;--card:#1b2029;--text:#e6e9ef;--soft:#9aa4b4;--line:#2d3441;
--good:#4cc38a;--bad:#f07878;--open:#e0b04a}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1200px;padding:24px 16px 48px;background:var(--bg);color:var(--text);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h1{font-size:1.6rem;line-height:1.2;margin:0 12px 0 0;display:inline-block;overflow-wrap:anywhere}
h2{font-size:1rem;margin:0 0 8px}
.sub,figcaption,.note{color:var(--soft);margin:6px 0 0;overflow-wrap:anywhere}
figcaption{font-size:.82rem}
.badge{display:inline-block;padding:2px 10px;border-radius:99px;border:1px solid;font-weight:600;vertical-align:4px}
.good{color:var(--good)}.bad{color:var(--bad)}.open{color:var(--open)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:20px 0}
.figures div,figure,section:not(.figures),details{background:var(--card);border:1px solid var(--line);
border-radius:10px;padding:14px 16px}
.figures b{display:block;font-size:1.5rem;line-height:1.2;overflow-wrap:anywhere}
.figures span{display:block}.figures i{display:block;font-style:normal;font-size:.8rem;color:var(--soft)}
main{columns:2 420px;column-gap:12px}
figure{margin:0 0 12px;min-width:0;break-inside:avoid}video{max-width:100%;display:block;border-radius:6px}
.chart{width:100%;min-height:60px}.chart .vega-embed{width:100%}
section:not(.figures),details{margin-top:12px;min-width:0}
summary{cursor:pointer;font-weight:600}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem;width:100%}
th,td{text-align:left;padding:5px 12px 5px 0;border-bottom:1px solid var(--line);vertical-align:top;
overflow-wrap:anywhere}
th{color:var(--soft);font-weight:600;white-space:nowrap}
a{color:#2f7fd1}
.tree{font-size:11px;display:block}.tree path{fill:none;stroke:var(--line)}.tree text{fill:var(--text)}
.tree .end{font-weight:600;fill:var(--good)}.tree .soft{fill:var(--soft);font-size:9px}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0;font-size:.85rem}
"""

DRAW = """
(function(){
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  function colours(){
    const style = getComputedStyle(document.documentElement);
    const text = style.getPropertyValue("--text").trim(), soft = style.getPropertyValue("--soft").trim();
    const line = style.getPropertyValue("--line").trim();
    const font = "system-ui, 'DejaVu Sans', sans-serif";
    return {background: "transparent", font: font, view: {stroke: line},
      axis: {labelColor: soft, titleColor: soft, gridColor: line, domainColor: line, tickColor: line,
        labelOverlap: true, labelSeparation: 6, titleFontWeight: "normal", labelFontSize: 11, titleFontSize: 12},
      legend: {labelColor: text, titleColor: soft, orient: "bottom",
        columns: window.innerWidth < 700 ? 1 : 3, labelLimit: 220, symbolOpacity: 1}};
  }
  async function draw(){
    document.documentElement.dataset.drawn = "no";
    for (const [id, spec] of Object.entries(specs)){
      await vegaEmbed("#" + id, {...spec, config: colours(), autosize: {type: "fit-x", contains: "padding"}},
        {renderer: "svg", actions: false, tooltip: {theme: dark.matches ? "dark" : "light"}});
    }
    document.documentElement.dataset.drawn = "yes";
  }
  dark.addEventListener("change", draw);
  draw();
})();
"""
