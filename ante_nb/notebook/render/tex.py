"""Which TeX may reach MathJax.

MathJax offers commands that make links, set classes, ids and styles, define macros (and so loops) or load
extensions. Only formulas whose every command and environment is listed here are handed over; any other
is shown as code, so nothing gets lost. Names after the MathJax command list
(https://docs.mathjax.org/en/latest/input/tex/macros/index.html).
"""

from __future__ import annotations

import re

__all__ = ["ENVIRONMENTS", "MAX_TEX", "is_safe_tex"]

MAX_TEX = 4_000
"""Longest formula in characters; a longer one is shown as code."""

_MAX_DEPTH = 30
_MAX_BACKWARDS = 12
"""Spaces that go backwards: a few close up integrals, many would draw over what stands before the formula."""
_BACKWARDS = frozenset(("!", "negthinspace", "negmedspace", "negthickspace"))

_GREEK = """
alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa varkappa lambda mu nu xi
omicron pi varpi rho varrho sigma varsigma tau upsilon phi varphi chi psi omega digamma
Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega
"""
_LETTERS = """
aleph beth gimel daleth ell hbar hslash imath jmath Im Re wp eth mho Bbbk partial nabla infty emptyset
varnothing complement forall exists nexists top bot angle measuredangle sphericalangle triangle
triangledown square Box Diamond lozenge blacksquare blacklozenge bigstar clubsuit diamondsuit heartsuit
spadesuit flat natural sharp prime backprime surd checkmark degree dagger ddagger S P circledR
"""
_OPERATORS = """
sum prod coprod int iint iiint iiiint oint bigcap bigcup bigvee bigwedge bigodot bigoplus bigotimes
biguplus bigsqcup intop smallint pm mp times div cdot cdotp ast star circ bullet cap cup uplus sqcap sqcup
vee wedge lor land lnot neg setminus smallsetminus wr amalg oplus ominus otimes oslash odot bigcirc
triangleleft triangleright bigtriangleup bigtriangledown ltimes rtimes leftthreetimes rightthreetimes
boxplus boxminus boxtimes boxdot barwedge veebar curlyvee curlywedge circleddash circledast circledcirc
centerdot intercal dotplus divideontimes unlhd unrhd lhd rhd Cap Cup
arccos arcsin arctan arg cos cosh cot coth csc deg det dim exp gcd hom inf ker lg lim liminf limsup ln log
max min Pr sec sin sinh sup tan tanh injlim projlim varinjlim varprojlim varliminf varlimsup
mod bmod pmod pod operatorname
"""
_RELATIONS = """
leq le geq ge neq ne ll gg lll ggg leqq geqq leqslant geqslant lesssim gtrsim lessapprox gtrapprox lessgtr
gtrless lesseqgtr gtreqless eqslantless eqslantgtr prec succ preceq succeq preccurlyeq succcurlyeq
precsim succsim precapprox succapprox equiv sim simeq approx approxeq cong thicksim thickapprox doteq
doteqdot Doteq risingdotseq fallingdotseq circeq eqcirc triangleq bumpeq Bumpeq asymp propto varpropto
models vdash dashv Vdash vDash Vvdash mid nmid parallel nparallel shortmid shortparallel perp bowtie Join
smile frown in ni notin owns subset supset subseteq supseteq subseteqq supseteqq Subset Supset sqsubset
sqsupset sqsubseteq sqsupseteq nsubseteq nsupseteq subsetneq supsetneq subsetneqq supsetneqq nless ngtr
nleq ngeq nleqslant ngeqslant lneq gneq lneqq gneqq lnsim gnsim nprec nsucc npreceq nsucceq nsim ncong
ntriangleleft ntriangleright trianglelefteq trianglerighteq vartriangle vartriangleleft
vartriangleright blacktriangle blacktriangledown between pitchfork therefore because backsim backsimeq not
"""
_ARROWS = """
to gets leftarrow rightarrow leftrightarrow Leftarrow Rightarrow Leftrightarrow longleftarrow
longrightarrow longleftrightarrow Longleftarrow Longrightarrow Longleftrightarrow uparrow downarrow
updownarrow Uparrow Downarrow Updownarrow mapsto longmapsto hookleftarrow hookrightarrow leftharpoonup
leftharpoondown rightharpoonup rightharpoondown rightleftharpoons leftrightharpoons rightleftarrows
leftrightarrows nearrow searrow swarrow nwarrow iff implies impliedby leadsto rightsquigarrow
leftrightsquigarrow nleftarrow nrightarrow nLeftarrow nRightarrow nleftrightarrow nLeftrightarrow
leftleftarrows rightrightarrows upuparrows downdownarrows twoheadleftarrow twoheadrightarrow
leftarrowtail rightarrowtail looparrowleft looparrowright curvearrowleft curvearrowright circlearrowleft
circlearrowright dashleftarrow dashrightarrow Lsh Rsh multimap xleftarrow xrightarrow xleftrightarrow
xRightarrow xLeftarrow xmapsto
"""
_BRACKETS = """
left right middle big Big bigg Bigg bigl Bigl biggl Biggl bigr Bigr biggr Biggr bigm Bigm biggm Biggm
lbrace rbrace lbrack rbrack langle rangle lfloor rfloor lceil rceil vert Vert lvert rvert lVert rVert
lgroup rgroup lmoustache rmoustache ulcorner urcorner llcorner lrcorner backslash
"""
_BUILDING = """
frac dfrac tfrac cfrac binom dbinom tbinom genfrac sqrt over atop choose brace brack
hat widehat check widecheck tilde widetilde acute grave dot ddot dddot ddddot breve bar vec mathring
overline underline overbrace underbrace overset underset stackrel overrightarrow overleftarrow
overleftrightarrow underrightarrow underleftarrow overparen underparen substack sideset
limits nolimits boxed cancel bcancel xcancel phantom hphantom vphantom tag notag nonumber
begin end hline hdashline cr
"""
_STYLE = """
mathrm mathbf mathit mathsf mathtt mathcal mathscr mathfrak mathbb mathnormal boldsymbol bold pmb Bbb
symbf symit symrm frak cal scr rm bf it sf tt text textrm textbf textit textsf texttt textnormal textup
mathop mathbin mathrel mathord mathopen mathclose mathpunct mathinner
displaystyle textstyle scriptstyle scriptscriptstyle
"""
_SPACES = """
quad qquad enspace thinspace medspace thickspace negthinspace negmedspace negthickspace space nobreakspace
colon dots ldots cdots vdots ddots dotsb dotsc dotsi dotsm dotso iddots
"""

