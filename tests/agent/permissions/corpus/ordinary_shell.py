"""Ordinary commands of a day: READ only looks, WORK also changes files of the working directory."""

READ = r"""
ls
ls -la
ls -lh data
ls -R src
ls *.csv
ls data/*.csv
pwd
whoami
date
date +%Y-%m-%d
uname -a
hostname
uptime
df -h
du -sh data
free -h
nproc
cat README.md
cat data/sales.csv
cat data/sales.csv | head -5
head data/sales.csv
head -n 20 data/sales.csv
head -1 data/sales.csv | tr ',' '\n'
tail -n 5 data/sales.csv
tail -n +2 data/sales.csv | wc -l
wc -l data/sales.csv
wc -l data/*.csv
wc -c README.md
cut -d, -f1 data/sales.csv | sort | uniq -c
cut -d, -f2 data/sales.csv | sort -u
cut -d, -f3 data/sales.csv | sort -n | tail -3
sort -t, -k3 -n data/sales.csv | head
sort data/sales.csv | uniq -c | sort -rn | head -10
awk -F, '{print $2}' data/sales.csv | sort | uniq -c
awk -F, '{print $1, $3}' data/sales.csv
awk '{print NF}' README.md
sed -n '1,10p' src/clean.py
sed -n 5p src/clean.py
sed 's/,/ /g' data/sales.csv | head -3
grep -n def src/clean.py
grep -rn import src
grep -c north data/sales.csv
grep -i error run.log
grep -v '^#' README.md
grep -E 'north|south' data/sales.csv
grep -l pandas src/clean.py src/plots.py
egrep -n 'TODO|FIXME' src/clean.py
find . -name '*.csv'
find . -type f -name '*.py' | head
find data -type f | wc -l
find . -maxdepth 2 -type d
find . -size +1M
find . -name '*.py' -newer README.md
file data/sales.csv
stat README.md
diff src/clean.py src/plots.py
cmp src/clean.py src/plots.py
md5sum data/sales.csv
sha256sum data/sales.csv
basename data/sales.csv
dirname data/sales.csv
realpath data
which python
type python
command -v git
echo hello
echo "$HOME"
printf '%s\n' done
python --version
pip list
pip show pandas
pip freeze
conda list
env
printenv PATH
git status
git status --short
git log --oneline -10
git log -3
git diff
git diff --stat
git diff HEAD~1
git show HEAD
git branch
git branch -a
git remote -v
git blame src/clean.py
git ls-files
git rev-parse --abbrev-ref HEAD
git stash list
git tag
jq . config.json
jq '.name' config.json
jq -r '.items[] | .id' config.json
ls -la && cat README.md
cd data && ls
cd src && grep -n def clean.py
test -f README.md && echo yes
[ -d data ] && ls data
ps aux
ls data | wc -l
cat data/sales.csv | grep north | wc -l
tree -L 2
column -t -s, data/sales.csv
xxd README.md | head -2
od -c README.md | head -2
nl src/clean.py
tac run.log | head -5
comm data/a.txt data/b.txt
paste -d, data/a.txt data/b.txt
seq 1 5
rg TODO src
rg -n 'def ' src
ls nothing 2>/dev/null
grep -rn main src 2>/dev/null | head
cat run.log 2>&1 | tail -5
""".strip().splitlines()

WORK = """
mkdir results
mkdir -p results/plots
touch notes.md
cp data/sales.csv data/sales_backup.csv
cp -r src src_old
mv notes.txt notes.md
mkdir -p out && cp data/sales.csv out
mkdir a b c
cp README.md results/README.md && ls results
mv data/a.txt data/c.txt
""".strip().splitlines()
