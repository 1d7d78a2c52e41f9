#!/usr/bin/env bash
# From an empty environment and an empty folder to a deployed geometry and its report, by pip alone:
#   tests/from_pip.sh dist/*.whl [PYTHON]        (or the .tar.gz)
set -euo pipefail
package=$(realpath "$1")
python=$(realpath -s "$(command -v "${2:-python3}")")  # seen from another folder
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
unset PYTHONPATH

"$python" -m venv env
env/bin/python -m pip install --quiet "$package"
env/bin/python -m pip check
export PATH="$place/env/bin:$PATH"
mkdir empty && cd empty

workbench simulate sample_data --events 12
D=sample_data/CXI/cxim1416
common=(--experiment cxim1416 --xtc-dir "$D/xtc" --calib-dir "$D/calib" --detz-offset 585.5)
workbench average "${common[@]}" --run 54 --raw-data --outputdir out
workbench average "${common[@]}" --run 74 --gain-mask-value 6.85 --outputdir out
workbench mask out/cxim1416_avg-r0054.cbf out/cxim1416_stddev-r0054.cbf out/cxim1416_max-r0074.cbf \
  --maxproj-min 300 -o out/mask.pickle
workbench align out/cxim1416_max-r0074.cbf --mask out/mask.pickle
workbench geometry convert out/cxim1416_max-r0074_cc.cbf 0-end.data
workbench geometry deploy 0-end.data --calib-dir $D/calib --address CxiDs1.0:Cspad.0
workbench geometry verify --calib-dir $D/calib --address CxiDs1.0:Cspad.0

# Reports and JupyterLab are extras; before they are installed, their verbs name them.
recipe=sample_data/cxim1416_r0074.calibration.toml
if workbench report "$recipe" 2>message; then exit 1; fi
grep -q "cspad-workbench\[report\]" message
env=$place/env
"$env/bin/python" -m pip install --quiet "${package}[lab]"
"$env/bin/python" -m pip check
workbench report "$recipe" --no-pdf --output-dir report
test -s report/*_report.html
python - <<'CHECK'
from workbench.cli.lab import choose

assert choose(None).name == "calibration.ipynb"
CHECK
echo "From pip alone: averages, mask, alignment, deployment, report and notebook."
