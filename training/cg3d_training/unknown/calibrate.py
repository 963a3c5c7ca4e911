"""From a bundle to the same bundle with true scores and an answer for what it does not know."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.bundle import Bundle, CalibrationInfo, CalibrationLevel
from cg3d_runtime.bundle.arrays import encode_array
from cg3d_runtime.bundle.writer import check_replaceable, rewrite_bundle
from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.calibration import Calibration
from cg3d_sdk.recognizer import Recognizer
from cg3d_training.data.clip_text import Vocabulary
from cg3d_training.data.curated import read_curated
from cg3d_training.data.household import load_household
from cg3d_training.data.names import NameMatcher
from cg3d_training.evaluation.tasks import MODELNET40, SCANOBJECTNN
from cg3d_training.unknown.clouds import Shown, show, split_objects
from cg3d_training.unknown.fit import fit_calibration
from cg3d_training.unknown.report import UnknownReport, random_labels, unknown_report

#: Seeds of what is shown for fitting and for the report.
_FIT, _REPORT = 1, 2


@dataclass(frozen=True)
class Calibrated:
    """What `calibrate` found.

    Attributes:
        calibration: fitted; report: measured on other objects; said: on which.
    """

    calibration: Calibration
    report: UnknownReport
    said: str


def calibrate(
    bundle: Path,
    household: Path,
    vocabulary: Vocabulary,
    worlds: Sequence[Path] = (),
    tabletop: Path | None = None,
    unseen_worlds: Sequence[Path] = (),
) -> Calibrated:
    """Fit a calibration of a bundle and measure it.

    Args:
        bundle: its folder; it may be calibrated already.
        household: folder of the household set.
        vocabulary: the words of the household names; the bundle has to know them.
        worlds: files of furnished worlds, whose pieces are fitted to.
        tabletop: folder of real views of tables, whose bare patches are in the report.
        unseen_worlds: furnished worlds whose pieces are.

    Raises:
        BundleError, TrainingError: the bundle or the data are missing or damaged, or do not fit.
    """
    recognizer = Recognizer(bundle)
    objects = load_household(household, NameMatcher(vocabulary), read_curated(vocabulary))
    parts = split_objects(recognizer.bundle, objects)
    fit = show(recognizer, parts.fit, vocabulary, _FIT, worlds=worlds)
    report = show(recognizer, parts.report, vocabulary, _REPORT, tabletop, unseen_worlds)
    bank = dataclasses.replace(
        recognizer.bank, logit_scale=recognizer.bundle.manifest.text.logit_scale
    )
    calibration = fit_calibration(fit.known(), fit.unknown, bank)
    tasks = report_tasks(bank, report, NameMatcher(vocabulary))
    return Calibrated(calibration, unknown_report(calibration, bank, report, tasks), parts.said)


def report_tasks(
    bank: TextBank, shown: Shown, matcher: NameMatcher
) -> dict[str, Sequence[NDArray[np.int64]]]:
    """The sets of labels that are reported: all, the benchmarks' names, and names at random."""

    def rows(classes: Sequence[str]) -> NDArray[np.int64]:
        found = [matcher.benchmark_row(name) for name in classes]
        return np.unique([bank.index(matcher.labels[row]) for row in found if row is not None])

    return {
        "whole vocabulary": (np.arange(len(bank)),),
        "ModelNet40 names": (rows(MODELNET40),),
        "ScanObjectNN names": (rows(SCANOBJECTNN),),
        "10 names at random, 40 times": random_labels(shown.whole, 10, 40, seed=3),
    }


def write_calibrated(bundle: Bundle, found: Calibrated, output: Path) -> Bundle:
    """Write the bundle with its calibration, whole or not at all.

    Engines that were built of the old bundle stay behind; those of the encoder can be built again.

    Args:
        bundle: the old one; every file of it is checked and copied.
        found: by `calibrate`.
        output: a folder, which may be the old bundle's own.

    Raises:
        BundleError: `output` holds something else, or the disk refused.
    """
    check_replaceable(output)
    calibration = found.calibration
    levels = zip(
        calibration.labels, calibration.logit_scales, calibration.cosine_weights, strict=True
    )
    info = CalibrationInfo(
        tuple(CalibrationLevel(*level) for level in levels),
        {"said": found.said, **found.report.to_dict()},
    )
    files = {
        info.direction: encode_array(calibration.direction),
        info.quantiles: encode_array(calibration.quantiles),
    }
    return rewrite_bundle(bundle, output, files, calibration=info)
