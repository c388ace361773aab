"""A tiny template head for tests: a ball of brain with three named boxes in it."""

import numpy as np
import pandas as pd

from workflows.compute import planted, planted_anatomy, planted_trial

REGIONS = pd.DataFrame(
    {
        "index": [1, 2, 3, 4],
        "name": ["lh_hippocampus", "lh_amygdala", "lh_rostralanteriorcingulate", "lh_cuneus"],
        "label": ["hippocampus", "amygdala", "rostralanteriorcingulate", "cuneus"],
    }
)


def tiny_head():
    grid = planted.box_grid((96, 96, 96), 1.0)
    x, y, z = planted.grid_points(grid)
    brain = x**2 + y**2 + z**2 < 32**2
    labels = np.zeros(grid.shape, dtype=np.uint8)
    labels[(abs(x + 15) < 5) & (abs(y + 6) < 6) & (abs(z) < 5)] = 1
    labels[(abs(x + 15) < 5) & (abs(y - 6) < 6) & (abs(z) < 5)] = 2
    labels[(abs(x - 12) < 5) & (abs(y - 12) < 5) & (abs(z) < 5)] = 3
    labels[(abs(x - 12) < 5) & (abs(y + 12) < 5) & (abs(z) < 5)] = 4
    white = np.where(brain & (x > 0), 0.9, 0.1).astype(np.float32) * brain
    grey = np.where(brain & (x <= 0), 0.9, 0.1).astype(np.float32) * brain
    t1w = 0.6 * grey + 0.9 * white
    return planted_anatomy.template_head(
        t1w, np.stack([grey, white]), labels, grid, np.random.default_rng(0)
    )


def tiny_stage(bold_voxel_mm=6.0):
    return planted_trial.set_stage(tiny_head(), REGIONS, bold_voxel_mm)
