#!/bin/bash
#SBATCH --job-name=braindelta
#SBATCH --array=1-3%50
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --mem=4096M
#SBATCH --time=4:00:00
#SBATCH --partition=short
#SBATCH --account=lab
#SBATCH --output=participants1_%a.log
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@60
#SBATCH --requeue
#SBATCH --mail-type=FAIL
# Written by braindelta VERSION. Submitted from this folder by submit.sh.

folder='/data/my study/derivatives/logs/jobs/0001'
labels=([0]="" # tasks count from 1
    01
    02
    A7
)
index=${SLURM_ARRAY_TASK_ID:?submit this script as an array of jobs}
label=${labels[index]:?there is no participant $index}
name=sub-$label
job=${SLURM_ARRAY_JOB_ID:-}_$index

# One small file tells how this task began and ended. A task that was killed leaves it without
# an end.
started=$(date +%s)
signal= # the first one that came
left=   # time that was left to the job then
child=
signals=0
note() { # ENDED EXIT_CODE: null while the task runs
    printf '{"job": "%s", "host": "%s", "started": %s, "ended": %s, "exit_code": %s, "signal": "%s", "left": "%s"}\n' \
        "$job" "$HOSTNAME" "$started" "$1" "$2" "$signal" "$left" >"$folder/$name.json.part" &&
        mv -f -- "$folder/$name.json.part" "$folder/$name.json"
}
# Time limits and cancelled jobs: the program is told to stop, and stops cleanly.
stop() {
    signal=${signal:-$1}
    signals=$((signals + 1))
    [ -n "$child" ] || exit 143
    kill -TERM "$child" 2>/dev/null
    # The task by its own name: the last one has the number of the array, which names all.
    left=${left:-$(timeout 5 squeue -h -j "$job" -o %L 2>/dev/null | head -n 1)}
}
trap 'code=$?; note "$(date +%s)" "$code"' EXIT
trap 'stop TERM' TERM
trap 'stop INT' INT
trap 'stop USR1' USR1
trap 'stop USR2' USR2
note null null

module load apptainer

memory_mb=${SLURM_MEM_PER_NODE:-4096}
[ "$memory_mb" -gt 0 ] || memory_mb=4096
printf -v memory_gb '%d.%03d' $((memory_mb / 1024)) $((memory_mb % 1024 * 1000 / 1024))
program=(apptainer run --cleanenv "$HOME/braindelta.sif")
arguments=(
    '/data/my study/bids'
    '/data/my study/derivatives'
    participant
    --participant-label "$label"
    --nprocs "${SLURM_CPUS_PER_TASK:-2}"
    --mem-gb "$memory_gb"
)
(
    trap '' USR1 USR2 # these are for this script
    exec "${program[@]}" "${arguments[@]}"
) &
child=$!
while :; do # a signal ends wait before the program has ended
    before=$signals
    wait "$child"
    code=$?
    [ "$before" = "$signals" ] && break
done
exit "$code"
