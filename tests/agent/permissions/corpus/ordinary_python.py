"""Ordinary cells of an analysis. At hand: pd, np, plt, pl, df and sales (pandas frames), prices (a Series),
arr (an array), rows (a list of dicts), text (a str), frame (a polars one), and ax, a plot.

PURE only computes; DATA also binds names, changes values in memory, draws, or reads and writes files of
the working directory.
"""


def cells(text: str) -> list[str]:
    """The cells of a text, apart by lines of three dashes."""
    text = text.replace("{LS}", "\u2028").replace("{FF}", "\x0c")
    return [cell.strip("\n") for cell in text.split("\n---\n")]


PURE = cells(r"""
df
---
df.head()
---
df.tail(3)
---
df.shape
---
df.info()
---
df.describe()
---
df.describe(include="all").T
---
df.dtypes
---
df.columns.tolist()
---
df.isna().sum()
---
df.isna().mean().sort_values(ascending=False)
---
df["sales"].mean()
---
df["region"].value_counts()
---
df["region"].value_counts(normalize=True).round(3)
---
df["region"].nunique(), df["region"].unique()
---
df.groupby("region")["sales"].sum()
---
df.groupby("region")["sales"].agg(["mean", "std", "count"])
---
df.groupby(["region", "month"]).agg(total=("sales", "sum"), n=("sales", "count")).reset_index()
---
df.groupby("region").agg({"sales": "sum", "price": ["min", "max"]})
---
df.sort_values("sales", ascending=False).head(10)
---
df.nlargest(5, "sales")[["region", "sales"]]
---
df[df["sales"] > 100]
---
df[(df["sales"] > 100) & (df["region"] == "north")].shape[0]
---
df.loc[df["sales"].idxmax()]
---
df.query("sales > 100 and region == 'north'")
---
df.pivot_table(index="region", columns="month", values="sales", aggfunc="sum")
---
pd.crosstab(df["region"], df["month"])
---
df.select_dtypes("number").corr().round(2)
---
df["sales"].quantile([0.1, 0.5, 0.9])
---
df["sales"].rolling(3).mean()
---
df["sales"].pct_change().dropna()
---
df["sales"].cumsum().tail(1)
---
df["region"].str.upper().head()
---
df["region"].str.contains("nor", case=False).sum()
---
df["region"].map({"north": "N", "south": "S"})
---
df["sales"].apply(lambda x: x * 1.2)
---
df.apply(lambda row: row["sales"] * row["price"], axis=1)
---
df.duplicated().sum()
---
df.memory_usage(deep=True).sum() / 1e6
---
pd.to_datetime(df["day"]).dt.month.value_counts()
---
pd.to_datetime(df["day"]).dt.day_name().value_counts()
---
df.merge(sales, on="region", how="left").head()
---
pd.concat([df, sales]).shape
---
df.melt(id_vars="region").head()
---
df.isnull().any(axis=1).sum()
---
df.sample(5, random_state=0)
---
df.iloc[0]
---
df.iloc[:5, :2]
---
df["sales"].std() / df["sales"].mean()
---
print(df.head().to_string())
---
print(f"{len(df):,} rows, {df.shape[1]} columns")
---
print(f"mean: {df['sales'].mean():.2f}")
---
np.mean(arr), np.std(arr)
---
np.percentile(arr, [25, 50, 75])
---
arr.reshape(-1, 1).shape
---
np.corrcoef(df["sales"], df["price"])[0, 1]
---
np.polyfit(np.arange(len(arr)), arr, 1)
---
np.where(arr > 0, 1, 0).sum()
---
np.linspace(0, 1, 5)
---
np.linalg.norm(arr)
---
arr[arr > arr.mean()].size
---
prices.max() - prices.min()
---
prices.index
---
[row["name"] for row in rows if row["age"] > 30]
---
sum(row["age"] for row in rows) / len(rows)
---
sorted(rows, key=lambda row: row["age"])[:3]
---
{row["name"]: row["age"] for row in rows}
---
len(text.split())
---
text.lower().count("the")
---
max(rows, key=lambda row: row["age"])
---
"{:.2f}".format(df["sales"].mean())
---
1 + 1
---
(17.5 * 12) / 3
---
2 ** 10
---
round(3.14159, 2)
---
frame.head()
---
frame.group_by("region").agg(pl.col("sales").sum())
---
frame.filter(pl.col("sales") > 100).select("region", "sales")
---
frame.describe()
---
frame.with_columns((pl.col("sales") * 2).alias("double"))
---
df.set_index("day")["sales"].resample("ME").sum()
---
df.groupby("region")["sales"].apply(lambda s: s.max() - s.min())
---
df.groupby("region")["sales"].transform("mean")
---
pd.cut(df["sales"], bins=[0, 50, 100, 1000]).value_counts()
---
pd.qcut(df["sales"], 4).value_counts()
---
pd.read_csv("data/sales.csv").head()
---
pd.read_csv("data/sales.csv", nrows=5)
---
type(df)
---
type(df).__name__
""")

