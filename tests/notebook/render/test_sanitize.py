"""What the sanitizer lets through, and that nothing else gets out."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ante_nb.notebook.render.allowlist import _ATTRIBUTES, _TAGS, DATA_IMAGE, clean, visible
from ante_nb.notebook.render.sanitize import safe_html, safe_text_html
from ante_nb.notebook.render.styles import STYLES
from ante_nb.notebook.render.tex import is_safe_tex

if TYPE_CHECKING:
    from pathlib import Path

PNG = base64.b64encode(
    base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
    )
).decode()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"comment {data!r}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"declaration {decl!r}")


def read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader


def check(html: str) -> None:
    """Only what the list names, with values that it allows."""
    for tag, attributes in read(html).tags:
        assert tag in _TAGS
        for name, value in attributes.items():
            assert value is not None
            assert name in _ATTRIBUTES[tag] | {"class", "rel"}, (tag, name)
            if name == "href":
                assert value.lower().startswith(("http://", "https://", "mailto:"))
            if name == "src":
                assert DATA_IMAGE.fullmatch(value)
            if name == "style":
                assert value in STYLES
            if name == "class":
                words = value.split()
                assert all(
                    w.startswith("language-") or w.rsplit("_")[-1] in ("ignore", "process") for w in words
                )


SCRAPS = st.sampled_from(
    [
        "<",
        ">",
        '"',
        "'",
        "&",
        "`",
        "```",
        "~~~",
        "!",
        "[",
        "]",
        "(",
        ")",
        "](",
        "![",
        "$",
        "$$",
        "\\(",
        "\\)",
        "\\[",
        "\\]",
        "|",
        "\n",
        "\n\n",
        "#",
        "-",
        "*",
        "_",
        "~",
        ":",
        "{",
        "}",
        "\\",
        "javascript:",
        "http://x",
        "data:image/png;base64,AA",
        "<script>",
        "<img",
        "onerror=x",
        "src=y>",
        "<svg>",
        "</p>",
        "<style>",
        "onclick=",
        "style=",
        "<a",
        "href=mailto:a@b",
        "&lt;",
        "&#x202e;",
        "\u202e",
        "\x00",
        "\x1b",
        "�",
        "\\href{",
        "\\frac{a}{b}",
        "\\begin{align}",
        "\\end{align}",
        "-",
        "[x]",
        "1.",
        ">",
    ]
)
MARKDOWN = st.lists(st.one_of(SCRAPS, st.text(max_size=6)), max_size=40).map("".join)


@given(MARKDOWN)
def test_only_the_allow_list_gets_out(text: str) -> None:
    html = safe_html(text, base=None)
    check(html)
    html.encode()
    assert clean(html) == html, "a second pass changes nothing"


@given(MARKDOWN)
def test_preformatted_text_is_shown_as_it_is(text: str) -> None:
    html = safe_text_html(text)
    check(html)
    assert [tag for tag, _ in read(html).tags] == ["pre"]
    normal = visible(text).replace("\r\n", "\n").replace("\r", "\n")
    assert "".join(read(html).text).strip("\n") == normal.strip("\n")


@given(st.text())
def test_visible_keeps_lines_and_leaves_nothing_odd(text: str) -> None:
    shown = visible(text)
    assert shown.count("\n") == text.count("\n")
    assert visible(shown) == shown
    shown.encode()
    assert not any(ord(c) < 32 and c not in "\t\n\r" for c in shown)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](https://x.y/z?a=1&b=2)", 'href="https://x.y/z?a=1&amp;b=2" target="_blank" rel="noopener noreferrer"'),
        ("<mailto:a@b.c>", 'href="mailto:a@b.c"'),
        ("see https://x.y/z.", '<a href="https://x.y/z" target="_blank" rel="noopener noreferrer">https://x.y/z</a>.'),
        ("[a](javascript:x)", ">a</p>"),
        ("[a](src/x.py)", "a <code>src/x.py</code>"),
        ("<script>x</script>", "&lt;script&gt;x&lt;/script&gt;"),
        ("[x]: https://e.test\n\n[x]", "<p>[x]</p>"),
        ("- [ ] a\n- [x] b", "<li>☐ a</li>\n<li>☑ b</li>"),
        ("~~a~~", "<s>a</s>"),
        ("| a |\n|--:|\n| 1 |", '<td style="text-align:right">1</td>'),
        ("a\u202eb", "a[U+202E]b"),
        ("&#x202e;", "[U+202E]"),
        ("a\x1b[31m", "a␛[31m"),
        ("![alt](http://e.test/x.png)", "alt <code>http://e.test/x.png</code>"),
        (f"![alt](data:image/png;base64,{PNG})", f'<img src="data:image/png;base64,{PNG}" alt="alt"'),
        ("![alt](data:image/svg+xml;base64,AAAA)", "alt <code>data:image/svg+xml;base64,AAAA</code>"),
        ("```python\nx = 1\n```", 'class="language-python"'),
        ("```evil\"onload=x\ny\n```", "<pre><code>y\n</code></pre>"),
        ("```mermaid\ngraph\n```", "<pre><code>graph\n</code></pre>"),
        ("3. a", '<ol start="3">'),
    ],
)  # fmt: skip
def test_markdown(text: str, expected: str) -> None:
    assert expected in safe_html(text, base=None)


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("$x$", "$x$"),
        (r"\(a+b\)", "$a+b$"),
        (r"a $\frac{1}{2}$ b", r"$\frac{1}{2}$"),
        ("$$\nx\n$$", "$$x$$"),
        (r"\[ x = 1 \]", "$$x = 1$$"),
        ("\\begin{align}\na\\\\b\n\\end{align}", "\\begin{align}\na\\\\b\n\\end{align}"),
        (r"$\alpha_1 \le 5\%$", r"$\alpha_1 \le 5\%$"),
    ],
)
def test_math_is_handed_over(text: str, formula: str) -> None:
    html = safe_html(text, base=None)
    assert f'<span class="mathjax_process tex2jax_process">{formula}</span>' in html


@pytest.mark.parametrize(
    "text",
    [
        "costs $5 and $10",
        "US$5 or US$6",
        r"\$5 and \$6",
        "$ 5 $",
        "`$x$`",
        "```\n$x$\n```",
        r"\(see below\)",
        "$x\n\ny$",
        r"$\href{javascript:x}{y}$",
        r"$\require{html} x$",
        r"$\unknowncommand x$",
        r"$$\style{color:red}{x}$$",
        r"\begin{evil}x\end{evil}",
        r"$\begin{align}x$",
        "$" + "{" * 40 + "}" * 40 + "$",
        "&dollar;x&dollar;",
    ],
)
def test_what_is_no_math_is_kept_from_mathjax(text: str) -> None:
    html = safe_html(text, base=None)
    assert "mathjax_process" not in html
    outside = re.sub(r"<code>.*?</code>", "", html, flags=re.DOTALL)  # MathJax leaves code alone
    if "$" in outside or "\\" in outside:
        assert "mathjax_ignore tex2jax_ignore" in html


def test_dangerous_tex_is_refused() -> None:
    for name in [
        "href",
        "url",
        "require",
        "style",
        "class",
        "cssId",
        "data",
        "includegraphics",
        "unicode",
        "def",
        "let",
        "newcommand",
        "bbox",
        "rule",
    ]:
        assert not is_safe_tex(f"\\{name}{{x}}")
    assert not is_safe_tex("a\\")
    assert not is_safe_tex("}{")
    assert not is_safe_tex("x" * 5000)


def test_images_of_the_working_directory_only(tmp_path: Path) -> None:
    base = tmp_path / "work"
    (base / "sub").mkdir(parents=True)
    data = base64.b64decode(PNG)
    (base / "a b.png").write_bytes(data)
    (base / "sub" / "c.png").write_bytes(data)
    (base / "fake.png").write_text("<svg onload=x>")
    (base / "huge.png").write_bytes(data + b"\0" * 2_000_001)
    (tmp_path / "out.png").write_bytes(data)
    (base / "link.png").symlink_to(tmp_path / "out.png")
    shown = f'src="data:image/png;base64,{PNG}"'
    for url in ("a%20b.png", "<a b.png>", "sub/c.png", "./sub/../sub/c.png"):
        assert shown in safe_html(f"![x]({url})", base=base), url
        assert "<img" not in safe_html(f"![x]({url})", base=None)
    for url in ("../out.png", "link.png", "fake.png", "huge.png", "sub", "none.png", f"{tmp_path}/out.png",
                "..%2fout.png", "file:///etc/passwd", "\\\\host\\x.png", "~/x.png"):  # fmt: skip
        assert "<img" not in safe_html(f"![x]({url})", base=base), url


def test_code_is_coloured_within_its_budget() -> None:
    code = "def f(x):\n    return 'a'  # why\n"
    html = safe_html(f"```python\n{code}```", base=None)
    assert "--k:var(--jp-mirror-editor-keyword-color" in html and '<span style="color:var(--k)">def' in html
    assert "".join(read(html).text).strip() == code.strip()
    dense = "[1,2,3,4,5,6,7,8,9]\n" * 200
    assert len(safe_html(f"```python\n{dense}```", base=None)) < 4 * len(dense)
    assert "<span" not in safe_html(f"```python\n{code}```", base=None, colour=False)


def test_clean_drops_what_a_template_should_never_hold() -> None:
    html = clean(
        '<div id="a" onclick="x" class="jp-Dialog mathjax_ignore" style="position:fixed">'
        '<a href="//e.test" target="_top">a</a><img src="http://e.test/"><form><input></form></div><!-- c -->'
    )
    assert html == '<div class="mathjax_ignore"><a rel="noopener noreferrer">a</a><img></div>'
