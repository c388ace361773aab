"""What the columns of the tables of anatomy mean, and their units."""

from __future__ import annotations

from collections.abc import Mapping

ML = "ml"
REGION_MEANINGS = {
    "index": {"Description": "Label of the region in the atlas image"},
    "region": {"Description": "Name of the region"},
    "hemisphere": {"Description": "L, R, or B for both"},
    "structure": {"Description": "Cortex, subcortex or another part of the brain"},
}
VOLUME_MEANINGS = REGION_MEANINGS | {
    "volume": {
        "Description": "Grey matter that the session shows, in subcortical structures all tissue",
        "Units": ML,
    },
    "deformation": {
        "Description": "Tissue of the template times how much larger each place is in the session; "
        "more sensitive to change",
        "Units": ML,
    },
    "coverage": {"Description": "Part of the region that was scanned", "Units": "1"},
    "residual": {
        "Description": "What deformation and noise leave unexplained; 1 is noise alone",
        "Units": "1",
    },
    "volume_standard_error": {"Description": "Standard error of volume", "Units": ML},
    "deformation_standard_error": {"Description": "Standard error of deformation", "Units": ML},
}
THICKNESS_MEANINGS = REGION_MEANINGS | {
    "thickness": {"Description": "Mean thickness of the cortex", "Units": "mm"},
    "n_lines": {"Description": "Lines across the cortex of the region, one thickness each"},
    "thickness_standard_error": {"Description": "Standard error of thickness", "Units": "mm"},
}
TISSUE_MEANINGS: Mapping[str, Mapping[str, object]] = {
    "measure": {
        "Description": "What was measured",
        "Levels": {
            "gm_ml": "grey matter",
            "wm_ml": "white matter",
            "csf_ml": "cerebrospinal fluid",
            "brain_ml": "grey and white matter",
            "ventricles_ml": "lateral ventricles",
            "icv_ml": "brain mask of the template, once per person",
        },
    },
    "value": {"Description": "Its volume", "Units": ML},
}
ANAT_QC_MEANINGS = {
    "n_sessions": {"Description": "Sessions in the template"},
    "resolution_mm": {"Description": "Voxel size of the template", "Units": "mm"},
    "brain_ml": {"Description": "Volume of the brain mask", "Units": ML},
    "mni_agreement": {
        "Description": "Chance that a voxel of MNI's white matter is brighter than one of its grey "
        "matter, and grey than fluid; .5 is chance, 1 perfect",
        "Units": "1",
    },
    "gm_noise": {"Description": "Noise of grey matter in the template", "Units": "arbitrary"},
}
