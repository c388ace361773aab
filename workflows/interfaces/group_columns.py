"""What the columns of the group tables mean, and their units."""

from __future__ import annotations

from workflows.compute.measures import RESIDUAL_LIMIT
from workflows.compute.pair_quality import ALL_QUALITY, OUTLIER_Z

DESCRIPTIONS: dict[str, str] = {
    "participant_id": "Participant.",
    "session_id": "Session.",
    "modality": "Kind of image: T1w, bold, or bold_<task> where there are several tasks.",
    "measure": (
        "deformation: volume of a region, the tissue that the template of the person has there "
        "as the session is deformed, the planned measure of the models; volume: grey matter that "
        "the session itself shows there; thickness: of the regions of the cortex; tissue_volume: "
        "gm, wm, csf, brain (gm + wm; its percent change is that of the whole brain), ventricles, "
        "and the brain mask (icv, once per person); "
        "mean_connectivity: mean Fisher z of a region's edges to regions seen in every session; "
        "within_network, between_network: mean Fisher z of the edges of a network and between "
        "two; circuit: of the edges between the two ends of a circuit that was named before; "
        "global_efficiency, modularity, mean_clustering: of graphs of the strongest 10 to 30 % of "
        "edges, mean over densities; alff, falff, reho: local activity, mean of the region's "
        "voxels; contrast_*: effect of a task contrast; gppi_*: change of coupling with a seed; "
        "connectivity: Fisher z of one edge; fd_mean: mean framewise displacement; "
        "clean_minutes: time left after censoring; tsnr: temporal signal-to-noise ratio; "
        "area, mean_thickness, global_volume: FreeSurfer and CAT12 as they name them; "
        "mriqc_* and cat12_*: quality of the images, never a planned test; others as in the table "
        "they come from. With sites.method: combat brain measures are harmonised, and "
        "measures_raw.tsv has them as they were."
    ),
    "atlas": "Atlas of the regions; n/a for whole-brain measures.",
    "region": "Region of the atlas, or what a whole-brain measure is about.",
    "region_a": "First region of an edge.",
    "region_b": "Second region of an edge.",
    "value": (
        "Value in the unit of the row. Several runs: edges are of the joined runs, local activity "
        "and quality are averaged, weighted by clean minutes."
    ),
    "unit": "Unit of the value; z is Fisher's z of a Pearson correlation.",
    "qc": (
        "ok; missing where there is no usable value (the row is kept); residual where more than "
        f"{RESIDUAL_LIMIT:g} times the usual difference of the person's regions is left after "
        "registration (the value is used: look at the pictures)."
    ),
    "baseline": "First used session of the participant in time.",
    "followup": "Later session.",
    "interval_days": "Days from baseline to follow-up; n/a where unknown.",
    "baseline_value": "Value at baseline.",
    "followup_value": "Value at follow-up.",
    "change": "Follow-up minus baseline, in the unit of the row.",
    "percent_change": (
        "100 x (follow-up - baseline) / mean of the two, in percent; n/a for connectivity and "
        "all units that are not a ratio scale."
    ),
    "change_per_year": "Change divided by the interval in years of 365.25 days.",
    "reliable_change": (
        "Whether the change is larger than error alone makes it in 95 % of people (Jacobson & "
        "Truax 1991): in change.tsv increased, unchanged or decreased, in outcomes.tsv improved, "
        "unchanged or deteriorated; n/a: the error is not known. Of 100 regions without change "
        "about 5 are not called unchanged."
    ),
    "standard_error": (
        "Standard error of the estimate; in measures.tsv of the value of one session, in "
        "change.tsv of one person's change; n/a where it is not known."
    ),
    "error_from": (
        "Where the standard error of the change comes from: repeated scans (the table of "
        "group.rescan), or images (standard errors of both sessions: noise only, so it is too "
        "small and reliable_change too frequent); n/a: not known."
    ),
    "model": "Model: change (follow-up minus baseline by arm), baseline_adjusted (follow-up by arm "
    "given baseline), symptoms_<score> (change with change of a score).",
    "family": "Tests corrected together: one measure of one modality in one model.",
    "planned": (
        "True for the primary model of the arms (baseline_adjusted if randomised, else change) and "
        "the declared scores; false for the other arm model and for measures of data quality."
    ),
    "term": "Tested term: an arm minus the reference arm, the mean change, or a score.",
    "estimate": "Estimate of the term in the unit of the row, or a partial correlation.",
    "ci_low": "Lower limit of the confidence interval of the estimate.",
    "ci_high": "Upper limit of the confidence interval of the estimate.",
    "df": "Residual degrees of freedom.",
    "statistic": (
        "t statistic; in qc_fc.tsv what was worked out over all edges: median_abs_r, the median of "
        "|r| of change of connectivity with change of motion; share_p05, the part of edges with "
        "p < .05 (.05 without a relation); distance_rho, Spearman correlation of r with the "
        "distance of the regions."
    ),
    "chance_low": "2.5 % quantile of the value with motion permuted over people.",
    "chance_high": "97.5 % quantile of the value with motion permuted over people.",
    "r": "Correlation over people of change of an edge with change of mean framewise displacement.",
    "distance_mm": "Distance between the centres of the two regions in the standard brain.",
    "p": "Two-sided p value, not corrected.",
    "p_fdr": "p value corrected by Benjamini and Hochberg (1995) within the family.",
    "p_fwe": "p value corrected family-wise, see fwe_method.",
    "fwe_method": "How p_fwe was made: Holm (1979), or the largest statistic of permutations.",
    "effect_size": (
        "Hedges g: estimate divided by the standard deviation of change pooled within arms; d_z: "
        "mean change divided by the standard deviation of change (both with the small-sample "
        "factor of Hedges 1981); partial r: partial correlation."
    ),
    "effect_size_name": "Hedges g, d_z (also per week), partial r or partial rank r.",
    "effect_low": (
        "Lower limit of the interval of the effect size: noncentral t (Akahira 1995) for g and "
        "d_z, Fisher's for r, Bonett & Wright's (2000) for ranks."
    ),
    "effect_high": "Upper limit of the interval of the effect size.",
    "n": "Number of participants.",
    "n_per_arm": "Number of participants in each arm.",
    "formula": "Model; covariates are centred, C() are levels, '|' is 'given'.",
    "note": "What to know when reading the row, or why it was not tested.",
    "n_tests": "Tests of the family that were made.",
    "power": "Wanted power.",
    "alpha": "Level of a two-sided test.",
    "smallest_uncorrected": "Smallest effect found with this power at alpha.",
    "smallest_bonferroni": "Smallest effect found with this power at alpha / n_tests.",
    "component": "Number of the network, the largest first.",
    "n_edges": "Edges of the network.",
    "n_nodes": "Regions of the network.",
    "size": "Size of the network that is compared: its number of edges.",
    "threshold": "t above which edges form networks.",
    "n_relabellings": "Relabellings of the participants; p = (b + 1) / (n + 1).",
    "regions": "Regions of the network, joined by semicolons.",
    "score": "Score, as declared in the settings.",
    "moment": "When it was taken: before, after, or the number of the session of treatment.",
    "role": "outcome, or process: what may carry the treatment.",
    "improvement": "Change for the better, in points; negative is worse.",
    "percent_improvement": "Improvement in percent of the way from baseline to the best value.",
    "response": "Whether the percent improvement reached response_pct: yes or no.",
    "remission": "Whether the cut-off was reached: yes or no; in the criteria the cut-off itself.",
    "clinically_significant": (
        "Jacobson & Truax (1991): recovered, improved, unchanged or deteriorated."
    ),
    "better": "Direction that is an improvement.",
    "n_baseline": "Participants with a baseline score.",
    "baseline_mean": "Mean at baseline.",
    "baseline_sd": "Standard deviation at baseline.",
    "response_pct": "Percent improvement that counts as response.",
    "reliability": "Reliability of the score, 0 to 1.",
    "smallest_reliable_change": "Change that error alone exceeds in 5 % of people.",
    "cutoff": "Cut-off between people with and without the disorder.",
    "cutoff_kind": "Cut-off a, b or c of Jacobson & Truax (1991).",
    "outcome": "Outcome that is counted.",
    "counted": "observed: people with a known outcome; worst case: missing is the worse outcome.",
    "n_with_outcome": "Participants with the outcome.",
    "n_missing": "Participants without a known outcome.",
    "expected_correlation": (
        "Correlation of change with baseline that measurement error alone makes: "
        "-sqrt((1 - reliability) / 2)."
    ),
    "corrected_slope": (
        "Slope of true change on true baseline, arms held constant (Blomqvist 1977); the observed "
        "slope is not given, since error alone makes it negative."
    ),
    "rate": "Share of participants with the outcome, 0 to 1, with Wilson's interval.",
    "reference": "Arm that is compared with.",
    "difference": "Rate of the arm minus rate of the reference, with Newcombe's interval.",
    "number_needed": "People to be treated for one more with the outcome.",
    "number_low": "Lower limit of the number needed.",
    "number_high": "Upper limit of the number needed.",
    "number_of": "Whether the number needed is of a benefit or a harm.",
    "characteristic": "Column of participants.tsv or score at baseline.",
    "level": "Level of a category.",
    "n_completers": "Completers with a value.",
    "n_dropouts": "Dropouts with a value.",
    "completers_mean": "Mean of completers.",
    "completers_sd": "Standard deviation of completers.",
    "dropouts_mean": "Mean of dropouts.",
    "dropouts_sd": "Standard deviation of dropouts.",
    "completers_count": "Completers with this level.",
    "dropouts_count": "Dropouts with this level.",
    "mediator": "Variable the path goes through.",
    "path": "Path: a (treatment to mediator), b (mediator to outcome), direct, indirect, total.",
    "interval": "How the interval was made.",
    "standardised": "Estimate in standard deviations.",
    "bca_low": "Lower limit of the bias-corrected and accelerated bootstrap interval.",
    "bca_high": "Upper limit of the bias-corrected and accelerated bootstrap interval.",
    "claim": "mechanism, or association where the order in time does not allow more.",
    "metric": "What is measured of the prediction, or of the quality of an image.",
    "observed": "Observed outcome.",
    "predicted": "Outcome predicted by the fold the participant was left out of.",
    "fold": "Fold the participant was left out in.",
    "a": "Effect of the treatment on the mediator.",
    "a_standard_error": "Standard error of a.",
    "a_p": "p value of a.",
    "b": "Effect of the mediator on the outcome, given the treatment.",
    "b_standard_error": "Standard error of b.",
    "b_p": "p value of b.",
    "direct": "Effect of the treatment on the outcome, given the mediator.",
    "label": (
        "mechanism: measured in the order that a mechanism needs; association: not so, or not "
        "known; not a mediator: measured before treatment."
    ),
    "analysis": "Which question the row answers.",
    "process": "Variable that may carry the effect.",
    "sobel_standard_error": "Standard error of the indirect effect by Sobel (1982).",
    "rho_zero": (
        "Correlation of the errors of mediator and outcome, from an unmeasured cause, at which "
        "the indirect effect would be 0 (Imai, Keele & Yamamoto 2010)."
    ),
    "predictor": "What predicts: mean, clinical, brain, clinical+brain, or their difference.",
    "bin": "Group of participants with similar predictions.",
    "target": "Outcome that is predicted.",
    "advantage": "Expected benefit of the first arm over the second.",
    "indicated": "Arm that is expected to be better for the participant.",
    "received": "Whether the participant received the indicated arm.",
    "contrast": "Groups that are compared.",
    "n_other": "Participants of the other group.",
    "item": "Item of the reporting guideline TRIPOD.",
    "text": "What was done.",
    "mean": "Prediction by the mean of the training participants.",
    "clinical": "Prediction from clinical variables only.",
    "brain": "Prediction from brain measures only.",
    "clinical+brain": "Prediction from both.",
    "interval_low": "Lower limit of the interval of this person's outcome (conformal).",
    "interval_high": "Upper limit of the interval of this person's outcome (conformal).",
    "time": "Days from the first session by the settings, or the place of the session.",
    "at_risk": "Participants who have not responded yet and are still seen.",
    "n_events": "Participants who responded at this time.",
    "n_censored": "Participants seen for the last time without a response.",
    "share": "Share with a response until this time (Kaplan & Meier 1958), with its interval.",
    "step": "Step from the list of participants to the analysis.",
    "detail": "Modality, score or family of the step.",
    "arm": "Arm, or all.",
    "reason": "Why participants are missing at this step.",
    "what": "What was found.",
    "where": "Participant, file, setting or model.",
    "kind": "problem: something is left out; note: worth knowing, nothing is wrong.",
    "what_to_do": "What can be done about it.",
    "baseline_row": "Row of the array at baseline, counted from 0.",
    "followup_row": "Row of the array at follow-up, counted from 0.",
    "days_from_baseline": "Days since the participant's first session; n/a where unknown.",
    "status": "used, excluded, missing, or broken (derivatives missing or unreadable).",
    "n_flags": "Metrics that stand out.",
    "largest_z": (
        "Largest robust z of the metrics in their bad direction: distance from the median of the "
        "cohort in units of 1.4826 median absolute deviations; n/a with fewer than 5 people."
    ),
    "flag": (
        f"What stands out: beyond {OUTLIER_Z} robust z (Iglewicz & Hoaglin 1993; more with few "
        "people), or not plausible; n/a: nothing. Nothing is left out because of it."
    ),
    "baseline_z": "Robust z of the baseline value in the cohort.",
    "followup_z": "Robust z of the follow-up value in the cohort.",
    "change_z": "Robust z of the change among the changes of all people.",
    **{measure.name: measure.description for measure in ALL_QUALITY},
}
UNITS = {
    "distance_mm": "mm",
    "interval_days": "day",
    "days_from_baseline": "day",
    "percent_change": "percent",
    **{measure.name: measure.unit for measure in ALL_QUALITY if measure.unit != "1"},
    "clean_minutes": "minute",
}
