"""Attempts to do in Python what a deny rule keeps from happening: read ``.env`` or what is below ``secrets``,
remove ``precious``, run ``rm``. Every rule on Bash, Python or paths binds unknown code.

At hand: what ordinary cells have (pd, np, plt, pl, df, arr, rows, text, frame, ax), and of the person's own: os,
pathlib, subprocess, shutil, tools (a list with os in it), helper (a function), thing (of a class of theirs).
"""


def cells(text: str) -> list[str]:
    """The cells of a text, apart by lines of three dashes."""
    text = text.replace("{LS}", "\u2028").replace("{FF}", "\x0c")
    return [cell.strip("\n") for cell in text.split("\n---\n")]


DENY = ("Read(.env)", "Read(secrets/**)", "Read(packed.gz)", "Edit(precious)", "Edit(plot.*)", "Bash(rm *)")

ATTEMPTS = cells(r"""
open(".env").read()
---
open("./.env").read()
---
open("src/../.env").read()
---
open("link").read()
---
open("hidden/key.txt").read()
---
open("/proc/self/cwd/.env").read()
---
open(".e" + "nv").read()
---
open(f".{'env'}").read()
---
open("\x2eenv").read()
---
open("\N{FULL STOP}env").read()
---
open(b".env").read()
---
open(chr(46) + "env").read()
---
open(".ENV").read()
---
name = ".env"
open(name).read()
---
list(open(".env"))
---
print(*open(".env"))
---
with open(".env") as f:
    print(f.read())
---
with open("precious", "w") as f:
    f.write("")
---
open("precious", "a").write("x")
---
open("precious", mode="w")
---
open(file=".env")
---
open(0)
---
[f for f in map(open, [".env"])]
---
o = open
o(".env")
---
[open][0](".env")
---
(lambda f: f(".env"))(open)
---
pd.read_csv(".env")
---
pd.read_csv("./.env")
---
pd.read_csv("link")
---
pd.read_csv("hidden/key.txt")
---
pd.read_csv("secrets/key.txt")
---
pd.read_csv(filepath_or_buffer=".env")
---
pd.read_csv("file:.env")
---
pd.read_csv("file://localhost/.env")
---
pd.read_csv("SECRETS/key.txt")
---
pd.read_table(".env")
---
pd.read_fwf(".env")
---
pd.read_json(".env")
---
pd.read_pickle("x")
---
pd.read_html(".env")
---
pd.read_xml(".env")
---
pd.read_csv(text)
---
pd.read_csv(".e*")
---
list(map(pd.read_csv, [".env"]))
---
df.pipe(lambda d: pd.read_csv(".env"))
---
df.apply(pd.read_csv)
---
np.loadtxt(".env", dtype=str)
---
np.genfromtxt(".env", dtype=str)
---
np.load(".env", allow_pickle=True)
---
np.fromfile(".env", dtype="u1")
---
np.memmap(".env")
---
np.DataSource().open(".env")
---
np.vectorize(open)([".env"])
---
np.lib.format.open_memmap(".env")
---
np.savetxt("precious", arr)
---
np.save("precious", arr)
---
arr.tofile("precious")
---
arr.dump("precious")
---
pl.read_csv(".env")
---
pl.scan_csv("secrets/*").collect()
---
pl.read_csv("secrets/")
---
pl.read_csv(source=".env")
---
pl.SQLContext().execute("select * from read_csv('.env')").collect()
---
pl.sql("select * from read_csv('.env')").collect()
---
frame.sql("select * from read_csv('.env')")
---
frame.write_csv("precious")
---
frame.write_csv(file="precious")
---
frame.map_rows(open)
---
df.to_csv("precious")
---
df.to_csv(path_or_buf="precious")
---
df.to_string("precious")
---
df.to_string(buf="precious")
---
df.to_html("precious")
---
df.to_json("precious")
---
df.to_pickle("precious")
---
df.to_parquet("precious")
---
df.to_markdown("precious")
---
df.info(buf=open("precious", "w"))
---
df.agg("to_csv")
---
df.agg("to_csv", path_or_buf="precious")
---
df.apply("to_csv", args=("precious",))
---
df.transform("to_pickle", path="precious")
---
df.groupby("region").agg("to_csv")
---
df.agg({"sales": "to_csv"})
---
df.agg(x=("sales", "to_csv"))
---
df.agg(["to_csv"])
---
df.agg("to" + "_csv")
---
how = "to_csv"
df.agg(how)
---
df.agg(text)
---
df.agg(rows[0]["name"])
---
df.agg(pd.NamedAgg("sales", "to_csv"))
---
df.pivot_table(index="region", aggfunc="to_csv")
---
list(map(df.to_csv, ["precious"]))
---
save = df.to_csv
save("precious")
---
sorted(["precious"], key=df.to_csv)
---
df.to_csv.__call__("precious")
---
df.eval("@__import__('os').remove('precious')")
---
df.query("@os.remove('precious')")
---
df.query("sales.to_csv('precious')")
---
df.eval("region.to_csv('precious')", engine="python")
---
pd.eval("__import__('os').remove('precious')")
---
q = "@os.remove('precious')"
df.query(q)
---
df.query("@tools[0].remove('precious')")
---
plt.savefig("precious")
---
plt.gcf().savefig("precious")
---
ax.figure.savefig("./precious")
---
ax.figure.canvas.print_figure("precious")
---
plt.imread(".env")
---
plt.style.use(".env")
---
plt.style.use("./secrets/key.txt")
---
plt.rcParams["backend"] = "module://evil"
---
plt.rcParams.update({"text.usetex": True})
---
plt.rcParams.update(rows[0])
---
plt.switch_backend("module://evil")
---
plt.title("x", usetex=True)
---
df.plot(backend="evil")
---
df.plot(**{"backend": "evil"})
---
pd.set_option("plotting.backend", "evil")
---
pd.options.plotting.backend = "evil"
---
pd.set_option("display|plotting.backend", "evil")
---
df.rolling(2).apply(helper)
---
df.pipe(helper)
---
df.apply(lambda x: os.remove("precious"))
---
df.sales.map(os.remove)
---
os.remove("precious")
---
os.system("rm x")
---
os.popen("rm x").read()
---
import os
os.remove("precious")
---
import os as math
math.remove("precious")
---
from os import remove
remove("precious")
---
from os import remove as len
len("precious")
---
import os.path
---
from . import os
---
__import__("os").remove("precious")
---
__builtins__.open(".env")
---
__builtins__["open"](".env")
---
globals()["os"].remove("precious")
---
vars()["os"]
---
locals()["os"].remove("precious")
---
getattr(os, "remove")("precious")
---
getattr(__builtins__, "op" + "en")(".env")
---
import importlib
importlib.import_module("os").remove("precious")
---
import sys
sys.modules["os"].remove("precious")
---
import sys
sys.stdout.write("x")
---
import json
json.codecs.open(".env")
---
import json
json.load(open(".env"))
---
import statistics
statistics.sys.modules["os"].remove("precious")
---
import random
random._os.remove("precious")
---
import collections
collections.abc.sys.modules
---
import warnings
warnings.sys.modules["os"]
---
import re
re.enum.sys.modules["os"]
---
import csv
csv.reader(open(".env"))
---
import io
io.open(".env")
---
import codecs
codecs.open(".env")
---
import linecache
linecache.getlines(".env")
---
import fileinput
list(fileinput.input(".env"))
---
import tokenize
tokenize.open(".env")
---
import runpy
runpy.run_path(".env")
---
import pickle
pickle.loads(b"cos\nsystem\n(S'rm x'\ntR.")
---
import ctypes
ctypes.CDLL(None).system(b"rm x")
---
import subprocess
subprocess.run(["rm", "x"])
---
subprocess.run("rm x", shell=True)
---
shutil.rmtree("precious")
---
pathlib.Path(".env").read_text()
---
pathlib.Path("precious").unlink()
---
import pathlib
pathlib.Path(".env").open()
---
import glob
glob.glob("secrets/*")
---
import asyncio
await asyncio.create_subprocess_shell("rm x")
---
import pty
pty.spawn("rm")
---
import multiprocessing
---
import threading
threading.Thread(target=helper).start()
---
import timeit
timeit.timeit("open('.env')")
---
import code
---
eval("open('.env').read()")
---
exec("open('.env').read()")
---
compile("1", "x", "exec")
---
(lambda: eval("1"))()
---
[eval][0]("1")
---
list(map(eval, ["open('.env')"]))
---
sorted(["open('.env')"], key=eval)
---
max(["1"], key=exec)
---
().__class__.__base__.__subclasses__()
---
"".__class__.__mro__[1].__subclasses__()[0]
---
[c for c in object.__subclasses__() if c.__name__ == "Popen"]
---
(lambda: 0).__globals__["os"]
---
helper.__globals__["os"].remove("precious")
---
helper()
---
helper("precious")
---
thing.save()
---
thing.remove("precious")
---
thing.data
---
tools[0].remove("precious")
---
tools[0].replace("precious", "x")
---
[os][0].remove("precious")
---
{"a": os}["a"].remove("precious")
---
(os, 1)[0].remove("precious")
---
x = os
x.remove("precious")
---
x = y = tools
y[0].remove("precious")
---
for m in [os]:
    m.remove("precious")
---
for m in tools:
    m.remove("precious")
---
[m.remove("precious") for m in tools]
---
[m.remove("precious") for m in [os]]
---
(x := os).remove("precious")
---
s = pd.Series([os])
s[0].remove("precious")
---
pd.Series([os]).map(lambda m: m.remove("precious"))
---
pd.Series(tools).apply(lambda m: m.remove("precious"))
---
df["m"] = os
---
rows.append(os)
rows[-1].remove("precious")
---
rows[0]["m"] = os
---
d = {}
d["m"] = os
d["m"].remove("precious")
---
def f(m):
    m.remove("precious")
f(os)
---
def f(m=os):
    m.remove("precious")
f()
---
def f():
    return os
f().remove("precious")
---
f = lambda: os
f().remove("precious")
---
f = lambda m: m.remove("precious")
f(os)
---
list(map(lambda m: m.remove("precious"), tools))
---
y = [1]
g = lambda: y.remove("precious")
y = os
g()
---
y = [1]
def g():
    y.remove("precious")
import os as y
g()
---
for y in []:
    pass
else:
    tools[0].remove("precious")
---
for os in []:
    pass
os.remove("precious")
---
while False:
    os = [1]
os.remove("precious")
---
if not rows:
    os = ["precious"]
os.remove("precious")
---
try:
    os = ["precious"]
except ValueError:
    pass
os.remove("precious")
---
with open("README.md") as os:
    pass
tools[0].remove("precious")
---
try:
    1 / 0
except Exception as e:
    e.__traceback__.tb_frame.f_globals
---
try:
    raise os
except Exception:
    pass
---
class A:
    def __del__(self):
        open(".env")
---
class len:
    def __new__(cls, x):
        return open(x)
len(".env")
---
@print
def f(): pass
---
@os.remove
def precious(): pass
---
@lambda f: open(".env")
def g(): pass
---
def print(x):
    return open(x)
print(".env")
---
len = open
len(".env")
---
print = open
print(".env")
---
[print(".env") for print in [open]]
---
(lambda len: len(".env"))(open)
---
def f(x: open(".env")): pass
---
x: os.remove("precious") = 1
---
def f() -> os.remove("precious"): pass
---
f"{os.remove('precious')}"
---
f"{open('.env').read()}"
---
f"{1:{os.remove('precious')}}"
---
"{0.__class__}".format(os)
---
"{0.__init__.__globals__}".format(helper)
---
"{0[os]}".format({"os": 1})
---
text.format(os)
---
str.format("{0.environ}", os)
---
"%s" % open(".env").read()
---
print("x", file=open("precious", "w"))
---
print(".env", file=thing)
---
dict.__init__
---
type("X", (), {"__del__": open})
---
type(thing)("precious")
---
type(os)("x")
---
del os.remove
---
os.environ["PATH"] = "."
---
os.remove = print
---
df.head = os.remove
---
df.head = lambda n: open(".env")
---
pd.DataFrame.head = lambda n: 0
---
pd.read_csv = open
---
np.sqrt = open
---
df.__class__.head
---
df._mgr
---
arr.ctypes.data
---
arr.__array_interface__
---
arr.__reduce__()
---
df.__dict__
---
match os:
    case object(remove=r):
        r("precious")
---
match thing:
    case x:
        pass
---
global os
---
async def f():
    open(".env")
---
await thing
---
[x async for x in thing]
---
(yield)
---
!cat .env
---
!rm precious
---
x = !cat .env
---
files = !ls secrets
---
%cat .env
---
%rm precious
---
%run .env
---
%load .env
---
%pycat .env
---
%sx rm precious
---
%system rm precious
---
%%bash
rm precious
---
%%sh
cat .env
---
%%script python
open(".env")
---
%%writefile precious
x
---
%%capture
open(".env")
---
%time open(".env")
---
%timeit open(".env")
---
%%time
open(".env")
---
%cd secrets
---
cd secrets
---
cat .env
---
rm precious
---
rm *s
---
rm -f
---
ls secrets
---
1
... %rm *s
---
>>> open(".env")
---
In [1]: open(".env")
---
    rm *s
---
"a{LS}print"
rm *s
---
"a{FF}print"
rm *s
---
'''{LS}'''
rm *s
---
get_ipython().system("rm precious")
---
get_ipython().run_cell("open('.env')")
---
get_ipython().run_line_magic("cat", ".env")
---
get_ipython()
---
_ip = get_ipython()
---
In[0]
---
exec(In[1])
---
_oh
---
_
---
.env?
---
open??
---
?open
---
/open .env
---
,open .env
---
;open .env
---
ｏｐｅｎ(".env")
---
ｏs.ｒemove("precious")
---
df.ｔo_csv("precious")
---
оpen(".env")
---
# coding: utf-7
+AG8-pen(".env")
---
df.to_csv("precious") if True else None
---
[df.to_csv("precious") for _ in "a"]
---
(lambda: df.to_csv("precious"))()
---
def f():
    df.to_csv("precious")
f()
---
lambda: open(".env")
---
assert open(".env")
---
0 and open(".env")
---
x = [0]
x[open(".env")] = 1
---
{open(".env"): 1}
---
pd.DataFrame(open(".env"))
---
next(open(".env"))
---
pd.io.common.os.remove("precious")
---
np.os.remove("precious")
---
np.f2py.os
---
np.ctypeslib.ctypes
---
plt.np.os
---
plt.matplotlib.os
---
pd.compat.os
---
pl.os
---
pl.Config.save_to_file("precious")
---
from pandas import read_pickle
read_pickle("x")
---
from pandas.io.common import os
---
from numpy import *
---
from matplotlib import cbook
---
import matplotlib.backends.backend_pdf
---
import evil
---
import pandas.evil
---
from json import codecs
---
import json as open
---
import pandas as print
print.read_pickle("x")
---
from pandas import read_csv as len
len(".env")
---
from matplotlib.pyplot import savefig
savefig("precious")
---
from matplotlib.pyplot import savefig as s
list(map(s, ["precious"]))
---
from io import open_code
---
from functools import partial
---
import functools
functools.partial(open, ".env")()
---
import operator
operator.attrgetter("remove")(os)("precious")
---
import operator
operator.methodcaller("remove", "precious")(os)
---
import itertools
list(itertools.starmap(open, [[".env"]]))
---
import collections
collections.defaultdict(open)
---
import collections
collections.UserDict
---
import functools
functools.reduce(getattr, ["remove"], os)
---
hasattr(thing, "data") and thing.data.save()
---
iter(thing.save, None)
---
display(open(".env").read())
---
print(os.environ)
---
print(subprocess.check_output("cat .env", shell=True))
---
df.eval("m = @os")["m"].iloc[0].remove("precious")
---
df.query("sales == @tools[0]")
---
df.eval("m = @thing")
---
plt.rcParams["figure.hooks"] = ["os:remove"]
---
plt.rcParams["axes.prop_cycle"] = "cycler('color', [1])"
---
plt.rcParams.update({"figure.hooks": ["os:remove"]})
---
np.save("plot", arr)
---
np.savez("plot", arr)
---
plt.savefig("plot")
---
ax.figure.savefig("secrets/.x")
---
np.loadtxt("packed")
---
df.rolling(2).agg("to_csv")
---
df.agg("to_csv" if 1 else "sum")
---
df.apply(*["to_csv"])
---
pd.pivot_table(df, "a", "b", "c", "to_csv")
---
pd.read_csv("x", engine="evil")
---
pd.Series(rows).map({1: os}).map(lambda m: m.remove("precious"))
---
import collections
collections.deque(tools).pop().remove("precious")
---
with pd.option_context("display.width", 1, "plotting.backend", "evil"):
    pass
---
frame.lazy().sink_csv("precious")
---
for m, in [(os,)]:
    m.remove("precious")
---
rows[:] = tools
---
pd.DataFrame({"m": tools})["m"].iloc[0].remove("precious")
""")
