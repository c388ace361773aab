"""Child process: one call of greedy (Yushkevich et al. 2016), bit-identical from run to run."""

import shlex
import sys

from picsl_greedy import Greedy3D

from workflows.processes import die_with_pipe

REPEATABLE = ["-threads", "1", "-seed", "1"]


def main(arguments):
    """Run greedy with `arguments`, as on its command line, in three dimensions."""
    Greedy3D().execute(shlex.join([*REPEATABLE, *arguments]))


if __name__ == "__main__":
    die_with_pipe(sys.stdin.fileno())
    main(sys.argv[1:])
