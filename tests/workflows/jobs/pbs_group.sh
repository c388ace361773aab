#!/bin/bash
#PBS -N braindelta
#PBS -S /bin/bash
#PBS -l select=1:ncpus=1:mem=2560mb
#PBS -l walltime=1:30:00
#PBS -q short
#PBS -A lab
#PBS -o group.log
#PBS -j oe
#PBS -r y
#PBS --mail-type=FAIL
# Written by braindelta VERSION. Submitted from this folder by submit.sh.

cd -- "${PBS_O_WORKDIR:-.}" || exit 1

folder='/data/my study/derivatives/logs/jobs/0001'
name=group
job=${PBS_JOBID:-}

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
}
trap 'code=$?; note "$(date +%s)" "$code"' EXIT
trap 'stop TERM' TERM
trap 'stop INT' INT
trap 'stop USR1' USR1
trap 'stop USR2' USR2
note null null

module load apptainer

memory_mb=2560
printf -v memory_gb '%d.%03d' $((memory_mb / 1024)) $((memory_mb % 1024 * 1000 / 1024))
program=(apptainer run --cleanenv "$HOME/braindelta.sif")
arguments=(
    '/data/my study/bids'
    '/data/my study/derivatives'
    group
    --nprocs "${NCPUS:-1}"
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
