"""More texts that try to run, fetch, cover, move or hide: what parsers, formulas, styles and consoles differ in.

In them ``@JS@`` leaves a trace where a script runs (``@QJS@`` with no quotes of its own, ``@PJS@`` percent-encoded)
and ``@URL@`` is an address that nothing may ask for.
"""

from __future__ import annotations

from urllib.parse import quote

from hostile import EVIL, mark

_COVER = "position:fixed;inset:0;z-index:99999;background:red"

TEXTS = (
    # Closing what is ours.
    "</div></div></div><img src=x onerror=\"@JS@\">",
    "</details></summary></pre></code><img src='@URL@'>",
    "</span></strong></code></summary></details></div><h1>out</h1>",
    "</pre></code></div></div></section></main></body></html><script>@JS@</script>",
    "</textarea></title></noscript></style></template><script>@JS@</script>",
    "<details open><summary>x</summary></details></details></details><script>@JS@</script>",
    "<div role=log aria-live=assertive>x</div>",
    "<plaintext>", "<!--", "<!-- --!>", "<![CDATA[", "<?xml", "</", "<", "<!doctype html>", "<frameset><frame src='@URL@'>",
    # Covering, moving, taking the focus.
    f"<div style='{_COVER}'>covered</div>",
    f"<p style=\"{_COVER}\">covered</p>",
    f"<style>body{{{_COVER}}}</style>",
    f"<style>.jp-Notebook{{{_COVER}}}</style>",
    f"<details open style='{_COVER}'><summary>x</summary>covered</details>",
    "<dialog open>covered</dialog>", "<div popover id=p>x</div><button popovertarget=p>click</button>",
    "<input autofocus>", "<div tabindex=0 autofocus contenteditable>x</div>", "<button accesskey=a onclick=\"@JS@\">click</button>",
    "<meta http-equiv=refresh content='0;url=@URL@'>", "<meta http-equiv='Content-Security-Policy' content=\"script-src 'none'\">",
    "<form id=f action='@URL@'><button>click</button></form>", "<form><input name=attributes><input name=parentNode></form>",
    "<button form=f formaction='@URL@'>click</button>", "<a href='@URL@' ping='@URL@' target=_top>click</a>",
    "<img name=body><img name=head><a id=jupyter-config-data>x</a>", "<a id=__ante_hits>x</a><a id=__ante_hits name=length>x</a>",
    "<base target=_top href='http://evil.test/'>", "<portal src='@URL@'></portal>", "<fencedframe src='@URL@'></fencedframe>",
    "<link rel=modulepreload href='@URL@'>", "<link rel='preconnect' href='http://evil.test'>", "<script type=module>import '@URL@'</script>",
    "<script type=speculationrules>{\"prefetch\":[{\"urls\":[\"@URL@\"]}]}</script>", "<script type=importmap>{}</script>",
    "<img src=x:x onerror=\"@JS@\" loading=eager fetchpriority=high>", "<img srcset=',,@URL@ 1x'>", "<img lowsrc='@URL@' dynsrc='@URL@'>",
    "<svg><set attributeName=href to='javascript:@PJS@'/><a><text y=9>click</text></a></svg>",
    "<svg><style>@import '@URL@';</style></svg>", "<svg><filter><feImage href='@URL@'/></filter></svg>", "<svg><image xlink:href=@URL@ /></svg>",
    "<svg xmlns:x='http://www.w3.org/1999/xlink'><use x:href='data:image/svg+xml,<svg id=x onload=@QJS@>#x'/></svg>",
    "<math><annotation-xml encoding='text/html'><img src=x onerror=\"@JS@\"></annotation-xml></math>",
    "<math><mi//xlink:href=\"data:x,<script>@QJS@</script>\">click</mi></math>",
    "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=@QJS@&gt;\">",
    "<svg><desc><noscript></desc><img src='@URL@'></noscript></svg>", "<select><template><style><!--</select><img src='@URL@'>-->",
    "<table><td><svg><p><style><g title=\"</style><img src onerror=@QJS@>\">", "<a href=\"x`y\" onclick=`@QJS@`>click</a>",
    "<p style=\"background:url('@URL@')\">", "<p style=\"--x:url('@URL@');background:var(--x)\">x</p>", "<p style='background:image-set(\"@URL@\" 1x)'>x</p>",
    "<p style='mask:url(@URL@);filter:url(@URL@#f);clip-path:url(@URL@#c)'>x</p>", "<p style='@import \"@URL@\"'>x</p>",
    "<font face='x' color='red' size=7>x</font>", "<p align=center hidden inert>x</p>", "<blockquote cite='@URL@'>x</blockquote>", "<q cite='@URL@'>x</q>",
    "<del cite='@URL@'>x</del>", "<table summary='@URL@' background=@URL@>", "<body background='@URL@'>", "<bgsound src='@URL@'>", "<layer src='@URL@'></layer>",
    # Markdown, where parsers differ.
    "![x](attachment:evil.png)", "[click](attachment:evil.html)", "![x](./%2e%2e/%2e%2e/etc/passwd)", "![x](<@URL@ >)", "![x](\t@URL@)", "![x](\n@URL@\n'title')",
    "![x](@URL@\\)", "![x][]\n\n[x]: <@URL@>", "![][x]\n\n[x]:\n@URL@\n'x'", "[![](@URL@)](@URL@)", "![a](https:evil.test)", "![a](/\\evil.test/x)",
    "![a](https&colon;//evil.test/x)", "![a](&#104;ttp://evil.test/x)", "![a](data:image/png;base64,iVBORw0KGgo=@URL@)", "![a](data:image/png,@URL@)",
    "![a](data:image/svg+xml;utf8,<svg onload=@QJS@>)", "![a](DATA:IMAGE/SVG+XML;base64,PHN2Zy8+)", "![a](data:image/png;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+)",
    "[click](javascript&colon;@PJS@)", "[click](javascript&#58;@PJS@)", "[click](java\\script:@PJS@)", "[click](%6aavascript:@PJS@)", "[click](\u0001javascript:@PJS@)",
    "[click](java&#10;script:@PJS@)", "[click](&NewLine;javascript:@PJS@)", "[click](javascript://link.test/%0a@PJS@)", "[click](data:text/html,x)", "[click](view-source:@URL@)",
    "[click](file:///C:/x.exe)", "[click](\\\\evil.test\\x)", "[click](ms-word:ofe|u|@URL@)", "[click](vscode://x)", "[click](tel:1)", "[click](#x)", "[click](?x=1)", "[click](notebook.ipynb)",
    "[a](https://link.test/\u202egnp.exe)", "[https://link.test/a](https://link.test/b)", "<https://link.test/\"onclick=\"@PJS@>", "https://link.test/`<img src=x onerror=\"@JS@\">`",
    "www.evil.test/@N@ and mailto:a@evil.test?body=x", "a@evil.test", "git@evil.test:x/y.git", "ftp://evil.test/@N@",
    "```{=html}\n<script>@JS@</script>\n```", "``` mermaid\ngraph TD; A[<img src=@URL@>]\n```", "~~~ mermaid {init}\ngraph TD\n~~~", "```math\n\\href{javascript:@PJS@}{x}\n```",
    "```vega-lite\n{\"data\":{\"url\":\"@URL@\"}}\n```", "```geojson\n{}\n```", "```js run\n@JS@\n```", "```python {.x onclick=@QJS@}\nx\n```", "```\u202e\ncode\n```", "````\n```\n<script>@JS@</script>",
    "`` ` `` <img src=x onerror=\"@JS@\"> `` ` ``", "`<`img src='@URL@'`>`", "\\`<img src='@URL@'>\\`", "| `a|b` | <img src='@URL@'> |\n|-|-|\n", "a\\\n<img src='@URL@'>",
    "1. ```\n<img src='@URL@'>\n   ```", "\t<script>@JS@</script>", " <script>@JS@</script>", "> ```\n<script>@JS@</script>\n> ```", "- x\n\n      <img src='@URL@'>\n    <img src='@URL@'>",
    "<script>\n\n@JS@\n\n</script>", "<pre>\n\n<img src='@URL@'>\n\n</pre>", "<!-- a\n\n<img src='@URL@'> -->", "<div\n\nonclick=x>\n<img src='@URL@'>", "<https://link.test/x\n<img src='@URL@'>>",
    "[x]: @URL@ 'a'\n![x]", "[^a]: ![x](@URL@)\n\n[^a]", "*[abbr]: <img src='@URL@'>\n\nabbr", "Term\n: <img src='@URL@'>", "{{< figure src=\"@URL@\" >}}", "{::options parse_block_html=\"true\" /}",
    "[[@URL@]]", "![[@URL@]]", "{%raw%}<img src='@URL@'>", "<%= x %>", "${alert(1)}", "{{7*7}}", "<?php echo 1 ?>", "#{x}", "%x%", "@import '@URL@';",
    # Formulas.
    "$\\rule{10000em}{10000em}$", "$\\raise 100em{x}$", "$\\hskip -1000em x$", "$\\kern{-1000em}x$", "$\\mspace{-9999mu}x$", "$\\llap{x}\\rlap{y}$", "$\\Huge x$", "$\\scalebox{99}{x}$",
    "$\\color{red;background:url(@URL@)}x$", "$\\fcolorbox{red}{url(@URL@)}{x}$", "$\\toggle{x}{y}\\endtoggle$", "$\\mathtip{x}{@URL@}$", "$\\verb|<img src=@URL@>|$", "$\\label{x}$",
    "$$\\begin{array}{c}\\href{@URL@}{x}\\end{array}$$", "$\\begin{html}<img src=@URL@>\\end{html}$", "$\\text{\\href{@URL@}{x}}$", "$\\text{$\\href{javascript:x}{y}$}$", "$x\\text{</span><img src='@URL@'>}$",
    "$\\let\\frac\\href \\frac{javascript:@PJS@}{x}$", "$\\renewcommand{\\frac}[2]{\\href{#1}{#2}}$", "$\\catcode`x=0$", "$\\csname href\\endcsname{javascript:x}{y}$", "$\\Newextarrow{x}{1,1}{0x3c}$",
    "$" + "\\!" * 400 + "x$", "$\\smash{x}$", "$\\lower 99em\\hbox{x}$", "$x%\n\\href{javascript:x}{y}$", "$\\\\[1000em]x$", "$\\begin{align}x\\\\[-99em]y\\end{align}$",
    "\\\\(\\href{javascript:@PJS@}{x}\\\\)", "\\[\\href{javascript:@PJS@}{x}\\]", "\\begin{math}\\href{@URL@}{x}\\end{math}", "\\(\\unicode[url(@URL@)]{x41}\\)", "$`\\href{javascript:x}{y}`$",
    "*a $ b* \\href{javascript:x}{y} $", "a $b `c$ \\href{javascript:x}{y}` $", "| $a | b$ |\n|-|-|\n| \\href{javascript:x}{y} | $ |",
    # What hides, and what a console obeys.
    "\x1b[2J\x1b[H\x1b[31mred", "\x1b]0;title\x07", "\x1b]52;c;ZXZpbA==\x07", "\x1b]1337;File=inline=1:AAAA\x07", "\x1bP+q544e\x1b\\", "\x9b31mred", "\x1b[8mhidden\x1b[0m", "safe\rrm -rf /", "ab\x08\x08xy",
    "\u202etxt.exe", "a\u2066b\u2069", "\u200b\u200bx\ufeff", "x\U000e0068\U000e0069", "\u3164", "e" + "\u0301" * 900, "\u061cx", "\u2028x\u2029", "\x85x", "\x00", "\ud83d", "\udc00x", "\ufffe\uffff",
    # Much of it.
    "x" * 20_000, "[" * 3_000, "(" * 3_000, "> " * 600 + "x", "- " * 300 + "x", "*" * 3_000, "`" * 2_999, "<" * 3_000, "![" * 1_500, "[a](" * 1_000, "|" * 2_000 + "\n" + "|-" * 1_000, "$" * 2_001,
    "<b>" * 1_500, "<div>" * 1_500, "&" * 3_000, "\\" * 3_001, "a\n" * 2_000, "#" * 500 + " x", "&#x1;" * 500, "<details><summary>" * 500,
)  # fmt: skip


def corpus(first: int) -> list[str]:
    """All texts; the trace of the n-th is ``first + n``."""
    made = []
    for number, text in enumerate(TEXTS, first):
        js = mark(number)
        for name, value in (
            ("@JS@", js), ("@QJS@", f"top.__ante_hits=[{number}]"), ("@PJS@", quote(js, safe="=;.()")),
            ("@URL@", f"{EVIL}{number}"), ("@N@", str(number)),
        ):  # fmt: skip
            text = text.replace(name, value)
        made.append(text)
    return made
