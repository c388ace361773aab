"""What each picture of a participant shows, and what good looks like."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Caption:
    """Title of a picture, what it shows, and what good looks like."""

    title: str
    shows: str
    good: str


CAPTIONS = {
    "mask": Caption(
        "Brain mask",
        "mean of the sessions with the outline of the brain mask in three planes",
        "Good: the line follows the edge of the brain; no brain is cut off, no skull is inside.",
    ),
    "tissues": Caption(
        "Grey and white matter",
        "template with the outer edge of grey matter and the edge of white matter",
        "Good: the lines follow the folds of the cortex on both sides and at all heights.",
    ),
    "session": Caption(
        "The sessions on the same slices",
        "T1w of each session resampled to the template",
        "Good: switching between sessions, the brain keeps still; only brightness may differ.",
    ),
    "mni": Caption(
        "Registration to the standard brain",
        "participant in MNI152NLin2009aSym with outlines of the MNI brain and white matter",
        "Good: the lines of the standard brain lie on the participant's edges and ventricles.",
    ),
    "atlas": Caption(
        "Regions",
        "template with the regions of the atlas in colour",
        "Good: colours fill the grey matter, and left and right look alike.",
    ),
    "thickness": Caption(
        "Cortical thickness",
        "template with the thickness of the cortex in colour, dark thin to yellow thick, in mm",
        "Good: most of the cortex has 2 to 4 mm, left and right look alike, and there is no colour "
        "outside the grey matter.",
    ),
    "volumechange": Caption(
        "Change of volume since the first session",
        "map on the template: orange has grown, purple has shrunk, in percent",
        "Each place is averaged over its surroundings (10 mm). Changes under 2 % have no colour; "
        "an arrow on the scale means that some places lie beyond it. Hatched: not seen in both "
        "sessions. Good: without a change there are only a few small spots, which are noise. "
        "Colour all along the edge of the brain, or more on one side or end of the head, speaks "
        "for the scanner or for motion.",
    ),
    "thicknesschange": Caption(
        "Change of cortical thickness since the first session",
        "regions on the template: orange is thicker, purple is thinner, white is unchanged, in mm",
        "Good: most regions are nearly white. The same colour everywhere speaks for a change of "
        "scanner, contrast or motion. Hatched: no thickness could be measured; the region keeps "
        "its row in the tables.",
    ),
    "edges": Caption(
        "BOLD and T1w",
        "BOLD reference with edges of the T1w brain and its white matter",
        "Good: the lines follow the brain in the BOLD picture; dark gaps are lost signal.",
    ),
    "motion": Caption(
        "Head motion",
        "framewise displacement, translations and rotations over time",
        "Good: few peaks above the dashed line, and no jump that stays.",
    ),
    "carpet": Caption(
        "Signal over time, before and after denoising",
        "framewise displacement, DVARS, and the signal of many voxels over time, grouped by "
        "tissue, as measured and after denoising",
        "Good: after denoising there is fine grain without vertical stripes, also beside the "
        "volumes that are left out (orange). Stripes that stay where the curves have peaks are "
        "motion that was not removed. Each voxel is scaled to its own spread, before and after.",
    ),
    "connectivity": Caption(
        "Connectivity",
        "matrix of Fisher z between all regions, sorted by network",
        "Good: blocks along the diagonal, regions with their partners of the other side, and the "
        "whole is not one colour. Grey: too little of the region was in the image.",
    ),
    "seeds": Caption(
        "Seeds of the circuits",
        "regions of the BOLD reference coloured by their connectivity with each seed",
        "Orange: rise and fall together; purple: one falls as the other rises; no colour: the "
        "seed itself (green edge), or too little signal. Good: both sides look alike.",
    ),
    "connectivitychange": Caption(
        "Change of connectivity since the first session",
        "matrix of the change of Fisher z between all regions, sorted by network",
        "Orange: more, purple: less than in the first session. Two short scans of one person "
        "differ a great deal without any change: read single cells only beyond what noise makes. "
        "Whole rows or one colour everywhere speak for motion or lost signal.",
    ),
    "connectomechange": Caption(
        "Largest changes of connectivity since the first session",
        "the 15 connections that changed most, in three views of a brain",
        "They are picked because they are the most extreme, so most of their size is noise. L is "
        "the left of the participant.",
    ),
    "design": Caption(
        "Design of the task",
        "columns of the model of the task over time, and how they are correlated",
        "Good: every condition has its own course, and no two of them are nearly the same.",
    ),
    "contrasts": Caption(
        "Contrasts of the task",
        "slices of the BOLD reference with the z values of each contrast in colour",
        "Good: compact areas in grey matter where the task should act; a rim around the brain is "
        "motion that follows the task.",
    ),
}