DATA = cells(r"""
import pandas as pd
---
import numpy as np
import pandas as pd
import matplotlib.pyplot as plt
---
df = pd.read_csv("data/sales.csv")
df.head()
---
df = pd.read_csv("data/sales.csv", parse_dates=["day"])
print(df.dtypes)
---
raw = pd.read_json("data/sales.json")
---
df["total"] = df["sales"] * df["price"]
---
df["month"] = pd.to_datetime(df["day"]).dt.month
df.groupby("month")["sales"].sum()
---
df = df.dropna(subset=["sales"])
---
df = df.rename(columns={"sales": "revenue"})
---
df = df.drop(columns=["note"])
---
df.drop_duplicates(inplace=True)
---
df["region"] = df["region"].str.strip().str.lower()
---
df["sales"] = df["sales"].fillna(df["sales"].median())
---
df["price"] = pd.to_numeric(df["price"], errors="coerce")
---
df.columns = [c.strip().lower() for c in df.columns]
---
df = df.assign(ratio=lambda d: d["sales"] / d["price"])
---
summary = df.groupby("region")["sales"].agg(["mean", "count"])
summary
---
top = df.nlargest(3, "sales")
for _, row in top.iterrows():
    print(row["region"], row["sales"])
---
for region, group in df.groupby("region"):
    print(region, len(group), group["sales"].mean())
---
for column in df.columns:
    print(column, df[column].nunique())
---
total = 0
for value in df["sales"]:
    total += value
print(total)
---
counts = {}
for row in rows:
    counts[row["name"]] = counts.get(row["name"], 0) + 1
counts
---
def zscore(s):
    return (s - s.mean()) / s.std()

df["z"] = zscore(df["sales"])
df[df["z"].abs() > 2]
---
def label(x):
    if x > 100:
        return "high"
    elif x > 50:
        return "mid"
    return "low"

df["label"] = df["sales"].apply(label)
df["label"].value_counts()
---
mask = df["sales"] > df["sales"].mean()
df[mask].groupby("region").size()
---
q1, q3 = df["sales"].quantile([0.25, 0.75])
iqr = q3 - q1
outliers = df[(df["sales"] < q1 - 1.5 * iqr) | (df["sales"] > q3 + 1.5 * iqr)]
len(outliers)
---
plt.plot(df["sales"])
plt.show()
---
plt.figure(figsize=(8, 4))
plt.hist(df["sales"], bins=30)
plt.xlabel("sales")
plt.title("Distribution")
plt.show()
---
df["sales"].plot(kind="hist", bins=20)
---
df.plot(x="day", y="sales", figsize=(10, 4))
---
df.groupby("region")["sales"].sum().plot.bar()
---
fig, ax = plt.subplots()
ax.scatter(df["price"], df["sales"], alpha=0.5)
ax.set_xlabel("price")
ax.set_ylabel("sales")
plt.tight_layout()
---
fig, axes = plt.subplots(1, 2, figsize=(12, 4))
axes[0].hist(df["sales"])
axes[1].boxplot(df["price"].dropna())
fig.suptitle("Overview")
plt.show()
---
df.boxplot(column="sales", by="region")
---
ax.legend(loc="best")
ax.grid(True)
---
plt.style.use("ggplot")
---
plt.rcParams["figure.figsize"] = (10, 5)
---
plt.savefig("sales.png", dpi=150, bbox_inches="tight")
---
fig = plt.figure()
plt.bar(["a", "b"], [1, 2])
fig.savefig("bars.png")
---
df.to_csv("clean.csv", index=False)
---
summary = df.describe()
summary.to_csv("summary.csv")
print("saved")
---
pd.set_option("display.max_columns", 50)
---
np.random.seed(0)
x = np.random.normal(size=100)
x.mean(), x.std()
---
rng = np.random.default_rng(42)
sample = rng.normal(0, 1, 1000)
---
x = np.arange(10)
y = x ** 2
plt.plot(x, y)
---
slope, intercept = np.polyfit(df["price"], df["sales"], 1)
print(f"{slope:.3f} {intercept:.3f}")
---
import re
re.findall(r"\d+", text)
---
import json
with open("config.json") as f:
    config = json.load(f)
config
---
with open("README.md") as f:
    lines = f.readlines()
len(lines)
---
with open("notes.txt", "w") as f:
    f.write("done\n")
---
from collections import Counter
Counter(text.split()).most_common(5)
---
from datetime import datetime, timedelta
datetime(2024, 1, 1) + timedelta(days=30)
---
import math
radius = 2.5
area = math.pi * radius ** 2
area
---
import statistics
values = [row["age"] for row in rows]
statistics.mean(values), statistics.stdev(values)
---
x = 5
---
a, b = 1, 2
a, b = b, a
---
squares = [i ** 2 for i in range(10)]
squares
---
names = [row["name"].title() for row in rows]
names.sort()
names
---
def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a

[fib(i) for i in range(10)]
---
try:
    value = float(text)
except ValueError:
    value = None
value
---
n = 0
while n < 5:
    n += 1
print(n)
---
daily = df.set_index("day")["sales"].sort_index()
weekly = daily.resample("W").sum()
weekly.plot(title="Weekly")
---
pivot = df.pivot_table(index="region", columns="month", values="sales", aggfunc=["sum", "mean"])
pivot
---
corr = df[["sales", "price"]].corr()
plt.imshow(corr, cmap="coolwarm")
plt.colorbar()
plt.xticks(range(2), corr.columns)
---
joined = pd.merge(df, sales, on="region")
joined.groupby("region").sum(numeric_only=True)
---
df["share"] = df["sales"] / df.groupby("region")["sales"].transform("sum")
---
march = df[pd.to_datetime(df["day"]).dt.month == 3]
march["sales"].sum()
---
missing = df.isna().sum()
missing[missing > 0].plot.barh()
plt.show()
---
import polars as pl
frame = pl.read_csv("data/sales.csv")
frame.head()
---
out = frame.group_by("region").agg(pl.len(), pl.col("sales").mean().alias("mean"))
out.sort("mean", descending=True)
---
arr = np.array([1, 2, 3])
arr[0] = 10
arr
---
matrix = np.zeros((3, 3))
matrix[1, :] = 5
matrix.T @ matrix
---
grouped = df.groupby("region")
result = pd.DataFrame({"n": grouped.size(), "mean": grouped["sales"].mean()})
result
---
bins = pd.cut(df["sales"], [0, 50, 100, np.inf], labels=["low", "mid", "high"])
bins.value_counts().plot(kind="pie")
---
if df["sales"].isna().any():
    print("missing values")
else:
    print("complete")
---
best = max(df.groupby("region")["sales"].sum().items(), key=lambda kv: kv[1])
print(best)
---
long = df.melt(id_vars=["region"], value_vars=["sales", "price"])
long.groupby("variable")["value"].describe()
---
df.loc[df["sales"] < 0, "sales"] = 0
---
df = df.astype({"sales": "float64"}).sort_values("day").reset_index(drop=True)
---
import warnings
warnings.filterwarnings("ignore")
---
import time
start = time.perf_counter()
s = df["sales"].sum()
print(time.perf_counter() - start)
---
display(df.head())
---
part = df.copy()
part.loc[0, "sales"] = 1
del part
""")
