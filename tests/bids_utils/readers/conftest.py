"""Small files as FreeSurfer, CAT12 and others write them."""

import pytest

SURFACE = "StructName NumVert SurfArea GrayVol ThickAvg ThickStd MeanCurv GausCurv FoldInd CurvInd"
VOLUME = "Index SegId NVoxels Volume_mm3 StructName normMean"


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a file below tmp_path and gives its path."""

    def write_file(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def make_aseg(write):
    """Return a function that writes an aseg.stats; volumes in mm3 by structure."""

    def make(folder, volumes, etiv=1_500_000.0, version="7.4.1", name="aseg.stats"):
        lines = [
            "# Title Segmentation Statistics",
            "# generating_program mri_segstats",
            f"# cvs_version {version}",
            "# Measure BrainSeg, BrainSegVol, Brain Segmentation Volume, 1100000.0, mm^3",
            "# Measure SurfaceHoles, SurfaceHoles, Total number of holes, 49, unitless",
            f"# NRows {len(volumes)}",
            f"# ColHeaders  {VOLUME}",
        ]
        if etiv:
            line = "# Measure EstimatedTotalIntraCranialVol, eTIV, Estimated Total, {:.6f}, mm^3"
            lines.insert(5, line.format(etiv))
        for number, (region, volume) in enumerate(volumes.items(), start=1):
            lines.append(f"{number:3d} {number:3d}  {volume:.0f}  {volume:.1f}  {region}  45.2")
        return write(f"{folder}/stats/{name}", "\n".join(lines) + "\n")

    return make


@pytest.fixture
def make_aparc(write):
    """Return a function that writes a ?h.aparc.stats; (area, volume, thickness) by region."""

    def make(folder, hemi, regions, name="aparc.stats", version="7.4.1"):
        lines = [
            "# Table of FreeSurfer cortical parcellation anatomical statistics",
            f"# cvs_version {version}",
            "# Measure Cortex, NumVert, Number of Vertices, 122264, unitless",
            "# Measure Cortex, MeanThickness, Mean Thickness, 2.5, mm",
            "# Measure Cortex, CortexVol Total cortical gray matter volume, 553998.3, mm^3",
            f"# ColHeaders {SURFACE}",
        ]
        for region, (area, volume, thickness) in regions.items():
            lines.append(f"{region} 1000 {area} {volume} {thickness} 0.5 0.1 0.03 18 2.2")
        return write(f"{folder}/stats/{hemi}.{name}", "\n".join(lines) + "\n")

    return make
