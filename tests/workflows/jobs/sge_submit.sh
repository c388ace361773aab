#!/bin/bash
# Written by braindelta VERSION. Submits the jobs of this folder: the participants, and the
# group level, which begins when all of them have ended, however they did. Use: bash submit.sh
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
mkdir submitted 2>/dev/null || { echo "These jobs were submitted before." >&2; exit 1; }

keep() { # SCRIPT JOB: write the number of a job into the manifest
    awk -F '\t' -v OFS='\t' -v script="$1" -v job="$2" '$2 == script {$1 = job} 1' \
        manifest.tsv >manifest.part
    mv -f manifest.part manifest.tsv
    echo "$1: job $2"
}

jobs=77
job=$(qsub -terse participants1.sh)
job=${job%%.*}
keep participants1.sh "$job"
jobs=${jobs:+$jobs,}$job
job=$(qsub -terse -hold_jid "$jobs" group.sh)
keep group.sh "${job%%.*}"
