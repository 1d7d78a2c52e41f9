#!/usr/bin/env bash
# A release, as far as it goes on one machine: check, build, try from pip, notes, tag. Nothing is
# uploaded or pushed. `packaging/release.sh --dry-run` does not tag either, and takes uncommitted work.
set -euo pipefail
cd "$(dirname "$0")/.."
dry=${1:-}
python=${VENV:-.venv}/bin/python
version=$("$python" -c 'import workbench; print(workbench.__version__)')
tag=v$version
complain() { echo "release: $1" >&2; exit 1; }

[[ $dry == --dry-run || -z $(git status --porcelain) ]] || complain "there is uncommitted work; commit it."
git rev-parse --quiet --verify "refs/tags/$tag" >/dev/null && complain "$tag is there already; raise __version__."
grep -q "^version: $version$" CITATION.cff || complain "CITATION.cff has another version than $version."

rm -rf dist && mkdir dist
notes=dist/notes-$version.md
sed -n "/^## $version\b/,/^## /{/^## /d;p}" CHANGELOG.md >"$notes"
grep -q '[^[:space:]]' "$notes" || complain "CHANGELOG.md says nothing under '## $version'."

cp tests/public_names.txt dist/promised.txt
PYTHONPATH=. "$python" tests/test_public_names.py
if ! cmp -s tests/public_names.txt dist/promised.txt; then
  [[ $dry == --dry-run ]] && mv dist/promised.txt tests/public_names.txt
  complain "there are public names that tests/public_names.txt lacks; run tests/test_public_names.py and commit it."
fi
rm dist/promised.txt

"$python" -m build --outdir dist .
"$python" -m twine check --strict dist/*.whl dist/*.tar.gz
tests/from_pip.sh dist/*.whl "$python"

if [[ $dry == --dry-run ]]; then
  echo "Dry run: $tag would be made with the notes in $notes."
  exit
fi
git tag --annotate "$tag" --file "$notes" --cleanup=verbatim
echo "Tagged $tag. To publish it: git push origin $tag; $python -m twine upload dist/*.whl dist/*.tar.gz"
echo "Its documentation: make docs-version"