_COMMANDS = frozenset(
    " ".join(
        (_GREEK, _LETTERS, _OPERATORS, _RELATIONS, _ARROWS, _BRACKETS, _BUILDING, _STYLE, _SPACES)
    ).split()
)
_SYMBOLS = frozenset("\\{}|,;:!> %$&#_")
ENVIRONMENTS = frozenset(
    [
        "equation",
        "equation*",
        "align",
        "align*",
        "aligned",
        "alignat",
        "alignat*",
        "alignedat",
        "gather",
        "gather*",
        "gathered",
        "multline",
        "multline*",
        "split",
        "cases",
        "rcases",
        "dcases",
        "matrix",
        "pmatrix",
        "bmatrix",
        "Bmatrix",
        "vmatrix",
        "Vmatrix",
        "smallmatrix",
        "array",
        "subarray",
    ]
)

_TOKEN = re.compile(r"\\([a-zA-Z]+)|\\(.)|([{}$])", re.DOTALL)
_ENVIRONMENT = re.compile(r"\s*\{([a-zA-Z*]+)\}")


def is_safe_tex(tex: str) -> bool:
    """Whether ``tex`` (without its delimiters) may be handed to MathJax.

    Args:
        tex: the formula as written.

    Returns:
        True if each command and environment is listed, braces and environments are balanced and not
        nested too deep, there is no blank line, and no bare ``$`` that would end the formula early.
    """
    if not tex.strip() or len(tex) > MAX_TEX or (tex.endswith("\\") and not tex.endswith("\\\\")):
        return False
    if re.search(r"\n[ \t]*\n", tex):
        return False
    depth = backwards = 0
    open_environments: list[str] = []
    for match in _TOKEN.finditer(tex):
        name, symbol, brace = match.groups()
        backwards += (name or symbol) in _BACKWARDS
        if backwards > _MAX_BACKWARDS:
            return False
        if brace == "$":
            return False
        if brace:
            depth += 1 if brace == "{" else -1
            if not 0 <= depth <= _MAX_DEPTH:
                return False
        elif symbol is not None:
            if symbol not in _SYMBOLS and symbol != "\n":
                return False
        elif name not in _COMMANDS:
            return False
        elif name in ("begin", "end"):
            environment = _ENVIRONMENT.match(tex, match.end())
            if environment is None or environment[1] not in ENVIRONMENTS:
                return False
            if name == "begin":
                open_environments.append(environment[1])
            elif not open_environments or open_environments.pop() != environment[1]:
                return False
    return depth == 0 and not open_environments
